"""The cases by name. Each measures every engine in one go, alternating where the machine's mood could favour one."""

from __future__ import annotations

import datetime
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench import images, load, memory, networks
from bench.engines import Engine

LINES = 500_000
LINE = "x" * 99
IDLE = {"Image": "busybox", "Cmd": ["sleep", "100000"]}


class Figure(NamedTuple):
    """``value`` in ``unit``; ``low`` and ``high`` of ``n`` samples. ``more_is_better`` tells which way is good."""

    value: float
    unit: str
    n: int
    low: float
    high: float
    more_is_better: bool = False


class Case(NamedTuple):
    """``goal`` is what is to be reached: a factor over the other engine (``x``) or an amount (``MB``)."""

    title: str
    goal: str
    measure: Callable[[Sequence[Engine], Client], dict[str, Figure]]


class Client:
    """The docker CLI, the same for both engines."""

    def __init__(self, program: str, config: str) -> None:
        self.program = program
        self._config = config

    def environ(self, engine: Engine) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": engine.host,
            "DOCKER_CONFIG": self._config,
            "HOME": "/nonexistent",
        }

    def run(self, engine: Engine, *args: str) -> str:
        """Raises: RuntimeError with the CLI's words."""
        done = subprocess.run(
            [self.program, *args], env=self.environ(engine), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{engine.name}: docker {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def time_ms(self, engine: Engine, *args: str) -> float:
        """How long one command takes, its process included."""
        environ = self.environ(engine)
        begin = time.perf_counter()
        done = subprocess.run(
            [self.program, *args],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        took = (time.perf_counter() - begin) * 1e3
        if done.returncode:
            raise RuntimeError(f"{engine.name}: docker {' '.join(args)}: {done.stderr.decode().strip()}")
        return took


def figure(samples: Sequence[float], unit: str, *, more_is_better: bool = False) -> Figure:
    return Figure(statistics.median(samples), unit, len(samples), min(samples), max(samples), more_is_better)


def alternating(
    engines: Sequence[Engine], sample: Callable[[Engine], float], *, rounds: int, burst: int, pause_s: float = 0.0
) -> dict[str, Figure]:
    """``rounds`` times a burst of samples of each engine in turn, in ms; one unmeasured sample first."""
    taken: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for engine in engines:
        sample(engine)
    for _ in range(rounds):
        for engine in engines:
            for _ in range(burst):
                time.sleep(pause_s)
                taken[engine.name].append(sample(engine))
    return {name: figure(samples, "ms") for name, samples in taken.items()}


def _run_case(
    *flags: str, rounds: int = 2, burst: int = 20, pause_s: float = 0.0
) -> Callable[[Sequence[Engine], Client], dict[str, Figure]]:
    def measure(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
        args = ("run", "--rm", *flags, "busybox", "true")
        return alternating(engines, lambda e: client.time_ms(e, *args), rounds=rounds, burst=burst, pause_s=pause_s)

    return measure


def _exec(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    idents = {engine.name: client.run(engine, "run", "-d", "busybox", "sleep", "100000") for engine in engines}
    try:
        return alternating(engines, lambda e: client.time_ms(e, "exec", idents[e.name], "true"), rounds=5, burst=5)
    finally:
        for engine in engines:
            client.run(engine, "rm", "-f", idents[engine.name])


def _starts(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    taken: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for turn in range(4):
        for engine in engines:
            rate, idents = load.starts_per_second(engine.socket, 40, 8, IDLE)
            if turn:  # the first is the warm-up
                taken[engine.name].append(rate)
            client.run(engine, "rm", "-f", *idents)
            time.sleep(1)
    return {name: figure(samples, "/s", more_is_better=True) for name, samples in taken.items()}


def _list(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    found = {}
    for engine in engines:
        _, idents = load.starts_per_second(engine.socket, 50, 4, IDLE)
        rates = [load.requests_per_second(engine.socket, "/containers/json", 1.0) for _ in range(3)]
        found[engine.name] = figure(rates, "/s", more_is_better=True)
        client.run(engine, "rm", "-f", *idents)
    return found


def _idle_memory(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    time.sleep(3)
    return {engine.name: figure([_pss_mb(engine)], "MB") for engine in engines}


def _container_memory(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    found = {}
    for engine in engines:
        before = _pss_mb(engine)
        _, idents = load.starts_per_second(engine.socket, 50, 4, IDLE)
        time.sleep(3)
        found[engine.name] = figure([(_pss_mb(engine) - before) / 50], "MB")
        client.run(engine, "rm", "-f", *idents)
        time.sleep(2)
    return found


def _pss_mb(engine: Engine) -> float:
    return memory.pss_bytes(engine.engine_pids()) / 1e6


def _written(engine: Engine, client: Client) -> tuple[str, float]:
    """A container that has logged all lines, and the rate, by the engine's own times of start and end."""
    size = LINES * (len(LINE) + 1)
    ident = client.run(
        engine, "run", "-d", "--log-opt", "max-size=2g", "busybox", "sh", "-c", f"yes {LINE} | head -c {size}"
    )
    client.run(engine, "wait", ident)
    state = load.ask(engine.socket, "GET", f"/containers/{ident}/json")["State"]
    took = _seconds(state["FinishedAt"]) - _seconds(state["StartedAt"])
    return ident, size / 1e6 / took


def _seconds(stamp: str) -> float:
    head, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.datetime.fromisoformat(head + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def _log_write(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    taken: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(3):
        for engine in engines:
            ident, rate = _written(engine, client)
            taken[engine.name].append(rate)
            client.run(engine, "rm", ident)
    return {name: figure(samples, "MB/s", more_is_better=True) for name, samples in taken.items()}


def _log_read(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    size = LINES * (len(LINE) + 1)
    idents = {engine.name: _written(engine, client)[0] for engine in engines}
    taken: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(3):
        for engine in engines:
            taken[engine.name].append(size / 1e3 / client.time_ms(engine, "logs", idents[engine.name]))
    for engine in engines:
        client.run(engine, "rm", idents[engine.name])
    return {name: figure(samples, "MB/s", more_is_better=True) for name, samples in taken.items()}


def _seconds_of(taken: dict[str, list[float]]) -> dict[str, Figure]:
    return {name: figure(samples, "s") for name, samples in taken.items()}


def _pull(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    return _seconds_of(images.pull(engines, client.program))


def _push(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    return _seconds_of(images.push(engines, client.program))


def _save(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    return _seconds_of(images.save_and_load(engines, client.program)[0])


def _load_archive(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    return _seconds_of(images.save_and_load(engines, client.program)[1])


def _pull_memory(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
    return {name: figure([value], "MB") for name, value in images.pull_memory(engines, client.program).items()}


def _network_case(
    measure: Callable[[Sequence[Engine]], networks.Samples], unit: str, *, more_is_better: bool = True
) -> Callable[[Sequence[Engine], Client], dict[str, Figure]]:
    def take(engines: Sequence[Engine], client: Client) -> dict[str, Figure]:
        return {name: figure(each, unit, more_is_better=more_is_better) for name, each in measure(engines).items()}

    return take


CASES = {
    "idle-memory": Case("engine idle, PSS of its processes", "<= 70 MB", _idle_memory),
    "run-bridge": Case("run --rm busybox true, bridge, back to back", "1/6", _run_case()),
    "run-paused": Case(
        "the same with a second's pause between runs", "1/6", _run_case(rounds=12, burst=1, pause_s=1.0)
    ),
    "run-none": Case("run --rm busybox true, network none", "1/6", _run_case("--network", "none")),
    "run-host": Case("run --rm busybox true, network host", "1/6", _run_case("--network", "host")),
    "exec": Case("exec true", "1/2", _exec),
    "starts": Case("40 starts through 8 API connections", "8 x", _starts),
    "list": Case("list of 50 containers, API", "20 x", _list),
    "container-memory": Case("each of 50 idle containers, growth of the engine's PSS", "<= 2 MB", _container_memory),
    "log-write": Case(f"log write, {LINES:,} lines of {len(LINE) + 1} bytes", "1.5 x", _log_write),
    "log-read": Case("docker logs, the same lines", "3 x", _log_read),
    "pull": Case("pull and unpack of 1.6 GB in eight layers, loopback registry", "0.6", _pull),
    "push": Case("push of the same to an empty registry", "1 x", _push),
    "save": Case("save of the same", "1 x", _save),
    "load": Case("load of the same", "1 x", _load_archive),
    "pull-memory": Case("the engine's PSS while pulling it, at most", "<= 150 MB", _pull_memory),
    "net-attach": Case(
        "create a network, create, connect and start a container, API",
        "1/2",
        _network_case(networks.attach, "ms", more_is_better=False),
    ),
    "net-port-stream": Case(
        "iperf3 from a neighbour through a published port",
        "1 x",
        _network_case(lambda engines: networks.through_a_port(engines, networks.stream), "Gbit/s"),
    ),
    "net-port-requests": Case(
        "connections with one small request, the same way",
        "1 x",
        _network_case(lambda engines: networks.through_a_port(engines, networks.requests), "/s"),
    ),
    "net-between-stream": Case(
        "iperf3 from container to container",
        "1 x",
        _network_case(lambda engines: networks.between(engines, networks.stream), "Gbit/s"),
    ),
    "net-between-requests": Case(
        "connections with one small request, the same way",
        "1 x",
        _network_case(lambda engines: networks.between(engines, networks.requests), "/s"),
    ),
    "net-names": Case(
        "names of 200 containers on one network, all resolved by one", "1 x", _network_case(networks.names, "/s")
    ),
}
