"""``berth-runtime``'s command line: the flags before the verb, the verb's own module, errors as runc tells them.

Each verb is a module of ``verbs/``, imported when it is asked for: the program's start is part of every call that podman or
containerd makes. Spec: OCI runtime-spec 1.2 runtime.md; runc's man pages for the flags.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

from berth.base.errors import BerthError, InvalidArgument
from berth.oci.flags import Flags, Options

VERBS = {
    "checkpoint": "write a running container to disk with CRIU", "create": "make a container, do not start it",
    "delete": "remove what is left of a container", "events": "show events and figures of a container",
    "exec": "run another process in a container", "features": "what this runtime can do, as JSON",
    "kill": "send a signal to a container's init (SIGTERM)", "list": "the containers of this root",
    "pause": "freeze all processes of a container", "ps": "the processes of a container",
    "restore": "bring a container back from a checkpoint", "resume": "go on after pause",
    "run": "create and start a container, and wait unless --detach", "spec": "write a config.json to start from",
    "start": "start what was created", "state": "the state of a container, as JSON",
    "update": "change the limits of a container",
}  # fmt: skip
GLOBAL = Flags(
    ("root", "log", "log-format", "rootless", "criu"), ("debug", "systemd-cgroup", "version,v", "help,h"),
)  # fmt: skip
EXEC_FAILED = 255


class Program(NamedTuple):
    """What the flags before the verb say."""

    root: str
    systemd: bool
    criu: str
    debug: bool
    log: str
    json_log: bool

    def warn(self, message: str) -> None:
        report(self, "warning", message)


def dispatch(words: list[str]) -> int:
    """Exit status: 0; 1 with a sentence (255 of exec); the process's own for ``run`` and ``exec``."""
    program = Program("", False, "", False, "", False)
    verb = ""
    try:
        options = GLOBAL.leading(words)
        if options.on("version"):
            return _show_version()
        if options.on("help") or not options.words or options.words[0] in ("help", "h"):
            return _show_help()
        program = _settings(options)
        verb, rest = options.words[0], options.words[1:]
        if verb not in VERBS:
            raise InvalidArgument(f"No help topic for '{verb}'")
        if rest and rest[0] in ("--help", "-h", "-help"):
            print(f"berth-runtime {verb}: {VERBS[verb]}")
            return 0
        module: Any = __import__(f"berth.oci.verbs.{verb}_" if verb in ("exec", "list") else f"berth.oci.verbs.{verb}",
                                 fromlist=["run"])  # fmt: skip
        status: int = module.run(program, module.FLAGS.parse(rest))
        return status
    except BerthError as err:
        starting = err.op == "execve" and verb in ("create", "run")
        return _fail(program, verb, f"unable to start container process: {err.message}" if starting else err.message)
    except OSError as err:
        where = f": {os.fsdecode(err.filename)}" if err.filename and not isinstance(err.filename, int) else ""
        return _fail(program, verb, f"{(err.strerror or str(err)).lower()}{where}")
    except KeyboardInterrupt:
        return 130


def _settings(options: Options) -> Program:
    from berth.oci.record import DEFAULT_ROOT

    log_format = options.text("log-format", "text")
    if log_format not in ("text", "json", ""):
        raise InvalidArgument(f"invalid log-format: {log_format}")
    return Program(
        options.text("root", DEFAULT_ROOT), options.on("systemd-cgroup"), options.text("criu", "criu"), options.on("debug"),
        options.text("log"), log_format == "json",
    )  # fmt: skip


def _fail(program: Program, verb: str, message: str) -> int:
    if verb in ("create", "run"):
        message = f"berth-runtime {verb} failed: {message}"
    elif verb == "exec":
        message = f"exec failed: {message}"
    report(program, "error", message)
    if program.log:
        print(message, file=sys.stderr)
    return EXEC_FAILED if verb == "exec" else 1


def report(program: Program, level: str, message: str) -> None:
    """One line of logrus's form, to ``--log`` or standard error."""
    from berth.oci.record import now

    at = now()[:19] + "Z"
    if program.json_log:
        import json

        line = json.dumps({"level": level, "msg": message, "time": at})
    else:
        quoted = message.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        line = f'time="{at}" level={level} msg="{quoted}"'
    if not program.log:
        print(line, file=sys.stderr)
        return
    try:
        with open(program.log, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as err:
        print(f"{line}\nberth-runtime: cannot write {program.log}: {err.strerror}", file=sys.stderr)


def _show_version() -> int:
    import berth
    from berth.oci.hooks import OCI_VERSION

    print(f"berth-runtime version {berth.__version__}\nspec: {OCI_VERSION}")
    return 0


def _show_help() -> int:
    print(
        "berth-runtime: an OCI runtime, with runc's command line\n\n"
        "Usage: berth-runtime [--root DIR] [--log FILE] [--log-format text|json] [--systemd-cgroup] [--debug] [--criu PROGRAM]\n"
        "                     COMMAND [OPTIONS] ID\n\nCommands:"
    )
    for name, what in VERBS.items():
        print(f"  {name:<11} {what}")
    return 0
