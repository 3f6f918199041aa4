"""HostConfig and Config: what is refused at create, and what is filled in when it was left open."""

from __future__ import annotations

import os
import re
from typing import Any

from berth.base.errors import InvalidArgument
from berth.engine import userns
from berth.engine.containers.cgroup_place import check_parent
from berth.engine.containers.checks.health import check_health
from berth.engine.containers.checks.limits import check_limits
from berth.engine.containers.checks.logging import check_log_config
from berth.engine.containers.checks.modes import check_modes
from berth.engine.containers.deps import Deps
from berth.engine.containers.runtime_spec import parse_security_opts
from berth.engine.containers.texts import check_texts
from berth.engine.policy import restart_name
from berth.networks.files import split_extra_host
from berth.spec.capabilities import effective
from berth.spec.signals import parse_signal
from berth.spec.units import parse_bytes

DEFAULT_MAX_SIZE = 10_000_000
DEFAULT_MAX_FILE = 3
_PORT = re.compile(r"(\d{1,5})(-(\d{1,5}))?(/[a-zA-Z]+)?")


def check_host_config(deps: Deps, config: dict[str, Any], hc: dict[str, Any], *, update: bool = False) -> list[str]:
    """Docker's checks in Docker's order and words; returns warnings. Raises: InvalidArgument, NotFound."""
    check_texts(config, hc)
    check_modes(config, hc, deps.containers.get)
    userns.check(deps.host.id_map, hc)
    check_config(config)
    if hc.get("AutoRemove") and restart_name(hc.get("RestartPolicy")) != "no":
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")
    for entry in hc.get("ExtraHosts") or []:
        split_extra_host(str(entry))
    _check_ports(hc.get("PortBindings") or {})
    check_restart(hc)
    effective(hc.get("CapAdd") or [], hc.get("CapDrop") or [], privileged=False)
    if any(not key for key in hc.get("Annotations") or {}):
        raise InvalidArgument("invalid Annotations: the empty string is not permitted as an annotation key")
    warnings = check_limits(deps.host, hc, update=update)
    if int(hc.get("ShmSize") or 0) < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    score = int(hc.get("OomScoreAdj") or 0)
    if not -1000 <= score <= 1000:
        raise InvalidArgument(f"Invalid value {score}, range for oom score adj is [-1000, 1000]")
    if hc.get("NetworkMode") == "host" and hc.get("PortBindings"):
        warnings.append("Published ports are discarded when using host network mode")
    deps.runtimes.program(str(hc.get("Runtime") or ""))
    check_parent(deps.settings, str(hc.get("CgroupParent") or ""))
    return warnings


def check_drivers(deps: Deps, hc: dict[str, Any]) -> None:
    """What Docker looks at once it has the image. Raises: InvalidArgument."""
    parse_security_opts(hc.get("SecurityOpt") or [], bool(hc.get("Privileged")))
    check_log_config(hc.get("LogConfig") or {})
    storage_size(deps, hc)


def check_config(config: dict[str, Any]) -> None:
    """What image or user may have set. Raises: InvalidArgument."""
    if config.get("StopSignal"):
        parse_signal(str(config["StopSignal"]))
    for entry in config.get("Env") or []:
        if not entry or entry.startswith("=") or "\0" in entry:
            raise InvalidArgument(f"invalid environment variable: {entry}")
    check_health(config.get("Healthcheck") or {})
    cwd = str(config.get("WorkingDir") or "")
    if cwd and not cwd.startswith("/"):
        raise InvalidArgument(f"the working directory '{cwd}' is invalid, it needs to be an absolute path")


def _check_ports(bindings: dict[str, Any]) -> None:
    for port, hosts in bindings.items():
        _check_port(port)
        if "-" in port:
            raise InvalidArgument(f'invalid port specification: "{port.partition("/")[0]}"')
        for host in hosts or []:
            if host.get("HostPort"):
                _check_port(str(host["HostPort"]))


def _check_port(text: str) -> None:
    match = _PORT.fullmatch(text)
    if match is None or int(match[1]) > 65535 or int(match[3] or 0) > 65535:
        raise InvalidArgument(f'invalid port specification: "{text.partition("/")[0]}"')


def check_restart(hc: dict[str, Any]) -> None:
    """Raises: InvalidArgument."""
    policy = hc.get("RestartPolicy") or {}
    name = restart_name(policy)
    retries = int(policy.get("MaximumRetryCount") or 0)
    if name not in ("no", "always", "unless-stopped", "on-failure"):
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if retries and name != "on-failure":
        raise InvalidArgument("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if retries < 0:
        raise InvalidArgument("invalid restart policy: maximum retry count cannot be negative")


def storage_size(deps: Deps, hc: dict[str, Any]) -> int:
    """The most that the root filesystem may hold beyond its image, 0 without a limit. Raises: InvalidArgument."""
    size = deps.settings.storage_size_bytes
    for key, value in (hc.get("StorageOpt") or {}).items():
        if key.lower() != "size":
            raise InvalidArgument(f"Unknown option {key}")
        if not deps.images.quotas:
            raise InvalidArgument("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
        size = parse_bytes(str(value), "--storage-opt size")
    return size


def fill_defaults(deps: Deps, config: dict[str, Any], hc: dict[str, Any]) -> None:
    """What Docker writes into the stored config when it was left open (in place)."""
    hc["NetworkMode"] = str(hc.get("NetworkMode") or "bridge")
    if hc["NetworkMode"] == "default":
        hc["NetworkMode"] = "bridge"
    log_config = dict(hc.get("LogConfig") or {})
    if not log_config.get("Type"):
        log_config["Type"] = deps.settings.log_driver
        log_config["Config"] = {**deps.settings.log_opts, **(log_config.get("Config") or {})}
        check_log_config(log_config)
    hc["LogConfig"] = {"Type": log_config["Type"], "Config": log_config.get("Config") or {}}
    hc["ShmSize"] = hc.get("ShmSize") or deps.defaults.shm_size_bytes
    policy = hc.get("RestartPolicy") or {}
    hc["RestartPolicy"] = {
        "Name": policy.get("Name") or "no",
        "MaximumRetryCount": policy.get("MaximumRetryCount") or 0,
    }
    hc["IpcMode"] = hc.get("IpcMode") or deps.defaults.ipc_mode
    hc["CgroupnsMode"] = hc.get("CgroupnsMode") or deps.defaults.cgroupns_mode
    if hc.get("Memory") and not hc.get("MemorySwap"):
        hc["MemorySwap"] = 2 * int(hc["Memory"])
    if hc.get("OomKillDisable") is None and "oom_kill_disable" not in deps.host.lacks:
        hc["OomKillDisable"] = False
    hc["Runtime"] = hc.get("Runtime") or deps.runtimes.default
    _fill_security(hc)
    _fill_shapes(hc)
    if hc["NetworkMode"] == "host":
        config["Hostname"] = config.get("Hostname") or os.uname().nodename
    if not config.get("StopSignal"):
        config.pop("StopSignal", None)


def _fill_security(hc: dict[str, Any]) -> None:
    options = list(hc.get("SecurityOpt") or [])
    if "systempaths=unconfined" in options:
        options.remove("systempaths=unconfined")
        hc["SecurityOpt"], hc["MaskedPaths"], hc["ReadonlyPaths"] = options, [], []
    labelled = any(o.partition("=")[0] == "label" for o in options)
    if not labelled and (hc.get("Privileged") or hc["IpcMode"] == "host" or hc.get("PidMode") == "host"):
        hc["SecurityOpt"] = [*options, "label=disable"]


_SHAPES: dict[str, dict[str, Any]] = {
    "DeviceRequests": {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": None, "Options": None},
    "Devices": {"PathOnHost": "", "PathInContainer": "", "CgroupPermissions": ""},
}


def _fill_shapes(hc: dict[str, Any]) -> None:
    """Every key of the small objects, as Go prints them."""
    hc.pop("KernelMemory", None)  # ignored since API 1.42
    if not hc.get("StorageOpt"):
        hc.pop("StorageOpt", None)
    for key, zero in _SHAPES.items():
        if hc.get(key):
            hc[key] = [{**zero, **entry} for entry in hc[key]]
    for port, hosts in (hc.get("PortBindings") or {}).items():
        hc["PortBindings"][port] = [{"HostIp": "", "HostPort": "", **host} for host in hosts or []]
    if hc.get("ConsoleSize"):
        hc["ConsoleSize"] = [*hc["ConsoleSize"], 0, 0][:2]
