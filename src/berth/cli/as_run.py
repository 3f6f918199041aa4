"""A container, as ``inspect`` tells it → the words of the ``run`` that would make it again.

What the image gives by itself is left out, and so is what the engine fills in. Not told: ``--cidfile`` (the file is there),
``--pull``, ``--platform`` and ``--env-file`` (its variables are told one by one).
"""

from __future__ import annotations

from berth.cli.as_run_network import networks, ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]

_SWITCHES = (("Privileged", "privileged"), ("ReadonlyRootfs", "read-only"), ("AutoRemove", "rm"),
             ("PublishAllPorts", "publish-all"), ("OomKillDisable", "oom-kill-disable"))  # fmt: skip
_TEXTS = (
    ("PidMode", "pid"), ("UTSMode", "uts"), ("UsernsMode", "userns"), ("CgroupParent", "cgroup-parent"),
    ("CpusetCpus", "cpuset-cpus"), ("CpusetMems", "cpuset-mems"), ("VolumeDriver", "volume-driver"), ("Isolation", "isolation"),
    ("CpuShares", "cpu-shares"), ("CpuPeriod", "cpu-period"), ("CpuQuota", "cpu-quota"),
    ("CpuRealtimePeriod", "cpu-rt-period"), ("CpuRealtimeRuntime", "cpu-rt-runtime"), ("BlkioWeight", "blkio-weight"),
    ("OomScoreAdj", "oom-score-adj"), ("Memory", "memory"), ("MemoryReservation", "memory-reservation"),
    ("KernelMemory", "kernel-memory"), ("PidsLimit", "pids-limit"),
)  # fmt: skip
"""Fields whose zero means that nothing was said."""
_LISTS = (
    ("Binds", "volume"), ("VolumesFrom", "volumes-from"), ("CapAdd", "cap-add"), ("CapDrop", "cap-drop"), ("Dns", "dns"),
    ("DnsOptions", "dns-option"), ("DnsSearch", "dns-search"), ("ExtraHosts", "add-host"), ("GroupAdd", "group-add"),
    ("SecurityOpt", "security-opt"), ("DeviceCgroupRules", "device-cgroup-rule"), ("Links", "link"),
)  # fmt: skip
_MAPS = (("Sysctls", "sysctl"), ("StorageOpt", "storage-opt"), ("Annotations", "annotation"))
_RATES = (("BlkioDeviceReadBps", "device-read-bps"), ("BlkioDeviceWriteBps", "device-write-bps"),
          ("BlkioDeviceReadIOps", "device-read-iops"), ("BlkioDeviceWriteIOps", "device-write-iops"))  # fmt: skip
_SHM_BYTES = 64 << 20
_HEALTH = (("Interval", "health-interval"), ("Timeout", "health-timeout"), ("StartPeriod", "health-start-period"),
           ("StartInterval", "health-start-interval"))  # fmt: skip


def words(found: Document, image: Document, info: Document, program: str = "berth") -> list[str]:
    """``found`` and ``image``: the objects of inspect, ``image`` {} when it is gone; ``info``: the engine's defaults."""
    config, host, given = found["Config"], found["HostConfig"], image.get("Config") or {}
    line = [program, "run", *_streams(config), "--name", found["Name"].lstrip("/")]
    line += _process(found, given) + _host(host, info) + _mounts(host, config, given)
    line += networks(found) + ports(config, host, given)
    entrypoint, command = _command(config, given)
    return [*line, *entrypoint, config["Image"], *command]


def _flag(name: str, value: object) -> list[str]:
    return [f"--{name}", str(value)]


def _streams(config: Document) -> list[str]:
    line = [word for key, word in (("OpenStdin", "-i"), ("Tty", "-t")) if config.get(key)]
    attached = [name for name in ("stdin", "stdout", "stderr") if config.get(f"Attach{name.capitalize()}")]
    if not attached:
        return ["-d", *line]
    if attached == [*(["stdin"] if config.get("OpenStdin") else []), "stdout", "stderr"]:
        return line
    return [*line, *(word for name in attached for word in ("-a", name))]


def _process(found: Document, given: Document) -> list[str]:
    config, host, line = found["Config"], found["HostConfig"], list[str]()
    joined = host.get("UTSMode") == "host" or str(host.get("NetworkMode")).startswith("container:")
    if config.get("Hostname") not in ("", found["Id"][:12]) and not joined:
        line += _flag("hostname", config["Hostname"])
    for key, name in (
        ("Domainname", "domainname"),
        ("User", "user"),
        ("WorkingDir", "workdir"),
        ("StopSignal", "stop-signal"),
    ):
        if config.get(key) and config[key] != given.get(key):
            line += _flag(name, config[key])
    if config.get("StopTimeout") is not None:
        line += _flag("stop-timeout", config["StopTimeout"])
    for entry in config.get("Env") or ():
        if entry not in (given.get("Env") or ()):
            line += _flag("env", entry)
    labels = given.get("Labels") or {}
    for key, value in (config.get("Labels") or {}).items():
        if labels.get(key) != value:
            line += _flag("label", f"{key}={value}")
    return line + _health(config.get("Healthcheck"), given.get("Healthcheck"))


def _health(found: Document | None, given: Document | None) -> list[str]:
    if not found or found == given:
        return []
    given, line, test = given or {}, list[str](), found.get("Test") or []
    if test[:1] == ["NONE"]:
        return ["--no-healthcheck"]
    if test != given.get("Test") and len(test) > 1:
        import shlex

        line += _flag("health-cmd", test[1] if test[0] == "CMD-SHELL" else shlex.join(test[1:]))
    for key, name in _HEALTH:
        if found.get(key) and found[key] != given.get(key):
            line += _flag(name, f"{found[key]}ns")
    if found.get("Retries") and found["Retries"] != given.get("Retries"):
        line += _flag("health-retries", found["Retries"])
    return line


def _command(config: Document, given: Document) -> tuple[list[str], list[str]]:
    """``--entrypoint``, and the words behind the image: more than one word of an entrypoint go before the command."""
    entrypoint, command = config.get("Entrypoint"), config.get("Cmd") or []
    if entrypoint == given.get("Entrypoint") or (not entrypoint and not given.get("Entrypoint")):
        return [], [] if command == (given.get("Cmd") or []) else list(command)
    if not entrypoint:
        return ["--entrypoint", ""], list(command)
    return ["--entrypoint", entrypoint[0]], [*entrypoint[1:], *command]


def _host(host: Document, info: Document) -> list[str]:
    line = [f"--{name}" for key, name in _SWITCHES if host.get(key)]
    for key, name in _TEXTS:
        if host.get(key):
            line += _flag(name, host[key])
    for key, name in _LISTS:
        line += [word for entry in host.get(key) or () for word in _flag(name, entry)]
    for key, name in _MAPS:
        line += [word for k, v in (host.get(key) or {}).items() for word in _flag(name, f"{k}={v}")]
    for key, name in _RATES:
        line += [word for entry in host.get(key) or () for word in _flag(name, f"{entry['Path']}:{entry['Rate']}")]
    for entry in host.get("BlkioWeightDevice") or ():
        line += _flag("blkio-weight-device", f"{entry['Path']}:{entry['Weight']}")
    return line + _limits(host) + _devices(host) + _defaults(host, info)


def _limits(host: Document) -> list[str]:
    line: list[str] = []
    if host.get("NanoCpus"):
        line += _flag("cpus", f"{host['NanoCpus'] / 1e9:.9f}".rstrip("0").rstrip("."))
    if host.get("MemorySwap") and host["MemorySwap"] != 2 * (host.get("Memory") or 0):
        line += _flag("memory-swap", host["MemorySwap"])
    if host.get("MemorySwappiness") not in (None, -1):
        line += _flag("memory-swappiness", host["MemorySwappiness"])
    if host.get("ShmSize") not in (None, 0, _SHM_BYTES):
        line += _flag("shm-size", host["ShmSize"])
    for limit in host.get("Ulimits") or ():
        line += _flag("ulimit", f"{limit['Name']}={limit['Soft']}:{limit['Hard']}")
    return line


def _devices(host: Document) -> list[str]:
    line: list[str] = []
    for device in host.get("Devices") or ():
        line += _flag("device", f"{device['PathOnHost']}:{device['PathInContainer']}:{device['CgroupPermissions']}")
    for request in host.get("DeviceRequests") or ():
        if request.get("Driver") == "cdi":
            line += [word for name in request.get("DeviceIDs") or () for word in _flag("device", name)]
        else:
            line += _flag("gpus", _gpus(request))
    return line


def _gpus(request: Document) -> str:
    fields = []
    if request.get("Driver"):
        fields.append(f"driver={request['Driver']}")
    if request.get("DeviceIDs"):
        fields.append(f'"device={",".join(request["DeviceIDs"])}"')
    if request.get("Count"):
        fields.append("all" if request["Count"] == -1 else f"count={request['Count']}")
    wanted = [name for names in request.get("Capabilities") or () for name in names if name != "gpu"]
    if wanted:
        fields.append(f'"capabilities={",".join(wanted)}"')
    if request.get("Options"):
        fields.append('"options=' + ",".join(f"{k}={v}" for k, v in request["Options"].items()) + '"')
    return ",".join(fields)


def _defaults(host: Document, info: Document) -> list[str]:
    """What the engine has a default of its own for."""
    line: list[str] = []
    if host.get("IpcMode") not in (None, "", "private"):
        line += _flag("ipc", host["IpcMode"])
    if host.get("MaskedPaths") == [] and host.get("ReadonlyPaths") == [] and not host.get("Privileged"):
        line += _flag("security-opt", "systempaths=unconfined")
    if host.get("CgroupnsMode") == "host":
        line += _flag("cgroupns", "host")
    restart = host.get("RestartPolicy") or {}
    if restart.get("Name") not in (None, "", "no"):
        count = restart.get("MaximumRetryCount")
        line += _flag("restart", f"{restart['Name']}:{count}" if count else restart["Name"])
    if host.get("Runtime") not in (None, "", info.get("DefaultRuntime")):
        line += _flag("runtime", host["Runtime"])
    log = host.get("LogConfig") or {}
    if log.get("Type") not in (None, "", info.get("LoggingDriver")):
        line += _flag("log-driver", log["Type"])
    line += [word for key, value in (log.get("Config") or {}).items() for word in _flag("log-opt", f"{key}={value}")]
    if host.get("Init") is not None:
        line.append("--init" if host["Init"] else "--init=false")
    return line


def _mounts(host: Document, config: Document, given: Document) -> list[str]:
    line: list[str] = []
    for path in config.get("Volumes") or ():
        if path not in (given.get("Volumes") or ()):
            line += _flag("volume", path)
    for path, options in (host.get("Tmpfs") or {}).items():
        line += _flag("tmpfs", f"{path}:{options}" if options else path)
    return line + [word for mount in host.get("Mounts") or () for word in _flag("mount", _mount(mount))]


_RECURSIVE = (
    ("NonRecursive", "disabled"),
    ("ReadOnlyNonRecursive", "writable"),
    ("ReadOnlyForceRecursive", "readonly"),
)


def _mount(mount: Document) -> str:
    bind, volume = mount.get("BindOptions") or {}, mount.get("VolumeOptions") or {}
    tmpfs, driver = mount.get("TmpfsOptions") or {}, (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
    pairs: list[tuple[str, object]] = [("type", mount["Type"])]
    pairs += [("source", mount["Source"])] if mount.get("Source") else []
    pairs.append(("target", mount["Target"]))
    pairs += [("readonly", "true")] if mount.get("ReadOnly") else []
    pairs += [("consistency", mount["Consistency"])] if mount.get("Consistency") else []
    pairs += [("bind-propagation", bind["Propagation"])] if bind.get("Propagation") else []
    pairs += [("bind-recursive", word) for key, word in _RECURSIVE if bind.get(key)]
    pairs += [("volume-nocopy", "true" if volume.get("NoCopy") else "false")] if volume else []
    pairs += [("volume-subpath", volume["Subpath"])] if volume.get("Subpath") else []
    pairs += [("volume-driver", driver["Name"])] if driver.get("Name") else []
    pairs += [("volume-label", f"{k}={v}") for k, v in (volume.get("Labels") or {}).items()]
    pairs += [("volume-opt", f"{k}={v}") for k, v in (driver.get("Options") or {}).items()]
    pairs += [("tmpfs-size", tmpfs["SizeBytes"])] if tmpfs.get("SizeBytes") else []
    pairs += [("tmpfs-mode", f"{tmpfs['Mode']:o}")] if tmpfs.get("Mode") else []
    subpath = (mount.get("ImageOptions") or {}).get("Subpath")
    pairs += [("image-subpath", subpath)] if subpath else []
    fields = (f"{key}={value}" for key, value in pairs)
    return ",".join(f'"{field}"' if "," in field else field for field in fields)
