"""The only place where everything is built and handed to each other.

Order at start: lock → database → images → zygote and pool → networks (netd through the zygote) → recover → doors.
At the end the other way round; with live-restore the shims and netd stay.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

from berth.api.app import App
from berth.api.services import Services
from berth.base.clock import now_ns
from berth.base.errors import InvalidArgument
from berth.base.layout import Layout
from berth.base.locks import KeyedLocks
from berth.content.trash import Trash
from berth.daemon import host as hosts
from berth.daemon.configure import reload_attributes
from berth.daemon.doors import tls_context
from berth.daemon.settings import SETTINGS, Settings
from berth.db.database import Database
from berth.engine.containers.deps import Defaults, Deps, Tasks
from berth.engine.containers.deps import Settings as VerbSettings
from berth.engine.containers.execs import Execs
from berth.engine.containers.index import ContainerIndex
from berth.engine.containers.runtime_spec import READONLY_PATHS
from berth.engine.containers.service import ContainerService
from berth.engine.containers.stop import finish, let_go, stop_all
from berth.engine.disk_usage import DiskUsage
from berth.engine.events import EventBus
from berth.engine.host_resolvers import HostResolvers
from berth.engine.images.service import ImageService
from berth.engine.images.settings import ImageSettings
from berth.engine.networks import NetworkVerbs
from berth.engine.reconcile import recover
from berth.engine.runtimes import Runtimes
from berth.engine.system import SystemFacts, SystemService
from berth.engine.volumes import VolumeVerbs
from berth.kernel import cgroups
from berth.networks.ipam.pools import DEFAULT_POOLS, parse_pool
from berth.networks.options import NetworkOptions
from berth.networks.service import NetworkService
from berth.oci import small_init
from berth.registry.settings import RegistrySettings, parse_registries
from berth.shim_client import ShimPool, Zygote
from berth.spec.units import parse_bytes
from berth.volumes.store import VolumeStore

if TYPE_CHECKING:
    from berth.networks.cluster.service import Cluster

log = logging.getLogger("berth.daemon")


class Engine:
    """One engine: what was built, opened and is to be closed again."""

    def __init__(self, settings: Settings, layout: Layout) -> None:
        self.settings = settings
        self.layout = layout
        self.started_ns = now_ns()
        facts = cgroups.detect()
        self.instance_id = hosts.instance_id(layout)
        self.db = Database(layout.db)
        self.events = EventBus()
        self.containers = ContainerIndex()
        self.tasks = Tasks()
        self.trash = Trash(layout.trash)
        self.volumes = VolumeStore(layout, self.db)
        self.images = ImageService(layout, self.db, _image_settings(settings), self.events.publish, self._users)
        host = hosts.host_facts(settings, cgroup_v2=facts.version == 2)
        verbs = _verb_settings(settings, self.instance_id)
        self.zygote = Zygote(
            self.instance_id, layout, masked=host.masked_paths, readonly=READONLY_PATHS,
            cgroup_parent=verbs.cgroup_parent, init_path=small_init.write(os.path.join(layout.run_root, "berth-init")),
        )  # fmt: skip
        self.pool = ShimPool(self.zygote, size=settings["parked-shims"])
        self.networks = NetworkService(
            self.instance_id, layout, self.db, _network_options(settings), start_netd=self._start_netd,
            cluster=_cluster(settings, self.instance_id),
        )  # fmt: skip
        execs = Execs()
        self.deps = Deps(
            layout=layout, db=self.db, containers=self.containers, images=self.images, networks=self.networks,
            volumes=self.volumes, pool=self.pool, events=self.events, locks=KeyedLocks(),
            host=host, settings=verbs, defaults=Defaults(*_defaults(settings)), tasks=self.tasks, trash=self.trash, execs=execs,
            runtimes=Runtimes(settings["add-runtime"], settings["default-runtime"]),
        )  # fmt: skip
        execs.bind(self.deps)
        self.system = SystemService(self.deps, self._facts(facts), lambda: len(asyncio.all_tasks()))
        self.host_resolvers = HostResolvers(self.deps)
        self.app: App | None = None

    async def open(self) -> None:
        """Everything up to, but not, the doors. Raises: whatever keeps this daemon from serving, in words."""
        self.trash.open()
        self.db.open()
        self.volumes.open()
        await asyncio.gather(self.images.open(), self.zygote.start())
        if self.deps.settings.storage_size_bytes and not self.images.quotas:
            raise InvalidArgument(
                f"--storage-opt overlay2.size: the filesystem of {self.layout.snapshots} has no project quotas: "
                "it takes ext4 or xfs, mounted with prjquota"
            )
        await self.networks.open()
        self.pool.open()
        await recover(self.deps)
        self.host_resolvers.start()
        containers = ContainerService(self.deps)
        disk = DiskUsage(self.layout, containers, self.images, self.volumes)
        services = Services(
            containers, self.images, NetworkVerbs(self.deps), self.system, disk, self.images.registries(),
            VolumeVerbs(self.deps),
        )  # fmt: skip
        self.app = App(services, server_version=_version(), debug=self.settings["debug"])

    def reload(self, fresh: Settings) -> None:
        """Take over what may change while the daemon runs (SIGHUP), and say so as an event.

        Raises: InvalidArgument; nothing is changed then.
        """
        images = _image_settings(fresh)
        self.deps.runtimes.reload(fresh["add-runtime"], fresh["default-runtime"])
        for setting in SETTINGS:
            if setting.reload:
                self.settings[setting.flag] = fresh[setting.flag]
        self.settings.path = fresh.path
        self.deps.defaults.set(*_defaults(fresh))
        self.images.reload(images)
        self.system.reload(self._facts(cgroups.detect()))
        self.events.publish("daemon", "reload", self.instance_id, reload_attributes(fresh))

    async def close(self) -> None:
        """Stop; with live-restore the containers run on. Without one that does, no process and no cgroup of ours is left."""
        timeout_s = float(self.settings["shutdown-timeout"]) if self.settings["shutdown-timeout"] >= 0 else None
        await finish(self.deps, timeout_s)
        if not self.settings["live-restore"]:
            await stop_all(self.deps, timeout_s)
        self.host_resolvers.stop()
        await let_go(self.deps, timeout_s)
        await self.pool.close()
        await self.zygote.close()
        await self.networks.close()
        if not any(container.running for container in self.containers):
            await asyncio.to_thread(self.zygote.remove_cgroups)
        await self.images.close()
        self.trash.drain()
        self.trash.close()
        self.db.close()

    async def _start_netd(self, listener: socket.socket, table_path: str) -> int:
        return await self.zygote.fork_netd(listener, table_path)

    def _users(self, image_id: str) -> list[tuple[str, bool]]:
        return [(c.id, c.running) for c in self.containers if c.row.image_id == image_id]

    def _facts(self, found: Any) -> SystemFacts:
        settings = self.settings
        return SystemFacts(
            instance_id=self.instance_id, started_ns=self.started_ns, debug=settings["debug"],
            cgroup_driver=hosts.cgroup_driver(settings), cgroup_version=str(found.version), warnings=(),
            registry_mirrors=tuple(settings["registry-mirror"]),
            insecure_registries=tuple(settings["insecure-registry"]), live_restore=settings["live-restore"],
            labels=tuple(settings["label"]), http_proxy=os.environ.get("HTTP_PROXY", ""),
            https_proxy=os.environ.get("HTTPS_PROXY", ""), no_proxy=os.environ.get("NO_PROXY", ""),
        )  # fmt: skip


def _storage_size(settings: Settings) -> int:
    size = 0
    for option in settings["storage-opt"]:
        key, _, value = option.partition("=")
        if key.lower() == "overlay2.size":
            size = parse_bytes(value, "--storage-opt overlay2.size")
    return size


def check(settings: Settings) -> None:
    """What only the parts themselves know to be wrong, without building them. Raises: InvalidArgument."""
    Runtimes(settings["add-runtime"], settings["default-runtime"])
    hosts.cgroup_driver(settings)
    tls_context(settings)
    _image_settings(settings)
    _network_options(settings)


def _defaults(settings: Settings) -> tuple[int, str, str]:
    return settings["default-shm-size"], settings["default-ipc-mode"], settings["default-cgroupns-mode"]


def _version() -> str:
    import berth

    return berth.__version__


def _image_settings(settings: Settings) -> ImageSettings:
    return ImageSettings(
        registries=RegistrySettings(
            tuple(settings["registry-mirror"]), tuple(settings["insecure-registry"]),
            parse_registries(settings["registries"]), tuple(settings["registry-certs"]),
        ),
        max_concurrent_downloads=settings["max-concurrent-downloads"],
        max_concurrent_uploads=settings["max-concurrent-uploads"],
        max_download_attempts=settings["max-download-attempts"],
        max_layer_bytes=settings["max-layer-bytes"], max_layer_entries=settings["max-layer-entries"],
        storage_driver=settings["storage-driver"],
    )  # fmt: skip


def _network_options(settings: Settings) -> NetworkOptions:
    return NetworkOptions(
        bridge=settings["bridge"], bip=settings["bip"], mtu=settings["mtu"], icc=settings["icc"],
        ip_masq=settings["ip-masq"], ip_forward=settings["ip-forward"], default_ip=settings["ip"],
        ip_forward_no_drop=settings["ip-forward-no-drop"],
        dns=tuple(settings["dns"]), dns_search=tuple(settings["dns-search"]), dns_opts=tuple(settings["dns-opt"]),
        fixed_cidr=settings["fixed-cidr"], ipv6=settings["ipv6"],
        bip6=settings["bip6"], fixed_cidr_v6=settings["fixed-cidr-v6"],
        default_gateway=settings["default-gateway"], default_gateway_v6=settings["default-gateway-v6"],
        default_network_opts=settings["default-network-opt"],
        pools=tuple(parse_pool(pool) for pool in settings["default-address-pool"]) or DEFAULT_POOLS,
    )  # fmt: skip


def _cluster(settings: Settings, instance: str) -> Cluster | None:
    options = {key: str(value) for key, value in settings["cluster-store-opt"].items()}
    if not (settings["cluster-store"] or settings["cluster-advertise"] or options):
        return None
    from berth.networks.cluster.service import Cluster
    from berth.networks.cluster.settings import parse_cluster

    found = parse_cluster(settings["cluster-store"], settings["cluster-advertise"], options)
    return Cluster(found, instance) if found is not None else None


def _verb_settings(settings: Settings, instance: str) -> VerbSettings:
    systemd = hosts.cgroup_driver(settings) == "systemd"
    return VerbSettings(
        log_driver=settings["log-driver"], log_opts={k: str(v) for k, v in settings["log-opt"].items()},
        stop_timeout_s=10, dns=tuple(settings["dns"]), dns_search=tuple(settings["dns-search"]),
        dns_options=tuple(settings["dns-opt"]), host_gateways=tuple(settings["host-gateway-ip"]),
        cgroup_parent=("" if systemd else settings["cgroup-parent"]) or f"/berth-{instance}",
        init=settings["init"],
        systemd_slice=(settings["cgroup-parent"] or "system.slice") if systemd else "", instance_id=instance,
        storage_size_bytes=_storage_size(settings),
    )  # fmt: skip
