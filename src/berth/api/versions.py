"""What older versions of the API had, lacked or did otherwise: the engine speaks 1.51, this translates.

Requests: what a client of that version could not have meant is taken out of its body, as dockerd does.
Answers: keys that came later are left out, keys that went are put back.
Bodies and answers are changed in place. Spec: the Engine API's version history.
"""

from __future__ import annotations

from typing import Any

from berth.base.clock import ZERO
from berth.base.errors import InvalidArgument

Version = tuple[int, int]
Document = dict[str, Any]

_LEGACY_MAC = (
    "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
)


# --- requests


def create_body(body: Document, version: Version) -> list[str]:
    """POST /containers/create; returns warnings. Raises: InvalidArgument for what that version refused."""
    host: Document = body.get("HostConfig") or {}
    endpoints: Document = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    mounts: list[Document] = host.get("Mounts") or []
    if version >= (1, 42):
        host.pop("KernelMemory", None)
        _check_mount_options(mounts)
    if version < (1, 45) and any((m.get("VolumeOptions") or {}).get("Subpath") for m in mounts):
        raise InvalidArgument("VolumeOptions.Subpath needs API v1.45 or newer")
    if version < (1, 44):
        _create_before_1_44(body, endpoints, mounts)
    if version < (1, 43):
        host.pop("Annotations", None)
    if version < (1, 42):
        _create_before_1_42(host, mounts)
    if version < (1, 40):
        _create_before_1_40(host, mounts)
    if version < (1, 25):
        host.pop("AutoRemove", None)  # the client removed
    if host:
        body["HostConfig"] = host
    return [_LEGACY_MAC] if version >= (1, 44) and body.get("MacAddress") else []


_MOUNT_OPTIONS = {"BindOptions": "bind", "VolumeOptions": "volume", "TmpfsOptions": "tmpfs"}


def _check_mount_options(mounts: list[Document]) -> None:
    for mount in mounts:
        for key, kind in _MOUNT_OPTIONS.items():
            if mount.get(key) is not None and mount.get("Type", "") != kind:
                raise InvalidArgument(f'{key} must not be specified on mount type "{mount.get("Type", "")}"')


def _create_before_1_44(body: Document, endpoints: Document, mounts: list[Document]) -> None:
    (body.get("Healthcheck") or {}).pop("StartInterval", None)
    for mount in mounts:
        options = mount.get("BindOptions") or {}
        if options.get("ReadOnlyForceRecursive"):
            raise InvalidArgument("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
        if mount.get("Type") == "bind" and mount.get("ReadOnly"):
            mount["BindOptions"] = {**options, "ReadOnlyNonRecursive": True}
    if body.get("MacAddress") and (body.get("HostConfig") or {}).get("NetworkMode") == "host":
        raise InvalidArgument("conflicting options: mac-address and the network mode")
    if len(endpoints) > 1:
        raise InvalidArgument(f"Container cannot be created with multiple network endpoints: {', '.join(endpoints)}")
    for endpoint in endpoints.values():
        endpoint.pop("MacAddress", None)


def _create_before_1_42(host: Document, mounts: list[Document]) -> None:
    host.pop("ConsoleSize", None)
    for mount in mounts:
        (mount.get("BindOptions") or {}).pop("CreateMountpoint", None)
        for key in ("VolumeOptions", "TmpfsOptions"):
            if mount.get("Type") != _MOUNT_OPTIONS[key]:
                mount.pop(key, None)


def _create_before_1_40(host: Document, mounts: list[Document]) -> None:
    host.pop("KernelMemoryTCP", None)
    host["IpcMode"] = host.get("IpcMode") or "shareable"
    for mount in mounts:
        (mount.get("BindOptions") or {}).pop("NonRecursive", None)


def update_body(body: Document, version: Version) -> None:
    """POST /containers/{id}/update."""
    if version < (1, 40):
        body.pop("PidsLimit", None)
    if version >= (1, 42):
        body.pop("KernelMemory", None)


def exec_body(body: Document, version: Version) -> None:
    """POST /containers/{id}/exec and /exec/{id}/start."""
    if version < (1, 42):
        body.pop("ConsoleSize", None)
    if version < (1, 25):
        body.pop("Env", None)


# --- answers


def inspected_container(answer: Document, version: Version) -> None:
    """GET /containers/{id}/json."""
    if version >= (1, 48):
        return
    answer.pop("ImageManifestDescriptor", None)
    host: Document = answer.get("HostConfig") or {}
    networks: Document = (answer.get("NetworkSettings") or {}).get("Networks") or {}
    _endpoints(networks, version)
    if version < (1, 45):
        _short_aliases(answer, networks)
    if version < (1, 44):
        ((answer.get("Config") or {}).get("Healthcheck") or {}).pop("StartInterval", None)
        _plain_mounts(host)
    if version < (1, 43):
        host.pop("Annotations", None)
    if version < (1, 41):
        host.pop("CgroupnsMode", None)
    if version < (1, 40):
        host.pop("DeviceRequests", None)


def _plain_mounts(host: Document) -> None:
    """Read-only meant the mount itself, and there was no word for it."""
    for mount in host.get("Mounts") or []:
        if mount.get("BindOptions"):
            mount["BindOptions"].pop("ReadOnlyNonRecursive", None)
            mount["BindOptions"].pop("ReadOnlyForceRecursive", None)
            if not mount["BindOptions"]:
                del mount["BindOptions"]


def _short_aliases(answer: Document, networks: Document) -> None:
    """Networks that people made: the short id and the hostname were among the aliases."""
    more = [answer["Id"][:12], str((answer.get("Config") or {}).get("Hostname") or "")]
    for name, endpoint in networks.items():
        if name not in ("bridge", "host", "none", "default"):
            aliases = list(endpoint.get("Aliases") or [])
            endpoint["Aliases"] = list(dict.fromkeys([*aliases, *(a for a in more if a)]))


def _endpoints(networks: Document, version: Version) -> None:
    for endpoint in networks.values():
        if version < (1, 48):
            endpoint.pop("GwPriority", None)
        if version < (1, 44):
            endpoint.pop("DNSNames", None)


def listed_container(entry: Document, version: Version) -> None:
    """An entry of GET /containers/json."""
    if version >= (1, 48):
        return
    entry.pop("ImageManifestDescriptor", None)
    _endpoints((entry.get("NetworkSettings") or {}).get("Networks") or {}, version)
    if version < (1, 46):
        (entry.get("HostConfig") or {}).pop("Annotations", None)


_CONFIG_OF_CONTAINERS = {
    "Hostname": "", "Domainname": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "Tty": False,
    "OpenStdin": False, "StdinOnce": False, "Image": "",
}  # fmt: skip
_CONFIG_OF_IMAGES = {
    "Env": None, "Cmd": None, "Entrypoint": None, "WorkingDir": "", "User": "", "Labels": None, "Volumes": None,
    "OnBuild": None,
}  # fmt: skip


def inspected_image(answer: Document, version: Version) -> None:
    """GET /images/{name}/json."""
    _virtual_size(answer, version)
    if version < (1, 44):
        answer.setdefault("Created", ZERO)
    if version < (1, 45):
        answer["ContainerConfig"] = {**_CONFIG_OF_CONTAINERS, **_CONFIG_OF_IMAGES}
    if version < (1, 50):  # it had the shape of a container's
        answer["Config"] = {**_CONFIG_OF_CONTAINERS, **(answer["Config"] or {})}


def listed_image(entry: Document, version: Version) -> None:
    """An entry of GET /images/json."""
    _virtual_size(entry, version)
    if version < (1, 43):  # what has no name was called <none>
        tags, digests = entry["RepoTags"], entry["RepoDigests"]
        named = bool(tags or digests)
        entry["RepoTags"] = tags or (None if named else ["<none>:<none>"])
        entry["RepoDigests"] = digests or (None if named else ["<none>@<none>"])
    if version < (1, 51):
        entry["Containers"] = -1


def _virtual_size(answer: Document, version: Version) -> None:
    if version < (1, 44) and answer.get("Size"):
        answer["VirtualSize"] = answer["Size"]


def info(answer: Document, version: Version) -> None:
    """GET /info."""
    if version >= (1, 50):
        return
    answer.pop("DiscoveredDevices", None)
    answer |= {"BridgeNfIptables": False, "BridgeNfIp6tables": False}
    if version < (1, 49):
        answer.pop("FirewallBackend", None)
        for key in ("ContainerdCommit", "RuncCommit", "InitCommit"):
            commit = answer.get(key) or {}
            answer[key] = {**commit, "Expected": commit.get("ID", "")}
        registry: Document = answer.setdefault("RegistryConfig", {})
        registry |= {"AllowNondistributableArtifactsCIDRs": None, "AllowNondistributableArtifactsHostnames": None}
    if version < (1, 46):
        answer.pop("Containerd", None)
    if version < (1, 44):
        answer.pop("CDISpecDirs", None)
    if version < (1, 25):  # the options' names without their keys
        options = answer.get("SecurityOptions") or []
        answer["SecurityOptions"] = [option.split(",")[0].removeprefix("name=") for option in options]
