"""``exec`` and ``attach``."""

from __future__ import annotations

import os
import sys

from berth.base.errors import Conflict, InvalidArgument
from berth.cli import config
from berth.cli.command import Command
from berth.cli.commands.run import Proxy, exit_status
from berth.cli.create_body import read_env_file
from berth.cli.flags import Flag
from berth.cli.streams import Demux, RawTerminal, pump, window_size
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def exec_(engine: Engine, flags: Flags) -> int:
    tty, interactive, detach = flags.on("tty"), flags.on("interactive"), flags.on("detach")
    if tty and interactive and not detach and not os.isatty(0):
        raise InvalidArgument("the input device is not a TTY")
    env: list[str] = []
    for path in flags.list_("env-file"):
        env += read_env_file(path)
    for entry in flags.list_("env"):
        if "=" in entry:
            env.append(entry)
        elif entry in os.environ:
            env.append(f"{entry}={os.environ[entry]}")
    body = {
        "User": flags.text("user"), "Privileged": flags.on("privileged"), "Tty": tty,
        "AttachStdin": interactive and not detach, "AttachStdout": not detach, "AttachStderr": not detach,
        "DetachKeys": config.detach_keys(flags.text("detach-keys")), "Env": env, "WorkingDir": flags.text("workdir"),
        "Cmd": flags.args[1:],
    }  # fmt: skip
    exec_id = engine.post(f"/containers/{flags.args[0]}/exec", body)["Id"]
    start = {"Detach": detach, "Tty": tty}
    if tty:
        rows, cols = window_size()
        start["ConsoleSize"] = [rows, cols]  # type: ignore[assignment]
    if detach:
        engine.post(f"/exec/{exec_id}/start", start)
        return 0
    with RawTerminal(tty and interactive):
        sock, rest, _ = engine.hijack(f"/exec/{exec_id}/start", start)
        proxy = Proxy(engine, "", on=False, tty=tty, resize_path=f"/exec/{exec_id}/resize")
        try:
            pump(sock, rest, Demux(raw=tty), stdin=interactive, on_first=proxy.ready, wake_fd=proxy.fd,
                 on_wake=proxy.deliver)  # fmt: skip
        finally:
            proxy.close()
    found = engine.get(f"/exec/{exec_id}/json")
    return int(found["ExitCode"] or 0)


def attach(engine: Engine, flags: Flags) -> int:
    ref = flags.args[0]
    found = engine.get(f"/containers/{ref}/json")
    state, tty = found["State"], found["Config"]["Tty"]
    if not state["Running"]:
        raise InvalidArgument("You cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise Conflict("You cannot attach to a paused container, unpause it first")
    stdin = not flags.on("no-stdin") and bool(found["Config"]["OpenStdin"])
    if tty and stdin and not os.isatty(0):
        raise InvalidArgument("the input device is not a TTY")
    path = f"/containers/{found['Id']}/attach" + query(
        stream=True, stdin=stdin, stdout=True, stderr=True, detachKeys=config.detach_keys(flags.text("detach-keys"))
    )
    waiting = engine.send("POST", f"/containers/{found['Id']}/wait", fresh=True)
    sock, rest, _ = engine.hijack(path)
    proxy = Proxy(engine, found["Id"], on=flags.on("sig-proxy") and not tty, tty=tty)
    try:
        with RawTerminal(tty and stdin):
            pump(sock, rest, Demux(raw=tty), stdin=stdin, on_first=proxy.ready, wake_fd=proxy.fd,
                 on_wake=proxy.deliver)  # fmt: skip
    finally:
        proxy.close()
    sys.stdout.flush()
    return exit_status(engine, found["Id"], waiting, attached_tty=tty)


COMMANDS = {
    "exec": Command(
        "[OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container",
        [
            Flag("detach", "bool", "Run command in the background", "d"),
            Flag("detach-keys", "string", "Override the key sequence for detaching"),
            Flag("env", "list", "Set environment variables", "e"),
            Flag("env-file", "list", "Read in a file of environment variables"),
            Flag("interactive", "bool", "Keep STDIN open even if not attached", "i"),
            Flag("privileged", "bool", "Give extended privileges to the command"),
            Flag("tty", "bool", "Allocate a pseudo-TTY", "t"),
            Flag("user", "string", "Username or UID (name|uid[:group|gid])", "u"),
            Flag("workdir", "string", "Working directory inside the container", "w"),
        ],
        (2, -1), exec_, False, complete=("running", ""),
    ),
    "attach": Command(
        "[OPTIONS] CONTAINER", "Attach local standard input, output, and error streams to a running container",
        [
            Flag("detach-keys", "string", "Override the key sequence for detaching"),
            Flag("no-stdin", "bool", "Do not attach STDIN"),
            Flag("sig-proxy", "bool", "Proxy all received signals to the process", "", "true"),
        ],
        (1, 1), attach, complete=("running",),
    ),
}  # fmt: skip
