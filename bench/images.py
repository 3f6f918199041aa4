"""Image cases: pull, push, save, load of one large image, and the engine's memory meanwhile; the same registry for both.

The registry is CNCF's, on the loopback of each engine's own room, over one storage.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import memory
from bench.big_image import ensure_layout
from bench.engines import Engine
from bench.peer import CACHE
from harness.images import packaged_program

_NAME = "127.0.0.1:5000/big:1"
ROUNDS = int(os.environ.get("BERTH_BENCH_ROUNDS", "3"))


class Registry:
    """docker-registry in an engine's room on ``port``, over the folder ``storage``."""

    def __init__(self, engine: Engine, port: int, storage: Path) -> None:
        self._room = ["nsenter", "-t", str(engine.pid), "-n"]
        self._address = f"127.0.0.1:{port}"
        self._folder = tempfile.mkdtemp(prefix="benchreg", dir="/var/tmp")
        config = {
            "version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(storage)}}, "http": {"addr": self._address},
        }  # fmt: skip
        Path(self._folder, "config.yml").write_text(json.dumps(config))
        program = packaged_program("docker-registry", "usr/bin/docker-registry")
        self._process = subprocess.Popen(
            [*self._room, program, "serve", f"{self._folder}/config.yml"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"OTEL_TRACES_EXPORTER": "none", **os.environ},
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while self.run(["curl", "-sf", "-o", "/dev/null", f"http://{self._address}/v2/"]).returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("docker-registry does not answer")
            time.sleep(0.05)

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self._room, *command], capture_output=True)

    def fill(self) -> None:
        """The image of the cases, once."""
        layout = ensure_layout()
        target = f"docker://{self._address}/big:1"
        done = self.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:big", target])
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def registries(engines: Sequence[Engine]) -> Iterator[None]:
    """One in each room, both with the image."""
    storage = CACHE / "registry"
    opened: list[Registry] = []
    try:
        for engine in engines:
            opened.append(Registry(engine, 5000, storage))
            if not (storage / ".filled").exists():
                opened[-1].fill()
                (storage / ".filled").touch()
        yield
    finally:
        for registry in opened:
            registry.close()


Run = Callable[[Engine], None]


def timed(
    engines: Sequence[Engine], work: Run, *, before: Run | None = None, after: Run | None = None
) -> dict[str, list[float]]:
    """Seconds of ``work``, the engines in turn."""
    taken: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in range(ROUNDS):
        for engine in engines:
            if before is not None:
                before(engine)
            os.sync()
            begin = time.perf_counter()
            work(engine)
            taken[engine.name].append(time.perf_counter() - begin)
            if after is not None:
                after(engine)
    return taken


def docker(program: str, engine: Engine, *args: str, out: int = subprocess.DEVNULL) -> None:
    """Raises: RuntimeError with the CLI's words."""
    environ = {"PATH": os.environ["PATH"], "DOCKER_HOST": engine.host, "HOME": "/nonexistent"}
    done = subprocess.run(
        [program, *args], env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{engine.name}: docker {' '.join(args)}: {done.stderr.strip()}")


def forget(program: str, engine: Engine, name: str = _NAME) -> None:
    """Remove the image, and wait until what was put off is deleted."""
    docker(program, engine, "rmi", "-f", name)
    trash = engine.work / "data" / "trash-images"
    while trash.exists() and any(trash.iterdir()):
        time.sleep(0.05)


def pull(engines: Sequence[Engine], program: str) -> dict[str, list[float]]:
    with registries(engines):
        return timed(
            engines, lambda e: docker(program, e, "pull", "-q", _NAME), after=lambda e: forget(program, e)
        )  # fmt: skip


def push(engines: Sequence[Engine], program: str) -> dict[str, list[float]]:
    """To an empty registry each time."""
    target = "127.0.0.1:5001/new:1"
    opened: dict[str, tuple[Registry, str]] = {}

    def before(engine: Engine) -> None:
        storage = tempfile.mkdtemp(prefix="benchpush", dir="/var/tmp")
        opened[engine.name] = (Registry(engine, 5001, Path(storage)), storage)

    def after(engine: Engine) -> None:
        registry, storage = opened.pop(engine.name)
        registry.close()
        shutil.rmtree(storage, ignore_errors=True)

    with registries(engines):
        for engine in engines:
            docker(program, engine, "pull", "-q", _NAME)
            docker(program, engine, "tag", _NAME, target)
        try:
            return timed(engines, lambda e: docker(program, e, "push", "-q", target), before=before, after=after)
        finally:
            for engine in engines:
                docker(program, engine, "rmi", target)
                forget(program, engine)


def save_and_load(engines: Sequence[Engine], program: str) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Each engine's own archive; save goes to nowhere when it is timed."""
    with registries(engines):
        for engine in engines:
            docker(program, engine, "pull", "-q", _NAME)
            docker(program, engine, "save", "-o", f"{engine.work}/big.tar", _NAME)
    saved = timed(engines, lambda e: docker(program, e, "save", _NAME))
    loaded = timed(
        engines, lambda e: docker(program, e, "load", "-q", "-i", f"{e.work}/big.tar"),
        before=lambda e: forget(program, e),
    )  # fmt: skip
    for engine in engines:
        forget(program, engine)
        os.unlink(f"{engine.work}/big.tar")
    return saved, loaded


def pull_memory(engines: Sequence[Engine], program: str) -> dict[str, float]:
    """The largest PSS of all the engine's processes during a pull, in MB."""
    found: dict[str, float] = {}
    with registries(engines):
        for engine in engines:
            samples: list[int] = []
            ended = threading.Event()
            watcher = threading.Thread(target=_watch, args=(engine, samples, ended))
            watcher.start()
            try:
                docker(program, engine, "pull", "-q", _NAME)
            finally:
                ended.set()
                watcher.join()
            found[engine.name] = max(samples) / 1e6
            forget(program, engine)
    return found


def _watch(engine: Engine, samples: list[int], ended: threading.Event) -> None:
    while not ended.wait(0.1):
        samples.append(memory.pss_bytes(engine.engine_pids()))
