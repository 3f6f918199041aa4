"""An inspected object as Go sees it: structs and maps told apart, and fields that JSON leaves out when they are empty.

``{{if .State.Health}}`` must be no error for a container without a health check, and ``{{.State}}`` prints a struct's values, not
a map. JSON knows neither, so the objects whose keys are data are named here, and the fields that Docker's types have besides.
"""

from __future__ import annotations

from typing import Any

from berth.cli.gotemplate.values import NIL, NilList, NilMap, Struct

MAPS = frozenset(
    """
    Annotations Attributes AuxiliaryAddresses ContainerAnnotations Containers Data Details DriverOpts EndpointsConfig
    ExposedPorts GraphOptions IndexConfigs Labels Networks Options Opts PortBindings Ports Runtimes Secrets Status StorageOpt
    Sysctls Tmpfs Volumes
    """.split()
)
"""Keys whose objects are Go maps: their keys are data. ``LogConfig.Config`` is one too."""

OMITTED: dict[str, dict[str, Any]] = {
    "State": {"Health": NIL},
    "Config": {
        "ExposedPorts": {}, "Volumes": {}, "Healthcheck": NIL, "ArgsEscaped": False, "NetworkDisabled": False, "MacAddress": "",
        "OnBuild": [], "StopSignal": "", "StopTimeout": NIL, "Shell": [], "Entrypoint": [], "Labels": {}, "User": "",
    },
    "HostConfig": {
        "Annotations": {}, "Mounts": [], "Init": NIL, "StorageOpt": {}, "Sysctls": {}, "Tmpfs": {}, "Runtime": "",
    },
    "NetworkSettings": {"Ports": {}},
    "": {"SizeRw": NIL, "SizeRootFs": NIL, "ImageManifestDescriptor": NIL, "Platform": "", "ClusterVolume": NIL,
         "UsageData": NIL, "Status": {}, "Labels": {}, "Options": {}, "RepoTags": [], "RepoDigests": [], "Parent": "",
         "Comment": ""},
}  # fmt: skip


POINTERS = frozenset(
    """
    ContainerAnnotations Health Healthcheck Init IPAMConfig GraphDriver HostConfig Config State NetworkSettings LogConfig
    MemorySwappiness OomKillDisable PidsLimit SizeRw SizeRootFs StopTimeout BindOptions VolumeOptions TmpfsOptions UsageData
    """.split()
)
"""Keys whose ``null`` is a pointer, not an empty list."""


def typed(value: Any, name: str = "", *, top: bool = True) -> Any:
    """``value`` with its objects as ``Struct`` where Go has structs, and what was omitted put back in its place's end."""
    if isinstance(value, list):
        return [typed(item, name, top=False) for item in value]
    if value is None:
        return _nil(name)
    if not isinstance(value, dict):
        return value
    if name in MAPS or _is_data(name, value):
        return {key: typed(item, "", top=False) for key, item in value.items()}
    found = Struct((key, typed(item, key, top=False)) for key, item in value.items())
    missing = {key: empty for key, empty in OMITTED.get("" if top else name or "-", {}).items() if key not in found}
    found.update(missing)
    found.omitted = frozenset(missing)
    if name == "IPAM" and found.get("Config") is NIL:
        found["Config"] = NilList()
    return found


def _nil(name: str) -> Any:
    """What ``null`` is in Go under a key."""
    return NIL if name in POINTERS else NilMap() if name in MAPS else NilList()


def _is_data(name: str, value: dict[str, Any]) -> bool:
    """``Config`` of a log driver, and whatever has keys that are no Go names."""
    if name == "Config" and "Image" not in value and "Cmd" not in value:
        return True
    return not all(key[:1].isupper() and key.isalnum() for key in value) and name != "Platform"
