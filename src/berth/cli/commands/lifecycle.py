"""Verbs on containers that exist: start stop restart kill rm pause unpause wait rename port top update prune."""

from __future__ import annotations

import sys

from berth.base.errors import BerthError, InvalidArgument, NotFound, NotModified
from berth.cli.command import Command, Failed, sentence
from berth.cli.flags import Flag
from berth.client import quick_json
from berth.client.engine import query
from berth.spec.run_options import RUN_OPTIONS
from berth.spec.units import parse_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def each(refs: Sequence[str], act: Callable[[str], object]) -> int:
    """Do it for every one; errors are printed, the others still done. 1 when any failed."""
    return 1 if failures(refs, act) else 0


def failures(refs: Sequence[str], act: Callable[[str], object]) -> list[tuple[str, BerthError]]:
    """Do it for every one and print those it was done for; errors are printed too, and returned with what they were about."""
    failed: list[tuple[str, BerthError]] = []
    for ref in refs:
        try:
            act(ref)
        except NotModified:
            print(ref, flush=True)
        except BerthError as err:
            print(sentence(err), file=sys.stderr)
            failed.append((ref, err))
        else:
            print(ref, flush=True)
    return failed


def _timeout(flags: Flags) -> int | None:
    for name in ("timeout", "time"):
        if flags.given(name):
            return flags.number(name)
    return None


def start(engine: Engine, flags: Flags) -> int:
    if not (flags.on("attach") or flags.on("interactive")):
        failed = failures(flags.args, lambda ref: engine.post(f"/containers/{ref}/start"))
        if failed:
            print("Error: failed to start containers: " + ", ".join(ref for ref, _ in failed), file=sys.stderr)
        return 1 if failed else 0
    if len(flags.args) > 1:
        raise InvalidArgument("you cannot start and attach multiple containers at once")
    from berth.cli.commands.run import _foreground

    found = engine.get(f"/containers/{flags.args[0]}/json")
    config = found["Config"]
    body = {
        "AttachStdin": flags.on("interactive") and config["OpenStdin"], "AttachStdout": True, "AttachStderr": True,
        "Tty": config["Tty"], "HostConfig": {"AutoRemove": found["HostConfig"]["AutoRemove"]},
    }  # fmt: skip
    return _foreground(engine, flags, found["Id"], body)


def stop(engine: Engine, flags: Flags) -> int:
    tail = query(t=_timeout(flags), signal=flags.text("signal"))
    return each(flags.args, lambda ref: engine.post(f"/containers/{ref}/stop{tail}"))


def restart(engine: Engine, flags: Flags) -> int:
    tail = query(t=_timeout(flags), signal=flags.text("signal"))
    return each(flags.args, lambda ref: engine.post(f"/containers/{ref}/restart{tail}"))


def kill(engine: Engine, flags: Flags) -> int:
    tail = query(signal=flags.text("signal"))
    return each(flags.args, lambda ref: engine.post(f"/containers/{ref}/kill{tail}"))


def rm(engine: Engine, flags: Flags) -> int:
    tail = query(force=flags.on("force"), v=flags.on("volumes"), link=flags.on("link"))

    def one(ref: str) -> None:
        if not ref.strip("/"):
            raise InvalidArgument("container name cannot be empty")
        engine.delete(f"/containers/{ref.strip('/')}{tail}")

    failed = failures(flags.args, one)
    wanted = [ref for ref, err in failed if not (flags.on("force") and isinstance(err, NotFound))]
    return 1 if wanted else 0


def pause(engine: Engine, flags: Flags) -> int:
    return each(flags.args, lambda ref: engine.post(f"/containers/{ref}/pause"))


def unpause(engine: Engine, flags: Flags) -> int:
    return each(flags.args, lambda ref: engine.post(f"/containers/{ref}/unpause"))


def wait(engine: Engine, flags: Flags) -> int:
    failed = False
    for ref in flags.args:
        try:
            answer = quick_json.loads(engine.send("POST", f"/containers/{ref}/wait").read())
            print(answer["StatusCode"], flush=True)
        except BerthError as err:
            print(sentence(err), file=sys.stderr)
            failed = True
    return 1 if failed else 0


def rename(engine: Engine, flags: Flags) -> int:
    old, new = (a.strip() for a in flags.args)
    if not old or not new:
        raise InvalidArgument("Error: Neither old nor new names may be empty")
    try:
        engine.post(f"/containers/{old}/rename" + query(name=new))
    except BerthError as err:
        print(sentence(err), file=sys.stderr)
        raise Failed(f"Error: failed to rename container named {old}") from err
    return 0


def port(engine: Engine, flags: Flags) -> int:
    found = engine.get(f"/containers/{flags.args[0]}/json")
    ports = found["NetworkSettings"].get("Ports") or {}

    def shown(binding: dict[str, str]) -> str:
        address = binding["HostIp"]
        return f"[{address}]:{binding['HostPort']}" if ":" in address else f"{address}:{binding['HostPort']}"

    if len(flags.args) == 2:
        number, _, proto = flags.args[1].partition("/")
        if not number.isdigit():
            raise InvalidArgument(
                f'Error: invalid port ({number}): strconv.ParseUint: parsing "{number}": invalid syntax'
            )
        bindings = ports.get(f"{number}/{proto or 'tcp'}")
        if not bindings:
            raise InvalidArgument(f"Error: No public port '{flags.args[1]}' published for {flags.args[0]}")
        for binding in bindings:
            print(shown(binding))
        return 0
    for key in sorted(ports, key=lambda k: (int(k.partition("/")[0]), k)):
        for binding in ports[key] or ():
            print(f"{key} -> {shown(binding)}")
    return 0


def top(engine: Engine, flags: Flags) -> int:
    from berth.cli.table import render

    found = engine.get(f"/containers/{flags.args[0]}/top" + query(ps_args=" ".join(flags.args[1:])))
    print(render(found["Titles"], found["Processes"] or []))
    return 0


_UPDATES = {
    "blkio-weight": "BlkioWeight", "cpu-period": "CpuPeriod", "cpu-quota": "CpuQuota", "cpu-rt-period":
    "CpuRealtimePeriod", "cpu-rt-runtime": "CpuRealtimeRuntime", "cpu-shares": "CpuShares", "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems", "memory": "Memory", "memory-reservation": "MemoryReservation", "memory-swap":
    "MemorySwap", "pids-limit": "PidsLimit",
}  # fmt: skip


def update(engine: Engine, flags: Flags) -> int:
    body: dict[str, object] = {}
    for name, key in _UPDATES.items():
        if flags.given(name):
            text = flags.text(name)
            if name.startswith("memory"):
                body[key] = -1 if text == "-1" else parse_bytes(text, "--" + name)
            else:
                body[key] = text if name.startswith("cpuset") else int(text)
    if flags.given("cpus"):
        body["NanoCpus"] = round(float(flags.text("cpus")) * 1e9)
    if flags.given("restart"):
        from berth.cli.run_values import restart as policy

        body["RestartPolicy"] = policy(flags.text("restart"))
    for name, key in (("publish-add", "PublishAdd"), ("publish-rm", "PublishRemove")):
        if flags.given(name):
            body[key] = _port_map(flags.list_(name))
    if not body:
        raise InvalidArgument("you must provide one or more flags when using this command")

    def one(ref: str) -> None:
        for warning in (engine.post(f"/containers/{ref}/update", body) or {}).get("Warnings") or ():
            print(warning, file=sys.stderr)

    return each(flags.args, one)


def _port_map(texts: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """What ``--publish`` says, as the API has it."""
    from berth.cli.create_body import ports_of

    bindings: dict[str, list[dict[str, str]]] = {}
    ports_of(texts, {}, bindings)
    return bindings


def prune(engine: Engine, flags: Flags) -> int:
    from berth.cli.prune import confirmed, tell, wanted_filters

    filters = wanted_filters(flags)
    if not confirmed(flags, "This will remove all stopped containers."):
        return 0
    return tell(*prune_containers(engine, filters))


def prune_containers(engine: Engine, filters: dict[str, list[str]]) -> tuple[int, str]:
    """Bytes that came free, and what to print of it."""
    answer = engine.post("/containers/prune" + query(filters=filters or None))
    idents = answer.get("ContainersDeleted") or ()
    text = "Deleted Containers:\n" + "".join(f"{ident}\n" for ident in idents) if idents else ""
    return answer.get("SpaceReclaimed") or 0, text


_SIGNAL = Flag("signal", "string", "Signal to send to the container", "s")
_TIMEOUT = Flag("timeout", "int", "Seconds to wait before killing the container", "t")
_TIME = Flag("time", "int", "Seconds to wait", deprecated="use --timeout instead")
_MANY = "CONTAINER [CONTAINER...]"
COMMANDS = {
    "start": Command(
        "[OPTIONS] " + _MANY, "Start one or more stopped containers",
        [
            Flag("attach", "bool", "Attach STDOUT/STDERR and forward signals", "a"),
            Flag("detach-keys", "string", "Override the key sequence for detaching"),
            Flag("interactive", "bool", "Attach container's STDIN", "i"),
            Flag("sig-proxy", "bool", "Proxy signals to the process", "", "true", hidden=True),
        ],
        (1, -1), start, complete=("stopped",),
    ),
    "stop": Command("[OPTIONS] " + _MANY, "Stop one or more running containers", [_SIGNAL, _TIMEOUT, _TIME], (1, -1), stop,
                    complete=("live",)),
    "restart": Command("[OPTIONS] " + _MANY, "Restart one or more containers", [_SIGNAL, _TIMEOUT, _TIME], (1, -1), restart),
    "kill": Command("[OPTIONS] " + _MANY, "Kill one or more running containers", [_SIGNAL], (1, -1), kill,
                    complete=("live",)),
    "rm": Command(
        "[OPTIONS] " + _MANY, "Remove one or more containers",
        [
            Flag("force", "bool", "Force the removal of a running container (uses SIGKILL)", "f"),
            Flag("link", "bool", "Remove the specified link", "l"),
            Flag("volumes", "bool", "Remove anonymous volumes associated with the container", "v"),
        ],
        (1, -1), rm, complete=("stopped",),
    ),
    "pause": Command(_MANY, "Pause all processes within one or more containers", [], (1, -1), pause,
                     complete=("running",)),
    "unpause": Command(_MANY, "Unpause all processes within one or more containers", [], (1, -1), unpause,
                       complete=("paused",)),
    "wait": Command(_MANY, "Block until one or more containers stop, then print their exit codes", [], (1, -1), wait,
                    complete=("live",)),
    "rename": Command("CONTAINER NEW_NAME", "Rename a container", [], (2, 2), rename, complete=("containers", "")),
    "port": Command("CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping", [], (1, 2), port,
                    complete=("live", "")),
    "top": Command("CONTAINER [ps OPTIONS]", "Display the running processes of a container", [], (1, -1), top, False,
                   complete=("live", "")),
    "update": Command(
        "[OPTIONS] " + _MANY, "Update configuration of one or more containers",
        [
            *[Flag(name, kind, help_, short) for name, kind, short, help_ in RUN_OPTIONS if name in _UPDATES],
            Flag("cpus", "decimal", "Number of CPUs"),
            Flag("restart", "string", "Restart policy to apply when a container exits"),
            Flag("publish-add", "list", "Publish a port to the host as well"),
            Flag("publish-rm", "list", "Publish a port no longer: 80, 80/udp, 8080:80"),
        ],
        (1, -1), update,
    ),
    "container prune": Command(
        "[OPTIONS]", "Remove all stopped containers",
        [Flag("filter", "filter", 'Provide filter values (e.g. "until=<timestamp>")'),
         Flag("force", "bool", "Do not prompt for confirmation", "f")],
        (0, 0), prune,
    ),
}  # fmt: skip
