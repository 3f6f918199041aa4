"""The child's side: from a fresh fork to the container's program, one straight sequence.

Order is the meaning here; each step says why it stands where it stands.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from berth.kernel import mount as m
from berth.kernel import process as p
from berth.kernel import tty
from berth.kernel.cgroups import Cgroup, Hierarchies
from berth.oci import channel, devices, hooks, host_tree, labels, namespaces, notify, rootfs, sources, sysctl, tuning
from berth.oci.namespaces import PARKED, Spaces
from berth.oci.process import become, prepare, set_oom_score
from berth.oci.stage import Stage


class StageDefaults:
    """What every parked init stages: the host's default masks. ``kept``: of the host's mounts; None: all of them."""

    def __init__(
        self, path: str, masked: tuple[str, ...], readonly: tuple[str, ...], kept: host_tree.Kept | None = None
    ) -> None:
        self.path = path
        self.masked = masked
        self.readonly = readonly
        self.kept = kept


def run(
    sock: socket.socket,
    cgroup: Cgroup,
    hierarchies: Hierarchies,
    defaults: StageDefaults,
    spaces: Spaces = PARKED,
    *,
    joined: bool,
    make_cgroup: bool,
    staged: bool,
    kept_fds: Sequence[int] = (),
) -> NoReturn:
    """Be init. ``joined``: born inside the cgroup already (v2); ``make_cgroup``: it is not there yet. Never returns."""
    step = "prepare the container's init"
    fds: list[int] = []
    try:
        p.set_name("berth-init")
        # what the shim has open (its socket, the log, other descriptors) ends here, not only at execve: no path through
        # /proc/self/fd leads to it meanwhile (CVE-2024-21626), and whoever may look into this process finds nothing
        signal.set_wakeup_fd(-1)
        p.close_all_but([sock.fileno(), *kept_fds])
        if spaces.fresh_user:
            channel.receive(sock)  # the parent has written the id maps
        # the cgroups first: the cgroup namespace's root is where we stand when it is made
        if make_cgroup:
            cgroup.make({})
        if not joined:
            cgroup.join()
        namespaces.enter(spaces)
        # nothing that we mount reaches the host; what the host mounts later may still reach a slave
        m.mount("", "/", "", m.MS_SLAVE | m.MS_REC)
        stage = Stage(defaults.path)
        own_network = bool(spaces.fresh & p.CLONE_NEWNET)
        if staged:
            if defaults.kept is not None:
                host_tree.let_go(defaults.kept)
            stage.mount_base()
            stage.build(hierarchies, defaults.masked, defaults.readonly, own_network=own_network)
        else:
            stage.open_folder()
        if own_network:
            p.loopback_up()
        netns = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        rtnl = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        channel.send(sock, {"parked": True}, [netns, rtnl.fileno()])
        os.close(netns)
        rtnl.close()
        last_capability = p.last_capability()

        step = "read the request"
        request, fds, handed = sources.receive(sock)
        spec = json.loads(request.pop("tail"))
        linux, process = spec.get("linux") or {}, spec["process"]
        step = "join namespaces"
        usable = _ALL_TREES if spaces.known else namespaces.correct(spec, request["host_pid"])
        step = "set kernel parameters"
        # while this is still the host's root: in a user namespace it is not ours to lower later
        warnings = [] if process.get("oomScoreAdj") is None else set_oom_score(int(process["oomScoreAdj"]))
        gate = _open_gate(request.get("exec_fifo"))
        extras = tuning.plan(process, linux)
        listener = notify.connect(linux, request) if tuning.has_listener(linux) else None
        label = labels.open_attribute(process) if labels.asked(process) else None
        if spaces.in_user_namespace:
            namespaces.become_root()
        step = "set up the root filesystem"
        root_fd = rootfs.mount_root(stage, spec, request["rootfs"], handed.get(sources.ROOT, -1))
        late = rootfs.mount_all(stage, root_fd, spec, hierarchies, usable, handed)
        devices.make_devices(root_fd, spec)
        if request.get("init_path"):
            _bind_init(root_fd, request["init_path"])
        terminal = bool(process.get("terminal"))
        console: list[int] = []
        if terminal:
            step = "make the terminal"
            master, slave, _ = tty.open_pair(root_fd)
            if request.get("rows") and request.get("cols"):
                tty.set_winsize(master, request["rows"], request["cols"])
            rootfs.bind_console(root_fd, slave)
            console = [master]
            fds = [slave, slave, slave]
        rootfs.make_late_readonly(late)
        step = "set kernel parameters"
        set_names(spec)
        sysctl.write_all(stage.sysctls_left(spec, usable), linux.get("namespaces") or ())
        wanted = spec.get("hooks")
        if wanted:
            step = "run hooks"
            _before_pivot(sock, wanted, request)
        step = "enter the root filesystem"
        rootfs.enter_root(root_fd, spec, pivot=not request.get("no_pivot"))
        os.close(root_fd)
        step = "look the program up"
        program = prepare(process, linux, make_cwd=True)
        program = program._replace(extras=extras, listener=listener, label=label, kept_fds=len(kept_fds))
        if request.get("init_path"):
            program = program._replace(
                path="/sbin/docker-init", args=["/sbin/docker-init", "--", program.path, *program.args[1:]]
            )
        if request.get("keyring") is not None:
            program = program._replace(keyring=request["keyring"])
        channel.send(sock, {"ready": True, "warnings": warnings + program.warnings}, console)
        for fd in console:
            os.close(fd)

        step = "start"
        if gate is not None:
            gate.wait()
        elif not request["at_once"]:
            channel.receive(sock)
        if wanted:
            hooks.run_all(wanted, "startContainer", hooks.state_of(request, "created"))
        become(program, (fds[0], fds[1], fds[2]), terminal=terminal, last_capability=last_capability)
    except channel.ChannelClosed:
        os._exit(0)  # nobody wants this init any more
    except BaseException as err:
        _report(sock, err, step, fds[2] if step == "start" and len(fds) > 2 else -1)
    os._exit(1)


_ALL_TREES = frozenset({"proc", "dev", "sys", "cgroup"})


def _before_pivot(sock: socket.socket, wanted: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """prestart and createRuntime by the parent, in the runtime's namespaces; createContainer here, its path still the host's.

    Spec: OCI runtime-spec 1.2 runtime.md "Lifecycle" 3 to 5, config.md "POSIX-platform Hooks".
    """
    if wanted.get("prestart") or wanted.get("createRuntime"):
        channel.send(sock, {"hooks": True})
        channel.receive(sock)
    hooks.run_all(wanted, "createContainer", hooks.state_of(request, "creating"))


def _report(sock: socket.socket, err: BaseException, step: str, stderr: int) -> None:
    """To the parent; when that has gone (``create`` ended before ``start`` came), to the container's own standard error."""
    message = channel.error_message(err, step)
    try:
        channel.send(sock, message)
    except OSError:
        if stderr >= 0:
            _quietly_write(stderr, f"berth-runtime: {message['error']['message']}\n")


def _quietly_write(fd: int, text: str) -> None:
    try:
        os.write(fd, text.encode(errors="replace"))
    except OSError:
        pass


class _Gate:
    """``berth-runtime create`` ends before ``start`` comes: the init waits at a fifo, opened through a procfs of its own."""

    def __init__(self, fifo: str) -> None:
        self._fifo_fd = os.open(fifo, os.O_PATH | os.O_CLOEXEC)
        self._proc_fd = m.new_filesystem("proc")

    def wait(self) -> None:
        """Until somebody opens the fifo for reading."""
        fd = os.open(f"self/fd/{self._fifo_fd}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._proc_fd)
        os.write(fd, b"0")
        for used in (fd, self._fifo_fd, self._proc_fd):
            os.close(used)


def _open_gate(fifo: str | None) -> _Gate | None:
    return _Gate(fifo) if fifo else None


def _bind_init(root_fd: int, source: str) -> None:
    """``--init``: the engine's small init, read-only at /sbin/docker-init."""
    from berth.kernel.files import ensure_in_root

    fd = m.open_tree(m.AT_FDCWD, source, m.OPEN_TREE_CLONE)
    m.mount_setattr(fd, m.ATTR_RDONLY)
    target = ensure_in_root(root_fd, "/sbin/docker-init", directory=False)
    m.move_mount(fd, target)
    os.close(target)
    os.close(fd)


def set_names(spec: Mapping[str, Any]) -> None:
    """Host and domain name of a UTS namespace of its own."""
    if "uts" not in namespaces.kinds(spec):
        return
    if spec.get("hostname"):
        p.set_hostname(str(spec["hostname"]))
    if spec.get("domainname"):
        p.set_domainname(str(spec["domainname"]))
