"""The parent's side: make an init, tell it what to become, run another process beside it.

Only for single-threaded processes (the shim, ``berth-runtime``): it forks, and it changes the namespace of its children.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from berth.base.errors import BerthError, DeadlineExceeded, Internal, InvalidArgument, from_oserror
from berth.kernel import idmap, tty
from berth.kernel import process as p
from berth.kernel.cgroups import Cgroup, Hierarchies
from berth.oci import channel, hooks, init, labels, namespaces, notify, sources, tuning
from berth.oci.document import Document
from berth.oci.init import StageDefaults
from berth.oci.namespaces import Spaces
from berth.oci.process import become, prepare, set_oom_score
from berth.spec.shim import OverlayRootfs

PATIENCE_S = 120.0
"""How long a child may take for one step (a bind source on a slow network filesystem) before it is killed."""


class Forked(NamedTuple):
    """An init on its way to where it waits."""

    pid: int
    sock: socket.socket
    spaces: Spaces


class InitHandle:
    """An init that waits: parked, then created, then started. The caller owns the descriptors and reaps the process."""

    def __init__(self, pid: int, sock: socket.socket, netns_fd: int, rtnl_fd: int, spaces: Spaces) -> None:
        self.pid = pid
        self.spaces = spaces
        self.pidfd = os.pidfd_open(pid)
        self.netns_fd = netns_fd
        self.rtnl_fd = rtnl_fd
        self._sock = sock
        self._at_once = False

    def create(
        self, config: Document, rootfs: OverlayRootfs | None, stdio: Sequence[int], *, rows: int = 0,
        cols: int = 0, init_path: str = "", exec_fifo: str = "", at_once: bool = False,
        how: Mapping[str, Any] | None = None,
    ) -> tuple[int, list[str]]:  # fmt: skip
        """Everything up to execve. ``stdio``: three descriptors, or none with a terminal.

        ``at_once``: the init goes on by itself, ``start`` then only waits for its execve. ``how``: id, bundle and
        annotations (for hooks and agents), keyring, no_pivot. Returns (master of the terminal or -1, warnings).
        Raises: the kind of what failed, naming the step.
        """
        request = {"rootfs": rootfs, "rows": rows, "cols": cols, "init_path": init_path, "at_once": at_once,
                   "exec_fifo": exec_fifo, "host_pid": os.getpid(), "pid": self.pid, **(how or {})}  # fmt: skip
        if config.mentions(b'"uidMappings"'):
            _give_pipes(stdio, config.linux)
        if sources.needed(config, self.spaces):
            sources.hand_over(self._sock, config.spec, self.spaces, rootfs)
        self._at_once = at_once
        answer, fds = self._ask(request, stdio, config.text)
        while "hooks" in answer:
            self._run_hooks(config.spec["hooks"], request)
            answer, fds = self._ask({"go": True}, ())
        return (fds[0] if fds else -1), list(answer.get("warnings") or ())

    @staticmethod
    def _run_hooks(wanted: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        state = hooks.state_of(request, "creating")
        for name in ("prestart", "createRuntime"):
            hooks.run_all(wanted, name, state, str(request.get("bundle") or ""))

    def start(self) -> None:
        """Let it become its program. Raises: NotFound, Forbidden, InvalidArgument when execve refuses."""
        try:
            if not self._at_once:
                channel.send(self._sock, {"start": True})
            message, _ = channel.receive(self._sock)
        except (channel.ChannelClosed, BrokenPipeError, ConnectionResetError):
            self._sock.close()
            return  # the end of the stream is execve's close-on-exec
        channel.raise_if_error(message)

    def _ask(self, message: dict[str, Any], fds: Sequence[int], tail: bytes = b"") -> tuple[dict[str, Any], list[int]]:
        try:
            channel.send(self._sock, message, fds, tail)
            answer, received = channel.receive(self._sock)
        except TimeoutError as err:
            self.kill()
            raise DeadlineExceeded(f"the container's init took longer than {PATIENCE_S:.0f} s") from err
        except (channel.ChannelClosed, OSError) as err:
            raise Internal(f"the container's init (process {self.pid}) died while it was set up") from err
        return channel.raise_if_error(answer), received

    def kill(self) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        """Give up an init that was not started: it ends by itself."""
        self._sock.close()
        for fd in (self.pidfd, self.netns_fd, self.rtnl_fd):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.netns_fd = self.rtnl_fd = -1


def park_init(
    cgroup: Cgroup, hierarchies: Hierarchies, defaults: StageDefaults, *, staged: bool = True,
    linux: Mapping[str, Any] | None = None, kept_fds: Sequence[int] = (),
) -> InitHandle:  # fmt: skip
    """``fork_init`` into a cgroup that is made, and ``wait_parked``."""
    return wait_parked(fork_init(cgroup, hierarchies, defaults, staged=staged, linux=linux, kept_fds=kept_fds))


def fork_init(
    cgroup: Cgroup, hierarchies: Hierarchies, defaults: StageDefaults, *, staged: bool = True,
    linux: Mapping[str, Any] | None = None, kept_fds: Sequence[int] = (), make_cgroup: bool = False,
) -> Forked:  # fmt: skip
    """Fork an init into fresh namespaces and the empty cgroup; it stages what it can and blocks.

    ``linux`` of the config, when it is known already, decides about the namespaces: fresh, the host's, or joined.
    ``kept_fds``: from 3 on, to be the program's too. ``make_cgroup``: it is not there yet; where a process joins it by
    itself (v1) and may, the init makes it as well, beside its parent's work. Raises: OSError, BerthError.
    """
    spaces = namespaces.plan(linux) if linux is not None else namespaces.PARKED
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    by_init = make_cgroup and cgroup.version == 1 and not cgroup.of_systemd and not spaces.in_user_namespace
    if make_cgroup and not by_init:
        cgroup.make({})
    cgroup_fd = cgroup.fork_fd()
    try:
        with _children_in(spaces.pid_path if spaces.user_path is None else None):
            pid = _fork_init(spaces, cgroup_fd)
            if pid == 0:
                ours.close()
                init.run(
                    theirs, cgroup, hierarchies, defaults, spaces, joined=cgroup_fd >= 0, make_cgroup=by_init,
                    staged=staged and not spaces.in_user_namespace, kept_fds=kept_fds,
                )  # fmt: skip
    finally:
        if cgroup_fd >= 0:
            os.close(cgroup_fd)
    theirs.close()
    return Forked(pid, ours, spaces)


def wait_parked(forked: Forked) -> InitHandle:
    """Raises: BerthError: what kept the init from parking; it is reaped."""
    pid, ours, spaces = forked
    ours.settimeout(PATIENCE_S)
    try:
        if spaces.fresh_user:
            idmap.write_maps(pid, spaces.uid_mappings, spaces.gid_mappings)
            channel.send(ours, {"mapped": True})
        message, fds = channel.receive(ours)
        channel.raise_if_error(message)
    except (channel.ChannelClosed, BerthError, OSError) as err:
        ours.close()  # it ends with its channel
        os.waitpid(pid, 0)
        if isinstance(err, BerthError):
            raise
        if isinstance(err, OSError):
            raise from_oserror(err, f"write the id maps of the user namespace: {err.filename}", op="uid_map") from err
        raise Internal("the container's init died while it was prepared") from err
    return InitHandle(pid, ours, fds[0], fds[1], spaces)


def _fork_init(spaces: Spaces, cgroup_fd: int) -> int:
    """0 in the child. A user namespace with a path is joined by a process between us, so that the rest belongs to it.

    That one lives in our pid namespace, so the number it tells is one of ours; only its child is born in another.
    """
    if spaces.user_path is None:
        return p.fork(spaces.clone_flags, cgroup_fd)
    read, write = os.pipe()
    middle = os.fork()
    if middle:
        os.close(write)
        raw = os.read(read, 4)
        os.close(read)
        os.waitpid(middle, 0)
        if len(raw) < 4:
            raise InvalidArgument(f"join the user namespace {spaces.user_path}: it cannot be joined", op="setns")
        return int.from_bytes(raw, "little")
    os.close(read)
    try:
        namespaces.join_path("user", spaces.user_path)
        if spaces.pid_path is not None:
            namespaces.join_path("pid", spaces.pid_path)
        pid = p.fork(spaces.clone_flags, cgroup_fd, for_parent=True)
        if pid == 0:
            os.close(write)
            return 0
        os.write(write, pid.to_bytes(4, "little"))
    except BaseException:
        os._exit(1)
    os._exit(0)


def _give_pipes(stdio: Sequence[int], linux: Mapping[str, Any]) -> None:
    """To the root of a user namespace: an owner that its map does not have nobody inside could take over from."""
    if not linux.get("uidMappings"):
        return
    uid, gid = idmap.host_id(linux["uidMappings"], 0), idmap.host_id(linux.get("gidMappings") or (), 0)
    for fd in stdio:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.fchown(fd, uid, gid)


class _children_in:
    """Children forked inside are born in another pid namespace; ours is set back after."""

    def __init__(self, path: str | None, pidfd: int = -1) -> None:
        self._path = path
        self._pidfd = pidfd
        self._own = -1

    def __enter__(self) -> None:
        if self._path is None and self._pidfd < 0:
            return
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if self._pidfd >= 0:
                p.setns(self._pidfd, p.CLONE_NEWPID)
                return
            fd = os.open(self._path or "", os.O_RDONLY | os.O_CLOEXEC)
            try:
                p.setns(fd, p.CLONE_NEWPID)
            finally:
                os.close(fd)
        except OSError as err:
            os.close(self._own)
            self._own = -1
            raise from_oserror(err, f"join the pid namespace {self._path or ''}", op="setns") from err

    def __exit__(self, *_: object) -> None:
        if self._own >= 0:
            p.setns(self._own, p.CLONE_NEWPID)
            os.close(self._own)
            self._own = -1


_EXEC_SPACES = p.CLONE_NEWNS | p.CLONE_NEWUTS | p.CLONE_NEWIPC | p.CLONE_NEWNET | p.CLONE_NEWCGROUP


def _exec_spaces(linux: Mapping[str, Any]) -> int:
    """What an exec joins at once: user and time only where the container has its own (joining one's own user is refused)."""
    flags = _EXEC_SPACES
    for space in linux.get("namespaces") or ():
        if space.get("type") == "user":
            flags |= p.CLONE_NEWUSER
        elif space.get("type") == "time":
            flags |= p.CLONE_NEWTIME
    return flags


def exec_process(
    init_pidfd: int, cgroup: Cgroup, linux: Mapping[str, Any], process: Mapping[str, Any], stdio: Sequence[int], *,
    rows: int = 0, cols: int = 0, how: Mapping[str, Any] | None = None, kept_fds: Sequence[int] = (),
) -> tuple[int, int, int]:  # fmt: skip
    """Run ``process`` (an OCI process object) in the namespaces and cgroups of an init.

    Returns (pid, pidfd, master of the terminal or -1); the program runs when this returns.
    Raises: NotFound, Forbidden, InvalidArgument (the program, user, cwd), Internal (init is ending).
    """
    _give_pipes(stdio, linux)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    in_group_at_once = not (process.get("execCPUAffinity") or {}).get("initial")
    cgroup_fd = cgroup.fork_fd() if in_group_at_once else -1
    try:
        with _children_in(None, init_pidfd):
            pid = p.fork(0, cgroup_fd)
            if pid == 0:
                ours.close()
                _run_exec(
                    theirs, init_pidfd, None if cgroup_fd >= 0 else cgroup, linux, process, stdio, rows, cols, how or {},
                    kept_fds,
                )  # fmt: skip
    except OSError as err:
        ours.close()
        raise from_oserror(err, "enter the container", op="setns") from err
    finally:
        theirs.close()
        if cgroup_fd >= 0:
            os.close(cgroup_fd)
    pidfd = os.pidfd_open(pid)
    ours.settimeout(PATIENCE_S)
    console = -1
    try:
        while True:
            message, fds = channel.receive(ours)
            console = fds[0] if fds else console
            channel.raise_if_error(message)
    except channel.ChannelClosed:
        return pid, pidfd, console
    except BaseException:
        if console >= 0:
            os.close(console)
        os.close(pidfd)
        os.waitpid(pid, 0)
        raise
    finally:
        ours.close()


def _run_exec(
    sock: socket.socket, init_pidfd: int, cgroup: Cgroup | None, linux: Mapping[str, Any], process: Mapping[str, Any],
    stdio: Sequence[int], rows: int, cols: int, how: Mapping[str, Any], kept_fds: Sequence[int],
) -> NoReturn:  # fmt: skip
    step = "enter the container"
    try:
        # only what this process needs (CVE-2016-9962: from here on the container's processes see it)
        signal.set_wakeup_fd(-1)
        p.close_all_but([sock.fileno(), init_pidfd, *stdio, *kept_fds])
        last_capability = p.last_capability()
        # the cgroups by their host paths, so before the mount namespace; the rest of the namespaces at once
        affinity = tuning.affinity(process)
        if affinity is not None and affinity.initial is not None:
            os.sched_setaffinity(0, affinity.initial)
        if cgroup is not None:
            cgroup.join()
        if affinity is not None:
            tuning.settle_affinity(affinity)
        if process.get("oomScoreAdj") is not None:
            set_oom_score(int(process["oomScoreAdj"]))
        extras = tuning.plan(process, linux)
        listener = (
            notify.connect(linux, {"pid": os.getpid(), "status": "running", **how})
            if tuning.has_listener(linux)
            else None
        )
        label = labels.open_attribute(process) if labels.asked(process) else None
        spaces = _exec_spaces(linux)
        p.setns(init_pidfd, spaces)
        if spaces & p.CLONE_NEWUSER:
            namespaces.become_root()
        terminal = bool(process.get("terminal"))
        fds = list(stdio)
        if terminal:
            step = "make the terminal"
            root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            master, slave, _ = tty.open_pair(root_fd)
            if rows and cols:
                tty.set_winsize(master, rows, cols)
            channel.send(sock, {"console": True}, [master])
            os.close(master)
            fds = [slave, slave, slave]
        step = "look the program up"
        program = prepare(process, linux, make_cwd=False)
        program = program._replace(extras=extras, listener=listener, label=label, kept_fds=len(kept_fds))
        if how.get("keyring") is not None:
            program = program._replace(keyring=how["keyring"])
        become(program, (fds[0], fds[1], fds[2]), terminal=terminal, last_capability=last_capability)
    except BaseException as err:
        try:
            channel.send(sock, channel.error_message(err, step))
        except OSError:
            pass
    os._exit(1)
