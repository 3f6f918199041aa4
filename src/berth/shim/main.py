"""One shim: it parks, gets a container, keeps it, and tells whoever asks how it ended.

parked ──create──▶ created ──start──▶ running ──init exits──▶ ended ──delete──▶ (gone)
  └─ the daemon goes away: gone too        └─ the daemon goes away: nothing happens
"""

from __future__ import annotations

import binascii
import gc
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from berth.base.clock import now_ns
from berth.base.errors import BerthError, Conflict, Internal, InvalidArgument, NotFound, from_oserror
from berth.kernel import process as p
from berth.kernel import tty
from berth.kernel.cgroups import Cgroup, Hierarchies
from berth.logs.writer import LogWriter, open_writer
from berth.oci import launch
from berth.oci.document import Document
from berth.oci.init import StageDefaults
from berth.shim import records
from berth.shim.conn import Conn
from berth.shim.loop import EpollLoop
from berth.shim.pipes import Pipes, close_quietly
from berth.shim.runtimes import Another, Container, Init, Own, group_of_another
from berth.shim.streams import EPOLLIN, EPOLLOUT, Client, Hub
from berth.spec.shim import VERSION, AttachOptions, ExitRecord

DRAIN_GRACE_S = 0.2
EXEC_GRACE_S = 0.05
ACK_PATIENCE_S = 1.0
ABANDONED_GRACE_S = 10.0


class ExecState:
    """A process beside init."""

    __slots__ = ("code", "exec_id", "hub", "kill_at", "pidfd", "until")

    def __init__(self, exec_id: str, pidfd: int, hub: Hub) -> None:
        self.exec_id = exec_id
        self.pidfd = pidfd
        self.hub = hub
        self.code: int | None = None
        self.until = 0.0
        self.kill_at = 0.0


class Shim:
    """State and event loop of one shim."""

    def __init__(self, control: socket.socket, hierarchies: Hierarchies, cgroup: Cgroup, init_path: str) -> None:
        self._loop = EpollLoop()
        self._hierarchies = hierarchies
        self._init_path = init_path
        self._cgroup = cgroup
        self._init: launch.InitHandle | None = None  # the parked one
        self._container: Container | None = None  # once it was created
        self._phase = "parked"
        self._id = ""
        self._shim_dir = ""
        self._config: Document | None = None
        self._log: LogWriter | None = None
        self._hub: Hub | None = None
        self._execs: dict[int, ExecState] = {}  # by pid
        self._record: ExitRecord | None = None
        self._status = 0
        self._reaped_at = 0.0
        self._listener: socket.socket | None = None
        self._conns: list[Conn] = []
        self._events: deque[dict[str, Any]] = deque()
        self._event_number = 0
        self._after_ack: list[tuple[int, float, Callable[[], None]]] = []
        self._leaving = False
        self._later: deque[Callable[[], None]] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._loop.watch(self._wake_read, EPOLLIN, self._child_signal)
        self._add_conn(control)

    # --- the loop

    def run(self) -> None:
        """Until there is nothing left to keep."""
        while not (self._leaving and not self._open_clients()):
            self._loop.step(self._timeout())
            while self._later:
                self._later.popleft()()
            self._tick()
        self._goodbye()

    def _timeout(self) -> float:
        """Plain loops: each generator is a function that a shim would make anew, on a page of its own."""
        if self._later:
            return 0.0
        if self._reaped_at or self._after_ack:
            return 0.01
        wanted = 0.5 if self._leaving else -1
        for state in self._execs.values():
            if state.code is not None:
                return 0.01
            if state.kill_at:
                wanted = 0.5
        for hub in self._hubs():
            if hub.paused:
                return 0.5
            for client in hub.clients:
                if client.out:
                    return 0.5
        return wanted

    def _hubs(self) -> list[Hub]:
        found = [e.hub for e in self._execs.values()]
        if self._hub is not None:
            found.append(self._hub)
        return found

    def _open_clients(self) -> bool:
        return any(c.out for h in self._hubs() for c in h.clients)

    def _tick(self) -> None:
        now = time.monotonic()
        for hub in self._hubs():
            hub.tick(now)
        if self._reaped_at:
            self._try_end(now)
        for pid, state in tuple(self._execs.items()):
            if state.code is not None:
                self._try_end_exec(pid, state, now)
            elif state.kill_at and now > state.kill_at:
                signal.pidfd_send_signal(state.pidfd, signal.SIGKILL)
        for entry in tuple(self._after_ack):
            if now > entry[1]:
                self._after_ack.remove(entry)
                entry[2]()

    def _goodbye(self) -> None:
        for conn in tuple(self._conns):
            conn.flush()
            conn.close()

    def _remove_files(self) -> None:
        """Socket and records, before anybody is told that this shim is gone: its successor uses the same folder."""
        if self._listener is None:
            return
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        self._listener = None
        for name in ("shim.sock", "shim.json", "exit.json"):
            try:
                os.unlink(os.path.join(self._shim_dir, name))
            except OSError:
                pass
        try:
            os.rmdir(self._shim_dir)
        except OSError:
            pass

    # --- connections

    def _add_conn(self, sock: socket.socket) -> None:
        conn = Conn(sock, self._request, self._conn_gone)
        self._conns.append(conn)
        self._loop.watch(conn.fd, EPOLLIN, lambda events: self._conn_ready(conn, events))

    def _conn_ready(self, conn: Conn, events: int) -> None:
        if events & EPOLLOUT:
            conn.flush()
        if events & ~EPOLLOUT and not conn.closed:
            conn.readable()
        self._watch_conn(conn)

    def _watch_conn(self, conn: Conn) -> None:
        if not conn.closed and conn.wants_write != conn.watched_for_write:
            conn.watched_for_write = conn.wants_write
            self._loop.change(conn.fd, EPOLLIN | (EPOLLOUT if conn.wants_write else 0))

    def _conn_gone(self, conn: Conn) -> None:
        self._loop.unwatch(conn.fd)
        if conn in self._conns:
            self._conns.remove(conn)
        if self._phase in ("parked", "created") and not self._conns:
            self._discard()

    def _accept(self, events: int) -> None:
        if self._listener is None:
            return
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if int.from_bytes(raw[4:8], "little") != 0:
            sock.close()  # only root may speak to a shim
            return
        self._add_conn(sock)

    def _request(self, conn: Conn, message: dict[str, Any], fds: list[int]) -> None:
        op, seq = message.get("op"), message.get("seq")
        handler = getattr(self, f"_op_{op}", None)
        try:
            if handler is None:
                raise InvalidArgument(f"the shim knows no operation {op!r}")
            args = message.get("args") or {}
            if "tail" in message:
                args["tail"] = message["tail"]
            answer = handler(conn, args, fds)
        except BerthError as err:
            conn.send({"re": seq, "error": err.to_wire()})
        except OSError as err:
            conn.send({"re": seq, "error": from_oserror(err, str(op)).to_wire()})
        except Exception as err:  # our own fault must reach the daemon's log, not end the container
            conn.send({"re": seq, "error": Internal(f"{op}: {type(err).__name__}: {err}").to_wire()})
        else:
            if answer is not None:
                conn.send({"re": seq, "ok": answer})
        finally:
            for fd in fds:
                close_quietly(fd)
        self._watch_conn(conn)

    def _emit(self, event: dict[str, Any]) -> int:
        self._event_number += 1
        event["n"] = self._event_number
        self._events.append(event)
        for conn in tuple(self._conns):
            conn.send(event)
        return self._event_number

    # --- operations

    def park(self, forked: launch.Forked) -> None:
        """Wait for the init to park, and say so. Raises: BerthError."""
        self._init = launch.wait_parked(forked)
        self._cgroup.adopt(self._init.pid)
        for conn in self._conns:
            conn.send({"event": "parked", "pid": os.getpid(), "init": self._init.pid, "version": VERSION},
                      (self._init.netns_fd, self._init.rtnl_fd))  # fmt: skip
        os.close(self._init.netns_fd)
        os.close(self._init.rtnl_fd)
        self._init.netns_fd = self._init.rtnl_fd = -1

    def _op_hello(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """A daemon takes over: it gets every event that nobody acknowledged, after this answer."""
        conn.greeted = True
        self._later.append(lambda: self._repeat(conn))
        return {
            "version": VERSION, "id": self._id, "phase": self._phase,
            "pid": self._process.pid if self._init is not None else 0, "cgroup": self._place,
        }  # fmt: skip

    def _repeat(self, conn: Conn) -> None:
        for event in tuple(self._events):
            conn.send(event)

    def _op_create(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if self._phase != "parked" or self._init is None:
            raise Conflict(f"the shim is {self._phase}")
        stdio = args["stdio"]
        self._id, self._shim_dir, self._config = args["id"], args["shim_dir"], Document(args["tail"])
        warnings = [] if args.get("runtime") else self._fit_cgroup(args["cgroup"]["name"], args["resources"])
        group = group_of_another(args["cgroup"]) if args.get("runtime") else self._cgroup
        self._listen(group)
        self._log = open_writer(args["log"])
        hub = self._hub = Hub(
            self._loop, tty=stdio["tty"], stdin_once=stdio["stdin_once"], log=self._log.write,
            log_end=self._log.finish, on_detach=lambda: self._detached(None),
        )  # fmt: skip
        pipes = Pipes(tty=stdio["tty"], stdin=stdio["stdin"])
        try:
            if args.get("runtime"):
                master = self._drive(args, self._config.spec, pipes.child)
            else:
                master, more = self._init.create(
                    self._config, args["rootfs"], pipes.child, rows=stdio["rows"], cols=stdio["cols"],
                    init_path=self._init_path if args.get("init") else "", at_once=bool(args.get("start")),
                )  # fmt: skip
                warnings += more
                self._container = Own(self._init, self._cgroup, self._config)
        except BaseException:
            pipes.close_all()
            raise
        pipes.hand_to(hub, master, stdin=stdio["stdin"])
        for options, fd in zip(args["attach"], fds, strict=False):
            self._attach(hub, options, os.dup(fd))
        self._phase = "created"
        if args.get("start"):
            self._op_start(conn, {}, [])
        return {"pid": self._process.pid, "warnings": warnings, "cgroup": self._place}

    def _fit_cgroup(self, name: str, resources: Mapping[str, Any]) -> list[str]:
        """The parked init's group becomes the container's; returns warnings."""
        try:
            self._cgroup.rename(name)
            if not resources:
                return []
            if resources.get("devices"):
                self._cgroup.apply_device_rules(resources["devices"])
            return self._cgroup.apply(resources)
        except OSError as err:
            file = f": {os.path.basename(err.filename)}" if isinstance(err.filename, str) else ""
            raise from_oserror(err, f"set the container's limits{file}", op="cgroup") from err

    def _drive(self, args: Mapping[str, Any], spec: Mapping[str, Any], stdio: list[int]) -> int:
        """The container of another runtime; returns the terminal's master or -1."""
        assert self._init is not None
        other = Another(args, self._id, self._shim_dir)
        master = other.create(self._init, spec, stdio, init_path=self._init_path if args.get("init") else "")
        self._container = other
        self._remove_cgroup()
        self._cgroup = group_of_another(args["cgroup"])
        return master

    @property
    def _place(self) -> str:
        """Of its group, below the root of each hierarchy: v2 does not rename, so it may be a parked one's still."""
        return f"{self._cgroup.parent}/{self._cgroup.name}"

    @property
    def _process(self) -> Init:
        """The container's init, whoever made it; before that the parked one."""
        assert self._init is not None
        return self._init if self._container is None else self._container.init

    @property
    def _made(self) -> Container:
        """Raises: Conflict before the container was created."""
        if self._container is None:
            raise Conflict(f"the shim is {self._phase}")
        return self._container

    def _listen(self, group: Cgroup) -> None:
        try:
            try:
                os.mkdir(self._shim_dir, 0o700)
            except FileExistsError:
                pass  # of its last run
            except FileNotFoundError:
                os.makedirs(self._shim_dir, 0o700)
            path = self._shim_dir + "/shim.sock"
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(path)
            listener.listen(8)
            listener.setblocking(False)
            records.write_shim(self._shim_dir, self._id, f"{group.parent}/{group.name}")
        except OSError as err:
            raise from_oserror(err, "make the shim's socket", path=self._shim_dir) from err
        self._listener = listener
        self._loop.watch(listener.fileno(), EPOLLIN, self._accept)

    def _op_start(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if self._phase != "created" or self._init is None:
            raise Conflict(f"the shim is {self._phase}")
        self._process.start()
        self._phase = "running"
        return {}

    def _op_kill(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if self._init is None or self._process.pidfd < 0 or self._reaped_at or self._record is not None:
            raise NotFound("the container's process has ended")
        if args.get("exec_id"):
            self._kill_exec(str(args["exec_id"]), int(args["signal"]))
            return {}
        if args.get("all"):
            self._cgroup.kill()
            return {}
        self._made.signal(int(args["signal"]))
        return {}

    def _kill_exec(self, exec_id: str, number: int) -> None:
        state = next((e for e in self._execs.values() if e.exec_id == exec_id and e.code is None), None)
        if state is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        try:
            signal.pidfd_send_signal(state.pidfd, number)
        except ProcessLookupError:
            pass  # it has just ended: its event comes

    def _exec_abandoned(self, exec_id: str) -> None:
        """The client of an exec vanished: the process hears it as from a terminal that is gone, and ends some time after."""
        for pid, state in self._execs.items():
            if state.exec_id == exec_id and state.code is None and not state.kill_at:
                state.kill_at = time.monotonic() + ABANDONED_GRACE_S
                try:
                    os.killpg(pid, signal.SIGHUP)
                except (ProcessLookupError, PermissionError):
                    pass

    def _op_exec(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if self._phase != "running" or self._init is None or self._config is None or self._reaped_at:
            raise Conflict("the container does not run")
        exec_id, stdio = args["exec_id"], args["stdio"]
        hub = Hub(
            self._loop, tty=stdio["tty"], stdin_once=True, log=_no_log, log_end=_no_log_end,
            on_detach=lambda: self._detached(exec_id), on_vanish=lambda: self._exec_abandoned(exec_id),
        )  # fmt: skip
        pipes = Pipes(tty=stdio["tty"], stdin=stdio["stdin"])
        try:
            pid, pidfd, master = self._made.exec_process(
                args["process"], pipes.child, rows=stdio["rows"], cols=stdio["cols"]
            )
        except BaseException:
            pipes.close_all()
            raise
        pipes.hand_to(hub, master, stdin=stdio["stdin"])
        self._execs[pid] = ExecState(exec_id, pidfd, hub)
        if fds and args.get("attach"):
            self._attach(hub, args["attach"], os.dup(fds[0]))
        self._later.append(self._reap)  # it may have ended before it was known here
        return {"pid": pid}

    def _op_attach(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if self._hub is None or not fds:
            raise Conflict("the container does not run")
        if self._record is not None:
            return {}  # it has ended: the client sees the end of its stream
        self._attach(self._hub, args["options"], os.dup(fds[0]))
        return {}

    def _attach(self, hub: Hub, options: AttachOptions, fd: int) -> None:
        client = Client(
            self._loop, socket.socket(fileno=fd), stdin=options["stdin"], stdout=options["stdout"],
            stderr=options["stderr"], framed=options["framed"] and not hub.tty,
            detach_keys=binascii.a2b_base64(options["detach_keys"]),
        )  # fmt: skip
        hub.attach(client, binascii.a2b_base64(options["early"]))

    def _detached(self, exec_id: str | None) -> None:
        self._emit({"event": "detached", "exec_id": exec_id})

    def _op_resize(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        hub = self._hub
        if args.get("exec_id"):
            hub = next((e.hub for e in self._execs.values() if e.exec_id == args["exec_id"]), None)
            if hub is None:
                raise NotFound(f"No such exec instance: {args['exec_id']}")
        if hub is not None and hub.master >= 0:
            tty.set_winsize(hub.master, int(args["rows"]), int(args["cols"]))
        return {}

    def _op_pause(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        self._made.pause()
        return {}

    def _op_resume(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        self._made.resume()
        return {}

    def _op_update(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        return {"warnings": self._made.update(args["resources"])}

    def _op_state(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        return {
            "id": self._id, "phase": self._phase, "pid": self._process.pid if self._init is not None else 0,
            "pids": self._cgroup.procs(), "stats": self._cgroup.stats(), "lost": self._log.lost if self._log else 0,
        }  # fmt: skip

    def _op_close_stdin(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if self._hub is not None:
            self._hub.close_stdin()
        return {}

    def _op_reopen_log(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        if self._log is not None:
            self._log.reopen()
        return {}

    def _op_ack(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> None:
        number = int(args["n"])
        while self._events and self._events[0]["n"] <= number:
            self._events.popleft()
        for entry in tuple(self._after_ack):
            if entry[0] <= number:
                self._after_ack.remove(entry)
                entry[2]()

    def _op_delete(self, conn: Conn, args: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Clean up after the end; an init that still lives is killed."""
        if self._record is None:
            self._discard()
        else:
            self._remove_container()
            self._remove_cgroup()
            self._remove_files()
            self._leaving = True
        return {}

    def _discard(self) -> None:
        """Nobody wants this container (any more): kill it and go."""
        if self._init is not None and self._process.pidfd >= 0 and not self._reaped_at and self._record is None:
            self._cgroup_kill()
            try:
                signal.pidfd_send_signal(self._process.pidfd, signal.SIGKILL)
                os.waitpid(self._process.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        self._remove_container()
        if self._hub is not None:
            self._hub.finish()
        if self._log is not None:
            self._log.close()
        self._remove_cgroup()
        self._remove_files()
        self._reaped_at = 0.0
        self._leaving = True

    def _remove_container(self) -> None:
        if self._container is not None:
            self._container.remove()

    def _cgroup_kill(self) -> None:
        try:
            self._cgroup.kill()
        except OSError:
            pass

    def _remove_cgroup(self) -> None:
        for attempt in range(50):
            try:
                self._cgroup.delete()
                return
            except OSError:
                self._cgroup_kill()
                time.sleep(0.001 * (attempt + 1))  # processes of a shared pid namespace are still ending

    # --- ends

    def _child_signal(self, events: int) -> None:
        try:
            os.read(self._wake_read, 512)
        except BlockingIOError:
            pass
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = -os.waitstatus_to_exitcode(status) + 128 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            if self._init is not None and pid == self._process.pid:
                self._status = status
                self._reaped_at = time.monotonic()
                self._try_end(self._reaped_at)
            elif pid in self._execs:
                state = self._execs[pid]
                state.code = code
                state.until = time.monotonic() + EXEC_GRACE_S
                self._try_end_exec(pid, state, time.monotonic())

    def _try_end(self, now: float) -> None:
        """The container has ended once its output was read to the end (or somebody else holds it open too long)."""
        if self._phase == "created" or self._init is None:
            return  # killed before it was started: the start's own error tells
        if self._hub is not None and not self._hub.drain() and now - self._reaped_at < DRAIN_GRACE_S:
            return
        self._reaped_at = 0.0
        status = self._status
        signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if self._log is not None:
            self._log.close()
        record: ExitRecord = {
            "id": self._id, "code": 128 + signalled if signalled else os.WEXITSTATUS(status), "signal": signalled,
            "oom_killed": signalled == signal.SIGKILL and self._cgroup.oom_kills() > 0,
            "at_ns": now_ns(),
        }  # fmt: skip
        self._record = record
        self._phase = "ended"
        os.close(self._process.pidfd)
        self._process.pidfd = -1
        try:
            records.write_exit(self._shim_dir, record)
        except OSError:
            pass  # no space left: the event still tells, as long as this shim lives
        self._emit({"event": "exited", **record})
        if self._hub is not None:
            self._hub.finish()

    def _try_end_exec(self, pid: int, state: ExecState, now: float) -> None:
        if not state.hub.drain() and now < state.until:
            return
        del self._execs[pid]
        os.close(state.pidfd)
        number = self._emit({"event": "exec_exited", "exec_id": state.exec_id, "code": state.code})
        if self._conns:
            # the client asks for the exit code as soon as its stream ends: the daemon must know it by then
            self._after_ack.append((number, now + ACK_PATIENCE_S, state.hub.finish))
        else:
            state.hub.finish()


def _noop(number: int, frame: object) -> None:
    return


def _no_log(stream: str, chunk: bytes) -> None:
    return


def _no_log_end(stream: str) -> None:
    return


def run_shim(
    control: socket.socket, hierarchies: Hierarchies, defaults: StageDefaults, cgroup: Cgroup, init_path: str,
    linux: dict[str, Any] | None,
) -> None:  # fmt: skip
    """Be a shim until there is nothing left to keep. After: a fork from the zygote, whose ignored signals stay ignored."""
    gc.disable()  # nothing here makes cycles; a collection would unshare the zygote's pages
    p.handle_signal(signal.SIGCHLD, _noop)  # the zygote's reaps whatever ends
    try:
        # the fork before everything else: a page that this process has written to is copied once more after it
        forked = launch.fork_init(cgroup, hierarchies, defaults, linux=linux, make_cgroup=True)
        p.set_name("berth-shim")
        p.prctl(p.PR_SET_CHILD_SUBREAPER, 1)
        shim = Shim(control, hierarchies, cgroup, init_path)
        shim.park(forked)
    except (BerthError, OSError) as err:
        _give_up(control, cgroup, err if isinstance(err, BerthError) else from_oserror(err, "park a shim"))
        return
    shim.run()


def _give_up(control: socket.socket, cgroup: Cgroup, err: BerthError) -> None:
    try:
        cgroup.delete()
    except OSError:
        pass  # the error that is told is the first one
    Conn(control, lambda *_: None, lambda _: None).send({"event": "failed", "error": err.to_wire()})
