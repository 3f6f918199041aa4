"""``run`` and ``create``."""

from __future__ import annotations

import os
import sys

from berth.base.errors import BerthError, Conflict, InvalidArgument, NotFound, Unavailable
from berth.cli import config
from berth.cli.command import Command, Failed, report
from berth.cli.create_body import build
from berth.cli.flags import Flag
from berth.cli.streams import Demux, RawTerminal, pump, window_size
from berth.client import quick_json
from berth.client.engine import query
from berth.spec.run_options import CHECKS, DEFAULTS, HIDDEN, RUN_ONLY, RUN_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from berth.cli.flags import Flags
    from berth.client.engine import Engine
    from berth.client.http import Response


def _flags(*, for_create: bool) -> list[Flag]:
    return [
        Flag(
            name,
            kind,
            help_,
            short,
            DEFAULTS.get(name, ""),
            hidden=name in HIDDEN,
            check=CHECKS.get(name, ""),
        )
        for name, kind, short, help_ in RUN_OPTIONS
        if not (for_create and name in RUN_ONLY)
    ]


def create_container(engine: Engine, flags: Flags, body: dict[str, Any]) -> str:
    """Create, pulling the image as --pull says; returns the id. Raises: what the engine says."""
    policy = flags.text("pull") or "missing"
    if policy not in ("always", "missing", "never"):
        raise Failed(f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"', 125)
    platform = flags.text("platform")
    path = "/containers/create" + query(name=flags.text("name"), platform=platform)
    if policy == "always":
        _pull(engine, body["Image"], platform, quiet=flags.on("quiet"))
    try:
        answer = engine.post(path, body)
    except NotFound as err:
        if policy != "missing" or "no such image" not in err.message.lower():
            raise
        if not flags.on("quiet"):
            print(f"Unable to find image '{_with_tag(body['Image'])}' locally", file=sys.stderr)
        _pull(engine, body["Image"], platform, quiet=flags.on("quiet"))
        answer = engine.post(path, body)
    for warning in answer.get("Warnings") or ():
        print(f"WARNING: {warning}", file=sys.stderr)
    return str(answer["Id"])


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-/")


def check_image(image: str) -> None:
    """Raises: InvalidArgument for what can be no image's name; most names are seen to be good without the whole grammar."""
    name, _, tag = image.partition(":")
    if not name or not _PLAIN.issuperset(name) or not _PLAIN.issuperset(tag) or not name[0].isalnum():
        from berth.spec.reference import parse_any

        parse_any(image)


def check_platform(text: str) -> None:
    """Raises: InvalidArgument."""
    if not text:
        return
    from berth.spec.platform import parse_platform

    try:
        parse_platform(text)
    except InvalidArgument as err:
        raise InvalidArgument(f"error parsing specified platform: {err.message}: invalid argument") from err


def _with_tag(image: str) -> str:
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


def _pull(engine: Engine, image: str, platform: str, *, quiet: bool) -> None:
    from berth.cli.commands.transfer import pull_image

    pull_image(engine, image, platform, quiet=quiet, out=sys.stderr)


def _prepare(engine: Engine, flags: Flags) -> tuple[str, dict[str, Any]]:
    """A container as the flags say, and its body. Raises: InvalidArgument."""
    try:
        body = build(flags, flags.args[0], flags.args[1:])
    except Failed:
        raise
    except InvalidArgument as err:
        raise Failed(err.message, 125) from err
    check_image(flags.args[0])
    check_platform(flags.text("platform"))
    body["Env"] += _proxies(engine, body["Env"])
    if flags.on("use-api-socket"):
        from berth.cli.api_socket import ApiSocket

        socket = ApiSocket(engine)
        socket.mount(body)
        container_id, body = _create(engine, flags, body)
        try:
            socket.log_in(container_id)
        except BerthError:
            _remove_quietly(engine, container_id)
            raise
        return container_id, body
    return _create(engine, flags, body)


def _create(engine: Engine, flags: Flags, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The container and its body; its id is in the cidfile."""
    if body["Tty"]:
        rows, cols = window_size()
        body["HostConfig"]["ConsoleSize"] = [rows, cols]
    cidfile = flags.text("cidfile")
    if not cidfile:
        return create_container(engine, flags, body), body
    file = _open_cidfile(cidfile)
    try:
        container_id = create_container(engine, flags, body)
        file.write(container_id)
    finally:
        empty = not file.tell()
        file.close()
        if empty:
            os.unlink(cidfile)
    return container_id, body


def _open_cidfile(path: str) -> TextIO:
    """A new file, before there is a container to write down. Raises: InvalidArgument."""
    try:
        return open(path, "x", encoding="ascii")
    except FileExistsError:
        raise InvalidArgument(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from None
    except OSError as err:
        raise InvalidArgument(
            f"failed to create the container ID file: open {path}: {(err.strerror or str(err)).lower()}"
        ) from err


def _proxies(engine: Engine, given: list[str]) -> list[str]:
    """The user's ``proxies`` for this engine, as variables that the container is not given another way."""
    named = {entry.partition("=")[0] for entry in given}
    found = config.proxy_environment(engine.host)
    return [f"{name}={value}" for name, value in found.items() if name not in named]


def create(engine: Engine, flags: Flags) -> int:
    container_id, _ = _prepare(engine, flags)
    print(container_id)
    return 0


def run(engine: Engine, flags: Flags) -> int:
    if flags.on("tty") and flags.on("interactive") and not flags.on("detach") and not os.isatty(0):
        raise Failed("the input device is not a TTY")
    container_id, body = _prepare(engine, flags)
    if flags.on("detach"):
        try:
            engine.post(
                f"/containers/{container_id}/start" + query(detachKeys=config.detach_keys(flags.text("detach-keys")))
            )
        except BerthError as err:
            return _start_failed(err)
        print(container_id)
        return 0
    return _foreground(engine, flags, container_id, body)


def _foreground(engine: Engine, flags: Flags, container_id: str, body: dict[str, Any]) -> int:
    attached = body["AttachStdin"] or body["AttachStdout"] or body["AttachStderr"]
    sock, rest = None, b""
    if attached:
        path = f"/containers/{container_id}/attach" + query(
            stream=True, stdin=body["AttachStdin"], stdout=body["AttachStdout"], stderr=body["AttachStderr"],
            detachKeys=config.detach_keys(flags.text("detach-keys")),
        )  # fmt: skip
        sock, rest, _ = engine.hijack(path)
    condition = "removed" if body["HostConfig"]["AutoRemove"] else "next-exit"
    waiting = engine.send("POST", f"/containers/{container_id}/wait" + query(condition=condition), fresh=True)
    proxy = Proxy(engine, container_id, on=flags.on("sig-proxy") and not body["Tty"], tty=body["Tty"])
    try:
        with RawTerminal(bool(body["Tty"] and body["AttachStdin"])):
            try:
                engine.post(f"/containers/{container_id}/start")
            except BerthError as err:
                if sock is not None:
                    sock.close()
                status = _start_failed(err)
                if body["HostConfig"]["AutoRemove"]:
                    _remove_quietly(engine, container_id)
                return status
            proxy.ready()
            if sock is not None:
                pump(
                    sock, rest, Demux(raw=body["Tty"]), stdin=body["AttachStdin"], wake_fd=proxy.fd,
                    on_wake=proxy.deliver,
                )  # fmt: skip
    finally:
        proxy.close()
    return exit_status(engine, container_id, waiting, attached_tty=body["Tty"])


def exit_status(engine: Engine, container_id: str, waiting: Response, *, attached_tty: bool) -> int:
    """The container's exit code; after a detach 0, with the container running on."""
    import select

    if attached_tty:
        # a detached terminal ends its stream while the container runs: an exit would be told at once
        ready, _, _ = select.select([waiting], [], [], 0.3)
        if not ready and not waiting.ready:
            try:
                if engine.get(f"/containers/{container_id}/json")["State"]["Running"]:
                    return 0
            except NotFound:
                pass
    try:
        answer = quick_json.loads(waiting.read())
    except (Unavailable, ValueError) as err:
        print(f"error waiting for container: {err}", file=sys.stderr)
        return 125
    if answer.get("Error"):
        print(answer["Error"]["Message"], file=sys.stderr)
        return 125
    return int(answer["StatusCode"])


def _remove_quietly(engine: Engine, container_id: str) -> None:
    try:
        engine.delete(f"/containers/{container_id}")
    except BerthError:
        pass


def _start_failed(err: BerthError) -> int:
    """126 when the command can't be executed, 127 when it isn't there, else 125."""
    text = err.message.lower()
    status = 125
    if "executable file not found" in text or "no such file or directory" in text:
        status = 127
    elif "permission denied" in text or "is a directory" in text or "exec format error" in text:
        status = 126
    report(err, "run", 125)
    return status


class Proxy:
    """Signals that come to us go to the container; a changed window size too."""

    _SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT", "SIGALRM")

    def __init__(self, engine: Engine, container_id: str, *, on: bool, tty: bool, resize_path: str = "") -> None:
        self._engine = engine
        self._id = container_id
        self._tty = tty
        self._resize_path = resize_path or f"/containers/{container_id}/resize"
        self._pending: list[int] = []
        self._started = False
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        import signal

        for name in self._SIGNALS:
            if on or (tty and name == "SIGWINCH"):
                signal.signal(getattr(signal, name), self._note)

    def _note(self, number: int, frame: object) -> None:
        import signal

        self._pending.append(number)
        try:
            os.write(self._write_fd, b"x")
        except BlockingIOError:
            pass
        if number == signal.SIGINT and self._pending.count(signal.SIGINT) >= 3:
            os._exit(130)  # whoever presses it three times wants out

    def ready(self) -> None:
        """The container runs: what came before goes out now, and the window size."""
        self._started = True
        if self._tty:
            self._resize()
        self.deliver()

    def deliver(self) -> None:
        if not self._started:
            return
        import signal

        pending, self._pending = self._pending, []
        for number in pending:
            if number == signal.SIGWINCH and self._tty:
                self._resize()
                continue
            if number in (signal.SIGWINCH, signal.SIGCONT) and not self._id:
                continue
            try:
                self._engine.post(f"/containers/{self._id}/kill" + query(signal=str(number)))
            except (NotFound, Conflict):
                pass

    def _resize(self) -> None:
        rows, cols = window_size()
        if rows and cols:
            try:
                self._engine.post(self._resize_path + query(h=rows, w=cols))
            except BerthError:
                pass

    def close(self) -> None:
        import signal

        for name in self._SIGNALS:
            if signal.getsignal(getattr(signal, name)) == self._note:
                default = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
                signal.signal(getattr(signal, name), default)
        os.close(self.fd)
        os.close(self._write_fd)


_USAGE = "[OPTIONS] IMAGE [COMMAND] [ARG...]"
COMMANDS = {
    "run": Command(
        _USAGE,
        "Create and run a new container from an image",
        _flags(for_create=False),
        (1, -1),
        run,
        False,
        125,
        complete=("images", ""),
    ),
    "create": Command(
        _USAGE, "Create a new container", _flags(for_create=True), (1, -1), create, False, 1, complete=("images", "")
    ),
}
