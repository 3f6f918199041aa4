"""``version`` and ``info``."""

from __future__ import annotations

import os
import platform
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple

import berth
from berth.base.clock import now_ns, rfc3339
from berth.engine.containers.deps import Deps
from berth.kernel import mountinfo
from berth.spec.api.system import EventMessage, SystemInfo, SystemVersion

API_VERSION = "1.51"
MIN_API_VERSION = "1.24"
_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


class SystemFacts(NamedTuple):
    """What ``info`` shows of the daemon and the host, taken at start."""

    instance_id: str
    started_ns: int
    debug: bool
    cgroup_driver: str
    cgroup_version: str
    warnings: tuple[str, ...]
    registry_mirrors: tuple[str, ...]
    insecure_registries: tuple[str, ...]
    live_restore: bool
    labels: tuple[str, ...]
    http_proxy: str
    https_proxy: str
    no_proxy: str


class SystemService:
    def __init__(self, deps: Deps, facts: SystemFacts, goroutines: Callable[[], int]) -> None:
        self._deps = deps
        self._facts = facts
        self._tasks = goroutines

    def reload(self, facts: SystemFacts) -> None:
        """What ``info`` says from now on."""
        self._facts = facts

    async def version(self) -> SystemVersion:
        kernel = platform.release()
        built = rfc3339(self._facts.started_ns)
        details = {
            "ApiVersion": API_VERSION, "Arch": _arch(), "BuildTime": built, "Experimental": "false",
            "GitCommit": "", "GoVersion": f"python{platform.python_version()}", "KernelVersion": kernel,
            "MinAPIVersion": MIN_API_VERSION, "Os": "linux",
        }  # fmt: skip
        return {
            "Platform": {"Name": "Berth"},
            "Version": berth.__version__,
            "ApiVersion": API_VERSION,
            "MinAPIVersion": MIN_API_VERSION,
            "Os": "linux",
            "Arch": _arch(),
            "KernelVersion": kernel,
            "GitCommit": "",
            "GoVersion": f"python{platform.python_version()}",
            "BuildTime": built,
            "Components": [
                {"Name": "Engine", "Version": berth.__version__, "Details": details},
                {"Name": "berth-runtime", "Version": berth.__version__, "Details": {"GitCommit": ""}},
            ],
        }

    async def info(self) -> SystemInfo:
        deps, facts = self._deps, self._facts
        phases = [c.row.phase for c in deps.containers]
        counts: Mapping[str, Any] = deps.images.counts()
        driver, why = deps.images.storage()
        info: dict[str, Any] = {
            "ID": facts.instance_id,
            "Containers": len(phases),
            "ContainersRunning": phases.count("running") + phases.count("restarting"),
            "ContainersPaused": phases.count("paused"),
            "ContainersStopped": sum(p in ("created", "exited", "dead", "removing") for p in phases),
            "Images": int(counts.get("images", 0)),
            "Driver": driver,
            "DriverStatus": _driver_status(deps.layout.data_root, driver, why),
            "Plugins": {
                "Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": None,
                "Log": ["json-file", "none"],
            },
            "MemoryLimit": True, "SwapLimit": True, "CpuCfsPeriod": True, "CpuCfsQuota": True, "CPUShares": True,
            "CPUSet": True, "PidsLimit": True, "IPv4Forwarding": True, "Debug": facts.debug,
            "NFd": len(os.listdir("/proc/self/fd")), "OomKillDisable": facts.cgroup_version == "1",
            "NGoroutines": self._tasks(), "SystemTime": rfc3339(now_ns()), "LoggingDriver": deps.settings.log_driver,
            "CgroupDriver": facts.cgroup_driver, "CgroupVersion": facts.cgroup_version, "NEventsListener": 0,
            "KernelVersion": platform.release(), "OperatingSystem": _os_name(), "OSVersion": _os_release("VERSION_ID"),
            "OSType": "linux", "Architecture": platform.machine(), "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": {
                "IndexConfigs": {"docker.io": {"Mirrors": list(facts.registry_mirrors), "Name": "docker.io",
                                               "Official": True, "Secure": True}},
                "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"], "Mirrors": list(facts.registry_mirrors),
            },
            "NCPU": deps.host.cpus, "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            "GenericResources": None, "DockerRootDir": deps.layout.data_root, "HttpProxy": facts.http_proxy,
            "HttpsProxy": facts.https_proxy, "NoProxy": facts.no_proxy, "Name": platform.node(),
            "Labels": list(facts.labels), "ExperimentalBuild": False, "ServerVersion": berth.__version__,
            "Runtimes": deps.runtimes.render(), "DefaultRuntime": deps.runtimes.default,
            "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False,
                      "Error": "", "RemoteManagers": None},
            "LiveRestoreEnabled": facts.live_restore, "Isolation": "", "InitBinary": "berth-init",
            "ContainerdCommit": {"ID": ""}, "RuncCommit": {"ID": ""}, "InitCommit": {"ID": ""},
            "SecurityOptions": _security_options(apparmor=deps.host.apparmor, remapped=deps.host.id_map is not None),
            "Warnings": [*facts.warnings, *filter(None, [deps.networks.bridge_note])] or None,
            "CDISpecDirs": [],
        }  # fmt: skip
        return info  # type: ignore[return-value]

    def events(
        self, *, since_ns: int | None, until_ns: int | None, filters: Mapping[str, list[str]]
    ) -> AsyncIterator[EventMessage]:
        return self._deps.events.subscribe(since_ns=since_ns, until_ns=until_ns, filters=filters)


def _driver_status(data_root: str, driver: str, why: str) -> list[list[str]]:
    status = [
        ["Backing Filesystem", _filesystem(data_root)],
        ["Native Overlay Diff", str(driver == "overlay2").lower()],
    ]
    return [*status, ["Chosen since", why]] if why else status


def _arch() -> str:
    return _ARCH.get(platform.machine(), platform.machine())


def _os_release(key: str) -> str:
    try:
        return platform.freedesktop_os_release().get(key, "")
    except OSError:
        return ""


def _os_name() -> str:
    return _os_release("PRETTY_NAME") or "Linux"


def _filesystem(path: str) -> str:
    """The type of the filesystem that ``path`` is on, in Docker's words."""
    kind = mountinfo.under(path).fstype
    return {"ext2/ext3": "extfs", "ext4": "extfs"}.get(kind, kind)


def _security_options(*, apparmor: bool, remapped: bool) -> list[str]:
    first, last = (["name=apparmor"] if apparmor else []), (["name=userns"] if remapped else [])
    return [*first, "name=seccomp,profile=builtin", "name=cgroupns", *last]
