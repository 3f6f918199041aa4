"""Container → OCI runtime config: a pure function of the row, the image and what this host has.

Spec: OCI runtime-spec 1.2, config.md and config-linux.md; the defaults are Docker's (moby oci/defaults.go by effect).
Nothing here touches the machine; ``HostFacts`` was taken once at the daemon's start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument
from berth.base.ids import short_id
from berth.engine.containers.record import ContainerRow, MountPoint
from berth.engine.userns import IdMap
from berth.snapshots.shift import Shift
from berth.spec.apparmor import DEFAULT_PROFILE
from berth.spec.capabilities import effective

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHM_BYTES = 64 << 20

MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class HostFacts(NamedTuple):
    """What the config depends on beside the container."""

    cpus: int
    masked_paths: tuple[str, ...]
    default_ulimits: Mapping[str, tuple[int, int]]  # name → (soft, hard)
    cgroup_v2: bool
    security_opts: tuple[str, ...] = ()  # the daemon's own, before the container's
    memory_nodes: int = 1
    lacks: frozenset[str] = frozenset()  # blkio_weight, blkio_weight_device, oom_kill_disable
    apparmor: bool = False
    apparmor_default: bool = False  # its default profile is loaded
    id_map: IdMap | None = None  # of containers in user namespaces
    shift: Shift | None = None  # the same, where files have to be given its ids: nothing can show them so
    userns_fd: int = -1  # a namespace that has the map, where mounts can show files through it
    unmap_fd: int = -1  # and one that has it the other way round

    def security_opts_for(self, privileged: bool) -> list[str]:
        """A privileged container has no filter, whatever the daemon's default profile is."""
        return [opt for opt in self.security_opts if not (privileged and opt.startswith("seccomp="))]


class StartFacts(NamedTuple):
    """What is known only when the container starts."""

    netns_path: str | None  # join this network namespace
    ipcns_path: str | None
    pidns_path: str | None
    hostname_file: str
    hosts_file: str
    resolv_file: str
    shm_mntns: str = ""  # the mount namespace whose /dev/shm is shared (--ipc container:)
    userns: str | None = None  # a user namespace: "" a new one, else the path of another container's
    mapped_names: frozenset[str] = frozenset()  # volumes and images to be shown through its id map


def render_runtime_spec(row: ContainerRow, host: HostFacts, start: StartFacts) -> dict[str, Any]:
    """The OCI config. Raises: InvalidArgument for options that contradict each other."""
    hc = row.host_config
    privileged = bool(hc.get("Privileged"))
    security = parse_security_opts([*host.security_opts_for(privileged), *(hc.get("SecurityOpt") or [])], privileged)
    spec: dict[str, Any] = {
        "ociVersion": "1.2.0",
        "process": render_process(row, host, security),
        "root": {"path": "", "readonly": bool(hc.get("ReadonlyRootfs"))},
        "hostname": hostname_of(row),
        "mounts": _mounts(row, start, security),
        "linux": {
            **render_spaces(hc, host, start),
            "resources": render_resources(hc),
            "sysctl": _sysctls(hc, host, start),
            "maskedPaths": [] if security.unmasked else list(_given(hc, "MaskedPaths", host.masked_paths)),
            "readonlyPaths": [] if security.unmasked else list(_given(hc, "ReadonlyPaths", READONLY_PATHS)),
            "seccomp": security.seccomp,
        },
    }
    if start.mapped_names:
        _map_volumes(row, spec["mounts"], start.mapped_names)
    domain = row.config.get("Domainname")
    if domain:
        spec["domainname"] = domain
    if hc.get("Annotations"):
        spec["annotations"] = {str(k): str(v) for k, v in hc["Annotations"].items()}
    devices = _devices(hc)
    if devices:
        spec["linux"]["devices"] = devices
    if privileged:
        spec["linux"]["berthHostDevices"] = True  # init binds every device of the host's /dev
    return spec


def _given(hc: Mapping[str, Any], key: str, default: Sequence[str]) -> Sequence[str]:
    """An empty list is an answer: nothing is masked."""
    value = hc.get(key)
    return default if value is None else value


class Security(NamedTuple):
    """``--security-opt`` and ``--privileged``, decoded."""

    no_new_privileges: bool
    seccomp: Any  # None (unconfined), "default", or an OCI profile
    unmasked: bool
    apparmor: str = ""
    writable_cgroups: bool = False


def parse_security_opts(opts: list[str], privileged: bool) -> Security:
    """Raises: InvalidArgument (unknown option, profile that is not JSON)."""
    no_new_privileges = False
    seccomp: Any = None if privileged else "default"
    unmasked = privileged
    apparmor = ""
    writable_cgroups = privileged
    for opt in opts:
        if opt == "no-new-privileges":
            no_new_privileges = True
            continue
        key, sep, value = opt.partition("=")
        if not sep:
            key, sep, value = opt.partition(":")
        if not sep:
            raise InvalidArgument(f'invalid --security-opt 1: "{opt}"')
        if key == "no-new-privileges":
            no_new_privileges = _on_or_off(opt, value)
        elif key == "writable-cgroups":
            writable_cgroups = _on_or_off(opt, value)
        elif key == "seccomp":
            seccomp = {"unconfined": None, "builtin": "default"}[value] if value in _SECCOMP_WORDS else _profile(value)
        elif key == "systempaths" and value == "unconfined":
            unmasked = True
        elif key == "apparmor":
            apparmor = value
        elif key != "label":  # labels say nothing where there is no SELinux
            raise InvalidArgument(f'invalid --security-opt 2: "{opt}"')
    return Security(no_new_privileges, seccomp, unmasked, apparmor, writable_cgroups)


_SECCOMP_WORDS = ("unconfined", "builtin")


def _on_or_off(opt: str, value: str) -> bool:
    """Go's words for a boolean. Raises: InvalidArgument."""
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise InvalidArgument(f'invalid --security-opt 2: "{opt}"')


def _profile(text: str) -> Any:
    import json

    try:
        profile = json.loads(text)
    except ValueError as err:
        raise InvalidArgument(f"Decoding seccomp profile failed: {err}") from err
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise InvalidArgument("Decoding seccomp profile failed: defaultAction is missing")
    return profile


def hostname_of(row: ContainerRow) -> str:
    return str(row.config.get("Hostname") or short_id(row.id))


def render_env(row: ContainerRow, extra: list[str] | None = None) -> list[str]:
    """PATH and HOSTNAME first, then TERM for a terminal, then what the image and the user set; a later name wins."""
    env: dict[str, str] = {}
    seed = [DEFAULT_PATH, f"HOSTNAME={hostname_of(row)}"]
    if row.config.get("Tty"):
        seed.append("TERM=xterm")
    for entry in [*seed, *(row.config.get("Env") or []), *(extra or [])]:
        key, eq, _ = entry.partition("=")
        if eq:
            env[key] = entry
        else:
            env.pop(key, None)  # "NAME" alone removes it
    return list(env.values())


def render_process(row: ContainerRow, host: HostFacts, security: Security) -> dict[str, Any]:
    hc = row.host_config
    caps = effective(hc.get("CapAdd") or [], hc.get("CapDrop") or [], privileged=bool(hc.get("Privileged")))
    process: dict[str, Any] = {
        "terminal": bool(row.config.get("Tty")),
        "user": render_user(str(row.config.get("User") or ""), hc.get("GroupAdd") or []),
        "args": [row.path, *row.args],
        "env": render_env(row),
        "cwd": str(row.config.get("WorkingDir") or "/"),
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        "noNewPrivileges": security.no_new_privileges,
        "rlimits": render_rlimits(hc, host),
    }
    if hc.get("OomScoreAdj"):
        process["oomScoreAdj"] = int(hc["OomScoreAdj"])
    profile = apparmor_profile(host, security.apparmor, privileged=bool(hc.get("Privileged")))
    if profile:
        process["apparmorProfile"] = profile
    return process


def apparmor_profile(host: HostFacts, asked: str, *, privileged: bool) -> str:
    """What was asked for; else docker-default where the host has it loaded, but not for a privileged container."""
    if not host.apparmor:
        return ""
    return asked or (DEFAULT_PROFILE if host.apparmor_default and not privileged else "")


def render_exec_process(row: ContainerRow, host: HostFacts, config: Mapping[str, Any]) -> dict[str, Any]:
    """The OCI process of an exec: the container's, with the exec's own words."""
    hc = row.host_config
    privileged = bool(hc.get("Privileged"))
    process = render_process(row, host, parse_security_opts(hc.get("SecurityOpt") or [], privileged))
    if config.get("Privileged"):
        caps = effective([], [], privileged=True)
        process["capabilities"] = {"bounding": caps, "effective": caps, "permitted": caps}
    tty = bool(config.get("Tty"))
    process["terminal"] = tty
    process["args"] = list(config.get("Cmd") or [])
    env = list(config.get("Env") or [])
    process["env"] = render_env(row, (["TERM=xterm", *env] if tty and not row.config.get("Tty") else env))
    if config.get("WorkingDir"):
        process["cwd"] = str(config["WorkingDir"])
    if config.get("User"):
        process["user"] = render_user(str(config["User"]), hc.get("GroupAdd") or [])
    return process


def render_user(user: str, group_add: list[str]) -> dict[str, Any]:
    """``username`` carries Docker's USER text; init resolves it in the container's own /etc/passwd and /etc/group."""
    return {"uid": 0, "gid": 0, "username": user, "additionalGroups": [str(g) for g in group_add]}


def render_rlimits(hc: Mapping[str, Any], host: HostFacts) -> list[dict[str, Any]]:
    limits = dict(host.default_ulimits)
    for entry in hc.get("Ulimits") or []:
        limits[str(entry["Name"])] = (int(entry["Soft"]), int(entry["Hard"]))
    return [
        {"type": "RLIMIT_" + name.upper(), "soft": soft, "hard": hard} for name, (soft, hard) in sorted(limits.items())
    ]


def render_spaces(hc: Mapping[str, Any], host: HostFacts, start: StartFacts) -> dict[str, Any]:
    """What decides about an init's namespaces: ``namespaces``, and the id maps of a container in a user namespace."""
    spaces = _namespaces(hc, start)
    if start.userns is None or host.id_map is None:
        return {"namespaces": spaces}
    spaces.append({"type": "user", **({"path": start.userns} if start.userns else {})})
    return {"namespaces": spaces, **host.id_map.render()}


def _map_volumes(row: ContainerRow, mounts: list[dict[str, Any]], names: frozenset[str]) -> None:
    """Volumes keep the container's ids on disk, as layers do: they are mounted through the map. Binds are the host's own."""
    mapped = {m.destination for m in row.mounts if m.type in ("volume", "image") and m.name in names}
    for mount in mounts:
        if mount["destination"] in mapped:
            mount["options"].append("idmap")


def _namespaces(hc: Mapping[str, Any], start: StartFacts) -> list[dict[str, str]]:
    spaces: list[dict[str, str]] = [{"type": "mount"}]
    if str(hc.get("UTSMode") or "") != "host":
        spaces.append({"type": "uts"})
    for kind, mode, path in (
        ("network", str(hc.get("NetworkMode") or ""), start.netns_path),
        ("ipc", str(hc.get("IpcMode") or ""), start.ipcns_path),
        ("pid", str(hc.get("PidMode") or ""), start.pidns_path),
    ):
        if path is not None:
            spaces.append({"type": kind, "path": path})
        elif mode != "host":
            spaces.append({"type": kind})
    if str(hc.get("CgroupnsMode") or "private") != "host":  # private on v1 too, where Docker shares the host's
        spaces.append({"type": "cgroup"})
    return spaces


def _sysctls(hc: Mapping[str, Any], host: HostFacts, start: StartFacts) -> dict[str, str]:
    sysctls: dict[str, str] = {}
    if str(hc.get("NetworkMode") or "") != "host" and not str(hc.get("NetworkMode") or "").startswith("container:"):
        sysctls["net.ipv4.ip_unprivileged_port_start"] = "0"
        highest = 2147483647 if start.userns is None or host.id_map is None else host.id_map.highest_gid
        sysctls["net.ipv4.ping_group_range"] = f"0 {highest}"
    sysctls.update({str(k): str(v) for k, v in (hc.get("Sysctls") or {}).items()})
    return sysctls


def render_resources(hc: Mapping[str, Any]) -> dict[str, Any]:
    """HostConfig's limits as OCI resources. Units: bytes; cpu in microseconds."""
    memory: dict[str, Any] = {}
    if hc.get("Memory"):
        memory["limit"] = int(hc["Memory"])
        swap = int(hc.get("MemorySwap") or 0)
        memory["swap"] = swap if swap else 2 * int(hc["Memory"])
    if hc.get("MemoryReservation"):
        memory["reservation"] = int(hc["MemoryReservation"])
    if hc.get("MemorySwappiness") is not None and int(hc["MemorySwappiness"]) >= 0:
        memory["swappiness"] = int(hc["MemorySwappiness"])
    if hc.get("OomKillDisable"):
        memory["disableOOMKiller"] = True
    cpu: dict[str, Any] = {}
    if hc.get("CpuShares"):
        cpu["shares"] = int(hc["CpuShares"])
    if hc.get("NanoCpus"):
        cpu["period"] = 100_000
        cpu["quota"] = int(hc["NanoCpus"]) * 100_000 // 1_000_000_000
    if hc.get("CpuPeriod"):
        cpu["period"] = int(hc["CpuPeriod"])
    if hc.get("CpuQuota"):
        cpu["quota"] = int(hc["CpuQuota"])
    if hc.get("CpuRealtimePeriod"):
        cpu["realtimePeriod"] = int(hc["CpuRealtimePeriod"])
    if hc.get("CpuRealtimeRuntime"):
        cpu["realtimeRuntime"] = int(hc["CpuRealtimeRuntime"])
    if hc.get("CpusetCpus"):
        cpu["cpus"] = str(hc["CpusetCpus"])
    if hc.get("CpusetMems"):
        cpu["mems"] = str(hc["CpusetMems"])
    resources: dict[str, Any] = {}
    if memory:
        resources["memory"] = memory
    if cpu:
        resources["cpu"] = cpu
    pids = hc.get("PidsLimit")
    if pids:
        resources["pids"] = {"limit": int(pids)}
    block = _block_io(hc)
    if block:
        resources["blockIO"] = block
    rules = _device_rules(hc)
    if rules:
        resources["devices"] = rules  # beside the defaults, which the runtime always has
    return resources


def _block_io(hc: Mapping[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = {}
    if hc.get("BlkioWeight"):
        block["weight"] = int(hc["BlkioWeight"])
    if hc.get("BlkioWeightDevice"):
        block["weightDevice"] = [{"path": d["Path"], "weight": int(d["Weight"])} for d in hc["BlkioWeightDevice"]]
    for key, name in (
        ("BlkioDeviceReadBps", "throttleReadBpsDevice"),
        ("BlkioDeviceWriteBps", "throttleWriteBpsDevice"),
        ("BlkioDeviceReadIOps", "throttleReadIOPSDevice"),
        ("BlkioDeviceWriteIOps", "throttleWriteIOPSDevice"),
    ):
        if hc.get(key):
            block[name] = [{"path": d["Path"], "rate": int(d["Rate"])} for d in hc[key]]
    return block


def _device_rules(hc: Mapping[str, Any]) -> list[dict[str, Any]]:
    if hc.get("Privileged"):
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = []
    for rule in hc.get("DeviceCgroupRules") or []:
        parts = str(rule).split()
        if len(parts) != 3 or parts[0] not in ("a", "b", "c"):
            raise InvalidArgument(f"invalid device cgroup rule format: '{rule}'")
        major, _, minor = parts[1].partition(":")
        rules.append({
            "allow": True, "type": parts[0], "access": parts[2],
            "major": None if major == "*" else int(major), "minor": None if minor in ("*", "") else int(minor),
        })  # fmt: skip
    return rules


def _devices(hc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``--device``: the numbers are read from the host's node by the engine at start (``hostPath``)."""
    return [
        {
            "path": d.get("PathInContainer") or d["PathOnHost"],
            "hostPath": d["PathOnHost"],
            "access": d.get("CgroupPermissions") or "rwm",
        }
        for d in hc.get("Devices") or []
    ]


def _mounts(row: ContainerRow, start: StartFacts, security: Security) -> list[dict[str, Any]]:
    hc = row.host_config
    sys_mode = "rw" if hc.get("Privileged") else "ro"
    cgroup_mode = "rw" if security.writable_cgroups else "ro"
    shm_bytes = int(hc.get("ShmSize") or 0) or DEFAULT_SHM_BYTES
    mounts: list[dict[str, Any]] = [
        _mount("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", "devpts",
               ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", sys_mode]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [cgroup_mode, "nosuid", "noexec", "nodev"]),
        _mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
    ]  # fmt: skip
    ipc = str(hc.get("IpcMode") or "")
    if ipc == "host":
        mounts.append(_mount("/dev/shm", "bind", "/dev/shm", ["rbind", "nosuid", "noexec", "nodev"]))
    elif start.shm_mntns:
        words = ["rbind", "nosuid", "noexec", "nodev", f"berth.mntns={start.shm_mntns}"]
        mounts.append(_mount("/dev/shm", "bind", "/dev/shm", words))
    elif ipc != "none":
        mounts.append(
            _mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", f"size={shm_bytes}"])
        )
    asked = {m.destination for m in row.mounts}
    for destination, source in (
        ("/etc/resolv.conf", start.resolv_file),
        ("/etc/hostname", start.hostname_file),
        ("/etc/hosts", start.hosts_file),
    ):
        if destination not in asked and source:
            mounts.append(_mount(destination, "bind", source, ["rbind", "rprivate"]))
    user = [render_mount(m) for m in sorted(row.mounts, key=lambda m: (m.destination.count("/"), m.destination))]
    overridden = {m["destination"] for m in user}
    return [m for m in mounts if m["destination"] not in overridden] + user


def render_mount(mount: MountPoint) -> dict[str, Any]:
    """One of the user's mounts as an OCI mount."""
    if mount.type == "tmpfs":
        options = ["nosuid", "nodev", "noexec"]
        for option in filter(None, str(mount.options.get("tmpfs") or "").split(",")):
            contrary = option[2:] if option.startswith("no") else "no" + option
            options = [o for o in options if o != contrary]
            options.append(option)
        return _mount(mount.destination, "tmpfs", "tmpfs", options)
    subpath = [f"berth.subpath={mount.options['subpath']}"] if mount.options.get("subpath") else []
    if mount.type == "image":
        return _mount(
            mount.destination,
            "bind",
            "",
            ["bind", "ro", *(f"berth.layer={d}" for d in mount.options["lower"]), *subpath],
        )
    now = ["berth.now"] if mount.type == "bind" or mount.options.get("now") else []  # else nothing is mounted below
    options = [mount.options.get("bind", "rbind"), mount.propagation or "rprivate", *subpath, *now]
    if not mount.rw:
        # Docker's "ro" reaches what is mounted below, where the mount itself takes it along
        options.append("ro" if options[0] == "bind" or mount.options.get("readonly") == "top" else "rro")
    return _mount(mount.destination, "bind", mount.source, options)


def _mount(destination: str, kind: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": options}
