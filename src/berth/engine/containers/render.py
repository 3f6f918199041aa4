"""The only producer of what inspect and list show of a container.

Spec: Engine API v1.51, ContainerInspectResponse and ContainerSummary. Every key that Docker always prints is here, with
Docker's zero values, since clients (and ``--format``) rely on their presence.
"""

from __future__ import annotations

import time
from typing import Any, cast

import msgspec

from berth.base.clock import ZERO, rfc3339
from berth.engine.containers.deps import Deps
from berth.engine.containers.links import shown_links
from berth.engine.containers.network_files import paths
from berth.engine.containers.record import Container, ContainerRow, MountPoint
from berth.engine.containers.runtime_spec import MASKED_PATHS, READONLY_PATHS, hostname_of
from berth.spec.api.containers import ContainerInspectResponse, ContainerSummary, Port
from berth.spec.api.images import OCIDescriptor
from berth.spec.units import human_duration

_HOST_CONFIG_ZERO: dict[str, Any] = {
    "Binds": None, "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}}, "NetworkMode": "bridge",
    "PortBindings": None, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": False,
    "VolumeDriver": "", "VolumesFrom": None, "ConsoleSize": [0, 0], "CapAdd": None, "CapDrop": None,
    "CgroupnsMode": "private", "Dns": None, "DnsOptions": None, "DnsSearch": None, "ExtraHosts": None, "GroupAdd": None,
    "IpcMode": "private", "Cgroup": "", "Links": None, "OomScoreAdj": 0, "PidMode": "", "Privileged": False,
    "PublishAllPorts": False, "ReadonlyRootfs": False, "SecurityOpt": None, "UTSMode": "", "UsernsMode": "",
    "ShmSize": 67108864, "Runtime": "berth", "Isolation": "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0,
    "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": None, "BlkioDeviceReadBps": None,
    "BlkioDeviceWriteBps": None, "BlkioDeviceReadIOps": None, "BlkioDeviceWriteIOps": None, "CpuPeriod": 0, "CpuQuota": 0,
    "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": None,
    "DeviceCgroupRules": None, "DeviceRequests": None, "MemoryReservation": 0, "MemorySwap": 0,
    "MemorySwappiness": None, "OomKillDisable": None, "PidsLimit": None, "Ulimits": None, "CpuCount": 0,
    "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
}  # fmt: skip

_CONFIG_ZERO: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "ExposedPorts": None, "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": [], "Cmd": None, "Healthcheck": None,
    "ArgsEscaped": False, "Image": "", "Volumes": None, "WorkingDir": "", "Entrypoint": None, "NetworkDisabled": False,
    "MacAddress": "", "OnBuild": None, "Labels": {}, "StopSignal": "", "StopTimeout": None, "Shell": None,
}  # fmt: skip
"""In Docker's order: templates print it."""
_SHOWN_WHEN_SET = (
    "ExposedPorts", "ArgsEscaped", "NetworkDisabled", "MacAddress", "StopSignal", "Shell", "Healthcheck",
)  # fmt: skip


def render_inspect(deps: Deps, container: Container) -> ContainerInspectResponse:
    """``GET /containers/{id}/json`` without sizes."""
    row = container.row
    files = paths(deps, container)
    started = row.started_ns > 0 or bool(row.error)
    found: ContainerInspectResponse = {
        "Id": row.id,
        "Created": rfc3339(row.created_ns),
        "Path": row.path,
        "Args": row.args,
        "State": render_state(container),
        "Image": row.image_id,
        "ResolvConfPath": files.resolv if started else "",
        "HostnamePath": files.hostname if started else "",
        "HostsPath": files.hosts if started else "",
        "LogPath": deps.layout.log_path(row.id) if started and _has_log_file(row.host_config) else "",
        "Name": "/" + row.name,
        "RestartCount": row.restart_count,
        "Driver": "overlay2",
        "Platform": row.platform,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": _apparmor(row.host_config),
        "ExecIDs": sorted(i for i in container.execs if deps.execs.get(i).running) or None,
        "HostConfig": _host_config(row.host_config) | {"Links": shown_links(deps, container)},
        "GraphDriver": {"Name": "overlay2", "Data": _graph(deps, container)},
        "Mounts": [render_mount_point(m) for m in row.mounts if not m.options.get("short")],
        "Config": _config(row),
        "NetworkSettings": _network(deps, container),
    }
    if row.manifest:
        found["ImageManifestDescriptor"] = cast("OCIDescriptor", row.manifest)
    return found


def _network(deps: Deps, container: Container) -> Any:
    settings: Any = deps.networks.render_settings(container.endpoints, container.row.endpoints, container.ports)
    if container.row.pid:
        settings["SandboxKey"] = f"/proc/{container.row.pid}/ns/net"
    return settings


def _config(row: ContainerRow) -> Any:
    config = {**_CONFIG_ZERO, **row.config, "Hostname": hostname_of(row)}
    for key in _SHOWN_WHEN_SET:
        if not config.get(key):
            config.pop(key, None)
    if config["StopTimeout"] is None:
        del config["StopTimeout"]
    if "Healthcheck" in config:
        config["Healthcheck"] = {k: v for k, v in config["Healthcheck"].items() if v}
    return config


def _has_log_file(hc: dict[str, Any]) -> bool:
    return bool(hc["LogConfig"]["Type"] == "json-file")


def _apparmor(hc: dict[str, Any]) -> str:
    found = [o[9:] for o in hc.get("SecurityOpt") or [] if o.startswith(("apparmor=", "apparmor:"))]
    return found[-1] if found else ""


def _graph(deps: Deps, container: Container) -> dict[str, str]:
    from berth.base.errors import NotFound

    try:
        rootfs = deps.images.rootfs(container.id)
    except NotFound:
        return {}
    return {
        "ID": container.id,
        "LowerDir": ":".join(rootfs["lower"]),
        "UpperDir": rootfs["upper"],
        "WorkDir": rootfs["work"],
    }


def render_state(container: Container) -> Any:
    """``State`` of inspect."""
    row = container.row
    health = {"Health": row.health} if row.health is not None else {}
    return {
        "Status": row.phase,
        "Running": row.phase in ("running", "paused") or (row.phase == "restarting"),
        "Paused": row.phase == "paused",
        "Restarting": row.phase == "restarting",
        "OOMKilled": row.oom_killed,
        "Dead": row.phase == "dead",
        "Pid": row.pid,
        "ExitCode": row.exit_code,
        "Error": row.error,
        "StartedAt": rfc3339(row.started_ns),
        "FinishedAt": rfc3339(row.finished_ns) if row.finished_ns else ZERO,
        **health,
    }


def _host_config(stored: dict[str, Any]) -> Any:
    merged = {**_HOST_CONFIG_ZERO, **stored}
    privileged = bool(stored.get("Privileged"))
    if merged.get("MaskedPaths") is None:
        merged["MaskedPaths"] = None if privileged else list(MASKED_PATHS)
    if merged.get("ReadonlyPaths") is None:
        merged["ReadonlyPaths"] = None if privileged else list(READONLY_PATHS)
    return merged


def render_mount_point(mount: MountPoint) -> Any:
    """One entry of ``Mounts``."""
    entry: dict[str, Any] = {"Type": mount.type}
    if mount.name:
        entry["Name"] = mount.name
    entry["Source"] = mount.source
    entry["Destination"] = mount.destination
    if mount.driver:
        entry["Driver"] = mount.driver
    entry["Mode"] = mount.mode
    entry["RW"] = mount.rw
    entry["Propagation"] = mount.propagation
    return entry


def render_ports(ports: dict[str, Any]) -> list[Port]:
    """``NetworkSettings.Ports`` as the list's ``Ports``."""
    result: list[Port] = []
    for key, bindings in ports.items():
        number, _, proto = key.partition("/")
        if not bindings:
            result.append({"PrivatePort": int(number), "Type": proto})
        for binding in bindings or []:
            entry: Port = {"IP": binding["HostIp"], "PrivatePort": int(number), "Type": proto}
            if binding["HostPort"]:  # none where the port is published at the container's own address
                entry["PublicPort"] = int(binding["HostPort"])
            result.append(entry)
    return result


def render_summary(deps: Deps, container: Container) -> ContainerSummary:
    """One entry of the list, without sizes."""
    row = container.row
    settings: Any = deps.networks.render_settings(container.endpoints, row.endpoints, container.ports)
    found: ContainerSummary = {
        "Id": row.id,
        "Names": ["/" + row.name],
        "Image": row.image_ref,
        "ImageID": row.image_id,
        "Command": command_text(row.path, row.args),
        "Created": row.created_ns // 1_000_000_000,
        "Ports": render_ports(container.ports),
        "Labels": row.config.get("Labels") or {},
        "State": row.phase,
        "Status": status_text(container),
        "HostConfig": {"NetworkMode": row.host_config["NetworkMode"]},
        "NetworkSettings": {"Networks": settings.get("Networks") or {}},
        "Mounts": [_listed_mount(m) for m in row.mounts if not m.options.get("short")],
    }
    if row.manifest:
        found["ImageManifestDescriptor"] = cast("OCIDescriptor", row.manifest)
    return found


def _listed_mount(mount: MountPoint) -> Any:
    """As inspect has it, but for a volume's place on the host."""
    entry = render_mount_point(mount)
    return entry if mount.type == "bind" else {**entry, "Source": ""}


def command_text(path: str, args: list[str]) -> str:
    """The command as ``ps`` shows it: words with blanks are quoted."""
    return " ".join([path, *(f"'{a}'" if " " in a else a for a in args)])


def status_text(container: Container, now_s: float | None = None) -> str:
    """``Up 3 minutes``, ``Exited (0) 2 hours ago``, ``Created``: Docker's words."""
    row = container.row
    now_s = time.time() if now_s is None else now_s
    if row.phase in ("running", "paused"):
        up = f"Up {human_duration(now_s - row.started_ns / 1e9)}"
        return up + " (Paused)" if row.phase == "paused" else up + _health_text(row)
    ended = human_duration(now_s - row.finished_ns / 1e9) if row.finished_ns else ""
    if row.phase == "restarting":
        return f"Restarting ({row.exit_code}) {ended} ago"
    if row.phase == "exited":
        return f"Exited ({row.exit_code}) {ended} ago" if row.finished_ns else "Created"
    if row.phase == "removing":
        return "Removal In Progress"
    return row.phase.capitalize()


def _health_text(row: ContainerRow) -> str:
    if row.health is None:
        return ""
    status = str(row.health["Status"])
    return " (health: starting)" if status == "starting" else f" ({status})"


encode = msgspec.json.Encoder().encode


def encoded_summary(deps: Deps, container: Container) -> bytes:
    """The list entry as JSON. The part that does not age is cached until the container changes."""
    cached = container.summary
    if cached is None:
        entry = render_summary(deps, container)
        entry.pop("Status", None)
        cached = encode(entry)[:-1] + b',"Status":'
        container.summary = cached
    return cached + encode(status_text(container)) + b"}"
