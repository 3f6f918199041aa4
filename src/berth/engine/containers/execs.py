"""``exec``: create, start, resize, inspect. Execs live in memory, as in Docker: a restart of the daemon forgets ended ones."""

from __future__ import annotations

import asyncio
import errno as errnos
import signal
import socket
from typing import Any

from berth.base.errors import BerthError, Conflict, InvalidArgument, NotFound
from berth.base.ids import new_id
from berth.engine.containers import state
from berth.engine.containers.attach import attach_options
from berth.engine.containers.deps import Deps, publish
from berth.engine.containers.record import Container
from berth.engine.containers.runtime_spec import render_exec_process
from berth.spec import messages
from berth.spec.shim import AttachOptions, ExecRequest
from berth.spec.streams import AttachPlan, parse_detach_keys

KEPT_AFTER_END = 500


class Exec:
    """One exec of one container."""

    __slots__ = ("config", "container", "done", "exit_code", "id", "pid", "running", "started")

    def __init__(self, exec_id: str, container: Container, config: dict[str, Any]) -> None:
        self.id = exec_id
        self.container = container
        self.config = config
        self.running = False
        self.started = False
        self.exit_code: int | None = None
        self.pid = 0
        self.done = asyncio.Event()

    def end(self, code: int) -> None:
        self.running = False
        self.exit_code = code
        self.done.set()


class Execs:
    """All execs, by id; the oldest ended ones are forgotten past ``KEPT_AFTER_END``."""

    def __init__(self) -> None:
        self._all: dict[str, Exec] = {}
        self._ended: list[str] = []
        self._deps: Deps | None = None

    def bind(self, deps: Deps) -> None:
        self._deps = deps

    def add(self, entry: Exec) -> None:
        self._all[entry.id] = entry
        entry.container.execs.add(entry.id)

    def find(self, exec_id: str) -> Exec | None:
        return self._all.get(exec_id)

    def get(self, exec_id: str) -> Exec:
        entry = self._all.get(exec_id)
        if entry is None:
            raise NotFound(messages.no_such_exec(exec_id))
        return entry

    def ended(self, exec_id: str, code: int) -> None:
        entry = self._all.get(exec_id)
        if entry is None or not entry.running:
            return
        entry.end(code)
        if self._deps is not None:
            publish(self._deps, entry.container, "exec_die", execID=exec_id, exitCode=str(code))
        self._ended.append(exec_id)
        if len(self._ended) > KEPT_AFTER_END:
            oldest = self._ended.pop(0)
            gone = self._all.pop(oldest, None)
            if gone is not None:
                gone.container.execs.discard(oldest)

    def container_ended(self, container_id: str) -> None:
        for entry in self._all.values():
            if entry.running and entry.container.id == container_id:
                entry.end(137)

    def forget(self, exec_ids: set[str]) -> None:
        for exec_id in exec_ids:
            self._all.pop(exec_id, None)


def words_of(argv: list[str]) -> str:
    """As events tell them: the program, a blank, its arguments."""
    return f"{argv[0]} {' '.join(argv[1:])}"


async def exec_create(deps: Deps, ref: str, body: dict[str, Any]) -> str:
    """Raises: NotFound, Conflict (not running, paused), InvalidArgument (no command)."""
    if not body.get("Cmd"):
        raise InvalidArgument("No exec command specified")
    container = deps.containers.get(ref)
    if not container.running:
        raise Conflict(f"container {container.id} is not running")
    state.check_not_paused(container)
    for entry in body.get("Env") or []:
        if not entry or entry.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {entry}")
    made = Exec(new_id(), container, body)
    deps.execs.add(made)
    publish(deps, container, "exec_create: " + words_of(body["Cmd"]), execID=made.id)
    return made.id


async def exec_start(deps: Deps, exec_id: str, body: dict[str, Any]) -> ExecSession | None:
    """Raises: NotFound, Conflict (started already, container gone)."""
    entry = deps.execs.get(exec_id)
    if entry.started:
        if entry.running:
            raise Conflict(f"exec {exec_id} is already running")
        raise Conflict(f"exec {exec_id} has already run")
    if not entry.container.running or entry.container.shim is None:
        raise Conflict(f"container {entry.container.id} is not running")
    state.check_not_paused(entry.container)
    session = ExecSession(deps, entry, body)
    if body.get("Detach"):
        await session.run(None, None)
        return None
    return session


class ExecSession:
    """A validated exec start: ``connect`` starts the process with the client attached."""

    def __init__(self, deps: Deps, entry: Exec, body: dict[str, Any]) -> None:
        self._deps = deps
        self._entry = entry
        self._size = body.get("ConsoleSize") or entry.config.get("ConsoleSize") or [0, 0]

    @property
    def tty(self) -> bool:
        return bool(self._entry.config.get("Tty"))

    async def connect(self, client: socket.socket, early: bytes) -> None:
        config = self._entry.config
        plan = AttachPlan(
            stdin=bool(config.get("AttachStdin")), stdout=bool(config.get("AttachStdout")),
            stderr=bool(config.get("AttachStderr")), stream=True, logs=False, detach_keys=detach_keys(config),
        )  # fmt: skip
        try:
            await self.run(client.fileno(), attach_options(plan, self.tty, early))
        except BerthError as err:
            await _say(client, err.message + "\r\n", framed=not self.tty)
        finally:
            client.close()

    async def run(self, client_fd: int | None, options: AttachOptions | None) -> None:
        """Start the process. Raises: InvalidArgument in Docker's words; the exit code is set to 126 or 127."""
        entry, deps = self._entry, self._deps
        shim = entry.container.shim
        if shim is None:
            raise Conflict(f"container {entry.container.id} is not running")
        request: ExecRequest = {
            "exec_id": entry.id,
            "process": render_exec_process(entry.container.row, deps.host, entry.config),
            "stdio": {"tty": self.tty, "stdin": bool(entry.config.get("AttachStdin")), "stdin_once": True,
                      "rows": int(self._size[0]), "cols": int(self._size[1])},
            "attach": options,
        }  # fmt: skip
        entry.started = True
        entry.running = True
        publish(deps, entry.container, "exec_start: " + words_of(entry.config["Cmd"]), execID=entry.id)
        try:
            entry.pid = await shim.exec(request, client_fd)
        except BerthError as err:
            entry.end(127 if err.errno == errnos.ENOENT else 126)
            raise InvalidArgument(
                f"OCI runtime exec failed: exec failed: unable to start container process: {err.message}",
                op=err.op, path=err.path, errno=err.errno,
            ) from err  # fmt: skip

    async def finished(self) -> None:
        await self._entry.done.wait()

    def abandon(self) -> None:
        """Nothing was started yet."""


async def run_captured(
    deps: Deps, container: Container, argv: list[str], timeout_s: float, output_max: int
) -> tuple[int, bytes]:
    """Run a command inside to its end: (exit code, at most so much of its output).

    Raises: TimeoutError with the output so far (the process was killed), Conflict, InvalidArgument (no such command).
    """
    made = Exec(new_id(), container, {"Cmd": argv, "AttachStdout": True, "AttachStderr": True})
    deps.execs.add(made)
    publish(deps, container, "exec_create: " + words_of(argv), execID=made.id)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    output = bytearray()
    plan = AttachPlan(stdin=False, stdout=True, stderr=True, stream=True, logs=False, detach_keys=b"")
    try:
        options: AttachOptions = {**attach_options(plan, False, b""), "framed": False}
        try:
            await ExecSession(deps, made, {}).run(theirs.fileno(), options)
        finally:
            theirs.close()
        async with asyncio.timeout(timeout_s):
            await _read_all(ours, output, output_max)
            await made.done.wait()
        return int(made.exit_code or 0), bytes(output)
    except TimeoutError:
        await kill_exec(deps, made, signal.SIGKILL)
        raise TimeoutError(bytes(output)) from None
    except asyncio.CancelledError:
        deps.tasks.start(kill_exec(deps, made, signal.SIGKILL), "end a probe")
        raise
    finally:
        ours.close()


async def _read_all(sock: socket.socket, output: bytearray, output_max: int) -> None:
    loop = asyncio.get_running_loop()
    while chunk := await loop.sock_recv(sock, 1 << 14):
        output += chunk[: max(0, output_max - len(output))]


async def exec_kill(deps: Deps, exec_id: str, number: int) -> None:
    """Send a signal to an exec's process. Raises: NotFound, Conflict (it does not run)."""
    entry = deps.execs.get(exec_id)
    if not entry.running:
        raise Conflict(f"exec {exec_id} is not running")
    await kill_exec(deps, entry, number)


async def kill_exec(deps: Deps, entry: Exec, number: int) -> None:
    """The same for one that may have ended meanwhile."""
    shim = entry.container.shim
    if not entry.running or shim is None:
        return
    try:
        await shim.kill(number, exec_id=entry.id)
    except NotFound:
        pass


def detach_keys(config: dict[str, Any]) -> bytes:
    """The configured sequence, Docker's ctrl-p ctrl-q otherwise. Raises: InvalidArgument."""
    return parse_detach_keys(config.get("DetachKeys"))


async def _say(client: socket.socket, text: str, *, framed: bool) -> None:
    raw = text.encode()
    if framed:
        raw = b"\x01\0\0\0" + len(raw).to_bytes(4, "big") + raw
    client.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_sendall(client, raw)
    except OSError:
        pass  # the client left


async def exec_resize(deps: Deps, exec_id: str, *, rows: int, cols: int) -> None:
    entry = deps.execs.get(exec_id)
    if not entry.running or entry.container.shim is None:
        raise Conflict(f"exec {exec_id} is not running")
    await entry.container.shim.resize(exec_id, rows, cols)


async def exec_inspect(deps: Deps, exec_id: str) -> dict[str, Any]:
    """Engine API, ExecInspect. Raises: NotFound."""
    entry = deps.execs.get(exec_id)
    config = entry.config
    words = config["Cmd"]
    return {
        "ID": entry.id,
        "Running": entry.running,
        "ExitCode": entry.exit_code,
        "ProcessConfig": {
            "tty": bool(config.get("Tty")),
            "entrypoint": words[0],
            "arguments": list(words[1:]),
            "privileged": bool(config.get("Privileged")),
            **({"user": config["User"]} if config.get("User") else {}),
        },
        "OpenStdin": bool(config.get("AttachStdin")),
        "OpenStderr": bool(config.get("AttachStderr")),
        "OpenStdout": bool(config.get("AttachStdout")),
        "CanRemove": not entry.running and entry.started,
        "ContainerID": entry.container.id,
        "DetachKeys": "",
        "Pid": entry.pid,
    }
