"""Facts of the host taken once, the instance id, and the lock that keeps a second daemon off one data-root."""

from __future__ import annotations

import fcntl
import glob
import logging
import os
import tempfile
from collections.abc import Iterator

from berth.base import failpoints
from berth.base.errors import Conflict, InvalidArgument, from_oserror
from berth.base.layout import Layout
from berth.daemon import apparmor
from berth.daemon.settings import Settings
from berth.engine import dockremap
from berth.engine.containers.cgroup_place import is_slice
from berth.engine.containers.runtime_spec import MASKED_PATHS, HostFacts, parse_security_opts
from berth.engine.userns import IdMap, id_map_of
from berth.kernel import files, idmap, idmapped_overlay, lsm, mount, mountinfo

log = logging.getLogger("berth.daemon")

_TMPFS_MAGIC = 0x01021994
_SOURCE = "berth"  # what the mount table calls our tmpfs


def prepare_roots(layout: Layout) -> None:
    """Make the folders of both roots. Raises: ResourceExhausted, Forbidden."""
    try:
        os.makedirs(layout.run_root, 0o711, exist_ok=True)
        _ensure_tmpfs(layout.run_root)
        for path, mode in (
            (layout.data_root, 0o710), (layout.containers, 0o710), (layout.tmp, 0o700), (layout.shims, 0o700),
            (layout.netd, 0o700), (layout.networks, 0o700),
        ):  # fmt: skip
            os.makedirs(path, mode, exist_ok=True)
        files.spread_below(layout.containers)
    except OSError as err:
        raise from_oserror(err, "prepare the daemon's folders") from err


def _ensure_tmpfs(run_root: str) -> None:
    """The run-root is gone after a reboot, and its small files cost nothing: each takes 0.5 ms on an ext4."""
    fd = os.open(run_root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if files.fstype_magic(fd) == _TMPFS_MAGIC:
            return
    finally:
        os.close(fd)
    mount.mount(_SOURCE, run_root, "tmpfs", mount.MS_NOSUID | mount.MS_NODEV, "mode=0711")


def leave_run_root(layout: Layout) -> None:
    """Take our tmpfs away when no shim has its socket there any more. After: the sockets and the pid file are gone."""
    if os.listdir(layout.shims):
        return
    ours = any((m.place, m.fstype, m.source) == (layout.run_root, "tmpfs", _SOURCE) for m in mountinfo.read())
    if ours:
        mount.umount2(layout.run_root, mount.MNT_DETACH)


def lock(layout: Layout) -> int:
    """Hold the data-root for this process; the descriptor is the lock. Raises: Conflict naming the holder."""
    path = os.path.join(layout.data_root, "lock")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        holder = os.read(fd, 32).decode(errors="replace").strip() or "?"
        os.close(fd)
        raise Conflict(
            f"another berthd (process {holder}) uses the data-root {layout.data_root}: stop it, or give --data-root"
        ) from err
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def instance_id(layout: Layout) -> str:
    """This engine's id, 8 hex digits, made at the first start."""
    try:
        with open(layout.instance_file, encoding="ascii") as file:
            text = file.read().strip()
        if len(text) == 8 and all(c in "0123456789abcdef" for c in text):
            return text
    except FileNotFoundError:
        pass
    ident = os.urandom(4).hex()
    temporary = layout.instance_file + ".new"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(ident + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, layout.instance_file)
    return ident


def host_facts(settings: Settings, *, cgroup_v2: bool) -> HostFacts:
    """Processors, masked paths that exist on this machine, default ulimits and security options. Raises: InvalidArgument."""
    cpus = os.cpu_count() or 1
    if settings["userns-remap"] == "default":
        dockremap.ensure()
    thermal = tuple(
        path for n in range(cpus) if os.path.isdir(path := f"/sys/devices/system/cpu/cpu{n}/thermal_throttle")
    )
    present = tuple(p for p in MASKED_PATHS if os.path.lexists(p))
    ulimits = dict(_ulimit(u) for u in settings["default-ulimit"])
    nodes = sum(1 for name in _names("/sys/devices/system/node") if name[:4] == "node" and name[4:].isdigit())
    id_map = id_map_of(settings["userns-remap"])
    mapped = id_map is not None and _shows_mapped(settings, id_map)
    return HostFacts(
        cpus, present + thermal, ulimits, cgroup_v2, tuple(_security_opts(settings)), memory_nodes=max(nodes, 1),
        lacks=_lacking(cgroup_v2), apparmor=lsm.has_apparmor(), apparmor_default=apparmor.ensure_default(),
        id_map=id_map, shift=id_map.shift if id_map is not None and not mapped else None,
        userns_fd=_namespace_of(id_map) if id_map is not None and mapped else -1,
        unmap_fd=_namespace_of(id_map.reverse) if id_map is not None and mapped else -1,
    )  # fmt: skip


def _namespace_of(id_map: IdMap) -> int:
    maps = id_map.render()
    return idmap.namespace_for(maps["uidMappings"], maps["gidMappings"])


def _shows_mapped(settings: Settings, id_map: IdMap) -> bool:
    """Whether kernel and filesystem can show a layer through the map. Leaves nothing behind."""
    maps = id_map.render()
    with tempfile.TemporaryDirectory(prefix="probe-", dir=settings["data-root"]) as folder:
        lower, upper, work = (os.path.join(folder, name) for name in ("lower", "upper", "work"))
        try:
            failpoints.hit("daemon.idmap")
            for path in (lower, upper, work):
                os.mkdir(path)
            fd = idmapped_overlay.overlay(
                [lower], upper, work, uid_mappings=maps["uidMappings"], gid_mappings=maps["gidMappings"]
            )
        except OSError as err:
            log.warning("no id-mapped mounts in %s (%s): layers are copied for user namespaces", folder, err.strerror)
            return False
        os.close(fd)
    return True


def cgroup_driver(settings: Settings) -> str:
    """What ``--exec-opt native.cgroupdriver=`` chooses. Raises: InvalidArgument in dockerd's words, or why systemd cannot."""
    chosen = "cgroupfs"
    for option in settings["exec-opt"]:
        key, eq, value = str(option).partition("=")
        if not eq or key.strip().lower() != "native.cgroupdriver":
            raise InvalidArgument(f"Unknown option: {key}")
        if value not in ("cgroupfs", "systemd"):
            raise InvalidArgument(f"{option} is not a valid cgroup driver: give cgroupfs or systemd")
        chosen = value
    if chosen == "systemd":
        if not os.path.isdir("/run/systemd/system"):
            raise InvalidArgument("systemd cgroup driver requires a host that systemd has booted: use cgroupfs")
        if settings["cgroup-parent"] and not is_slice(settings["cgroup-parent"]):
            raise InvalidArgument('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"')
    return chosen


def _security_opts(settings: Settings) -> Iterator[str]:
    """What ``--no-new-privileges`` and ``--seccomp-profile`` give every container, as the words of ``--security-opt``."""
    if settings["no-new-privileges"]:
        yield "no-new-privileges"
    profile = settings["seccomp-profile"]
    if profile in ("", "builtin"):
        return
    if profile != "unconfined":
        try:
            with open(profile, encoding="utf-8") as file:
                profile = file.read()
        except (OSError, ValueError) as err:
            raise InvalidArgument(f"opening seccomp profile ({profile}) failed: {err}") from err
    parse_security_opts([f"seccomp={profile}"], privileged=False)
    yield f"seccomp={profile}"


def _lacking(cgroup_v2: bool) -> frozenset[str]:
    """Limits that this kernel does not have."""
    if cgroup_v2:
        weight = any(glob.iglob("/sys/fs/cgroup/*/io.weight")) or any(glob.iglob("/sys/fs/cgroup/*/io.bfq.weight"))
        return frozenset({"oom_kill_disable"} | (set() if weight else {"blkio_weight", "blkio_weight_device"}))
    lacks = set()
    for key, names in (
        ("blkio_weight", ("blkio.weight", "blkio.bfq.weight")),
        ("blkio_weight_device", ("blkio.weight_device", "blkio.bfq.weight_device")),
    ):
        if not any(os.path.exists(f"/sys/fs/cgroup/blkio/{name}") for name in names):
            lacks.add(key)
    if not os.path.exists("/sys/fs/cgroup/memory/memory.oom_control"):
        lacks.add("oom_kill_disable")
    return frozenset(lacks)


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _ulimit(text: str) -> tuple[str, tuple[int, int]]:
    name, eq, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        if not eq:
            raise ValueError
        return name, (int(soft), int(hard or soft))
    except ValueError:
        raise InvalidArgument(f"invalid ulimit {text!r}: write name=soft[:hard]") from None


def write_pidfile(path: str) -> None:
    """Raises: Conflict when a living process holds it."""
    try:
        with open(path, encoding="ascii") as file:
            pid = int(file.read().strip() or 0)
        if pid and pid != os.getpid() and os.path.exists(f"/proc/{pid}"):
            raise Conflict(
                f"process with PID {pid} is still running: delete {path} if it is not a daemon, or give --pidfile"
            )
    except (FileNotFoundError, ValueError):
        pass
    os.makedirs(os.path.dirname(path) or "/", exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
