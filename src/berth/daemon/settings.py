"""The daemon's settings, declared once: flag, key in daemon.json, kind, default, help. Every reader reads this table.

A setting with a ``reason`` is one of dockerd's that this engine does not have: its inert values (``accepts``) are taken, any
other is refused with the reason. Whoever builds the thing deletes the reason.
"""

from __future__ import annotations

from typing import Any, NamedTuple

OWN_FILE = "/etc/berth/daemon.json"
DOCKER_FILE = "/etc/docker/daemon.json"
DOCKERS_OWN_KEYS = frozenset({"hosts", "data-root", "exec-root", "pidfile", "containerd", "graph"})
"""Keys of /etc/docker/daemon.json that name Docker's own places: never taken over from there."""


class Setting(NamedTuple):
    """``kind``:

    str, bool, int    one value
    list              a repeated flag, an array in the file
    map               repeated ``key=value``, an object in the file
    size              bytes, or text such as 64m
    ulimits           repeated ``name=soft[:hard]``; ``{"name": {"Soft": 1, "Hard": 2}}`` in the file
    options           repeated ``driver=option=value``; ``{"driver": {"option": "value"}}`` in the file
    runtimes          repeated ``name=path``; ``{"name": {"path": "...", "runtimeArgs": []}}`` in the file

    ``reload``: SIGHUP takes a new value over from the file.
    """

    flag: str
    key: str
    kind: str
    default: Any
    help: str
    short: str = ""
    reload: bool = False
    reason: str = ""
    accepts: tuple[Any, ...] = ()


_NOT_YET = "this engine does not have it yet"
_NO_CONTAINERD = "this engine has no containerd: it runs containers itself"
_NO_SWARM = "this engine has no swarm"
_OWN_TABLE = "this engine's rules live in one nftables table of its own, beside what others have"

SETTINGS: tuple[Setting, ...] = (
    # where it lives and listens
    Setting("host", "hosts", "list", [], "Daemon socket(s) to connect to", "H"),
    Setting("group", "group", "str", "docker", "Group for the unix socket", "G"),
    Setting("data-root", "data-root", "str", "/var/lib/berth", "Root directory of persistent state"),
    Setting("exec-root", "exec-root", "str", "/run/berth", "Root directory for execution state files"),
    Setting("pidfile", "pidfile", "str", "", "Path to use for daemon PID file", "p"),
    Setting("tls", "tls", "bool", False, "Use TLS; implied by --tlsverify; =false allows plain TCP"),
    Setting("tlscacert", "tlscacert", "str", "~/.docker/ca.pem", "Trust certs signed only by this CA"),
    Setting("tlscert", "tlscert", "str", "~/.docker/cert.pem", "Path to TLS certificate file"),
    Setting("tlskey", "tlskey", "str", "~/.docker/key.pem", "Path to TLS key file"),
    Setting("tlsverify", "tlsverify", "bool", False, "Use TLS and verify the remote"),
    # what it says
    Setting("debug", "debug", "bool", False, "Enable debug mode", "D", reload=True),
    Setting("log-level", "log-level", "str", "info", 'Set the logging level ("debug"|"info"|"warn"|"error"|"fatal")', "l",
            reload=True),
    Setting("log-format", "log-format", "str", "text", 'Set the logging format ("text"|"json")'),
    Setting("raw-logs", "raw-logs", "bool", False, "Full timestamps without ANSI coloring (there is none here)"),
    Setting("label", "labels", "list", [], "Set key=value labels to the daemon", reload=True),
    # networks
    Setting("bridge", "bridge", "str", "", "Attach containers to a network bridge", "b"),
    Setting("bip", "bip", "str", "", "Specify default-bridge IPv4 network"),
    Setting("fixed-cidr", "fixed-cidr", "str", "", "IPv4 subnet for the default bridge network"),
    Setting("ipv6", "ipv6", "bool", False, "Enable IPv6 networking for the default bridge network"),
    Setting("bip6", "bip6", "str", "", "Specify default-bridge IPv6 network"),
    Setting("fixed-cidr-v6", "fixed-cidr-v6", "str", "", "IPv6 subnet for the default bridge network"),
    Setting("default-gateway", "default-gateway", "str", "", "Default gateway IPv4 address"),
    Setting("default-gateway-v6", "default-gateway-v6", "str", "", "Default gateway IPv6 address"),
    Setting("default-network-opt", "default-network-opts", "options", {}, "Default network options (DRIVER=OPTION=VALUE)"),
    Setting("default-address-pool", "default-address-pools", "list", [], "Default address pools for local networks"),
    Setting("mtu", "mtu", "int", 1500, "Set the MTU of the default bridge network"),
    Setting("icc", "icc", "bool", True, "Enable inter-container communication for the default bridge network"),
    Setting("ip", "ip", "str", "", "Host IP for port publishing from the default bridge network"),
    Setting("ip-forward", "ip-forward", "bool", True, "Enable IP forwarding in system configuration"),
    Setting("ip-masq", "ip-masq", "bool", True, "Enable IP masquerading for the default bridge network"),
    Setting("dns", "dns", "list", [], "DNS server to use"),
    Setting("dns-search", "dns-search", "list", [], "DNS search domains to use"),
    Setting("dns-opt", "dns-opts", "list", [], "DNS options to use"),
    Setting("host-gateway-ip", "host-gateway-ips", "list", [],
            "IP addresses (one of each family) that host-gateway resolves to in --add-host"),
    Setting("cluster-store", "cluster-store", "str", "", "Key-value store that hosts share networks through: etcd://host:port"),
    Setting("cluster-advertise", "cluster-advertise", "str", "", "Address or interface that other hosts reach this one at"),
    Setting("cluster-store-opt", "cluster-store-opts", "map", {}, "Options of the store (kv.cacertfile, discovery.ttl, ...)"),
    # images and registries
    Setting("registry-mirror", "registry-mirrors", "list", [], "Preferred registry mirror", reload=True),
    Setting("insecure-registry", "insecure-registries", "list", [], "Enable insecure registry communication", reload=True),
    Setting("registries", "registries", "map", {}, "Mirrors and more per registry (host=mirror URL; more in the file)",
            reload=True),
    Setting("registry-certs", "registry-certs", "list", ["/etc/berth/certs.d", "/etc/docker/certs.d"],
            "Folders with certificates per registry"),
    Setting("max-concurrent-downloads", "max-concurrent-downloads", "int", 3, "Max concurrent downloads for each pull",
            reload=True),
    Setting("max-concurrent-uploads", "max-concurrent-uploads", "int", 5, "Max concurrent uploads for each push",
            reload=True),
    Setting("max-download-attempts", "max-download-attempts", "int", 5, "Max download attempts for each pull", reload=True),
    Setting("http-proxy", "http-proxy", "str", "", "HTTP proxy URL to use for outgoing traffic"),
    Setting("https-proxy", "https-proxy", "str", "", "HTTPS proxy URL to use for outgoing traffic"),
    Setting("no-proxy", "no-proxy", "str", "", "Comma-separated list of hosts for which the proxy should be skipped"),
    Setting("storage-driver", "storage-driver", "str", "", "Storage driver to use", "s"),
    # what containers get
    Setting("log-driver", "log-driver", "str", "json-file", "Default driver for container logs"),
    Setting("log-opt", "log-opts", "map", {}, "Default log driver options for containers"),
    Setting("cgroup-parent", "cgroup-parent", "str", "", "Set parent cgroup for all containers"),
    Setting("exec-opt", "exec-opts", "list", [], "Runtime execution options (native.cgroupdriver=cgroupfs|systemd)"),
    Setting("default-ulimit", "default-ulimits", "ulimits", [], "Default ulimits for containers"),
    Setting("default-shm-size", "default-shm-size", "size", 64 << 20, "Default shm size for containers",
            reload=True),
    Setting("default-ipc-mode", "default-ipc-mode", "str", "private", 'Default mode for containers ipc ("shareable"|"private")',
            reload=True),
    Setting("default-cgroupns-mode", "default-cgroupns-mode", "str", "private",
            'Default mode for containers cgroup namespace ("host"|"private")', reload=True),
    Setting("default-runtime", "default-runtime", "str", "berth", "Default OCI runtime for containers", reload=True),
    Setting("add-runtime", "runtimes", "runtimes", {}, "Register an additional OCI compatible runtime", reload=True),
    Setting("init", "init", "bool", False, "Run an init in the container to forward signals and reap processes"),
    Setting("no-new-privileges", "no-new-privileges", "bool", False, "Set no-new-privileges by default for new containers"),
    Setting("userns-remap", "userns-remap", "str", "", "User/Group setting for user namespaces"),
    Setting("seccomp-profile", "seccomp-profile", "str", "", "Path to seccomp profile (or builtin, unconfined)"),
    # its life
    Setting("max-layer-bytes", "max-layer-bytes", "int", 256 << 30, "Largest layer that is unpacked, in bytes inflated"),
    Setting("max-layer-entries", "max-layer-entries", "int", 10_000_000, "Most entries of a layer that is unpacked"),
    Setting("live-restore", "live-restore", "bool", True, "Keep containers running while the daemon is down", reload=True),
    Setting("shutdown-timeout", "shutdown-timeout", "int", 15, "Seconds to wait for containers to stop at shutdown",
            reload=True),
    Setting("oom-score-adjust", "oom-score-adjust", "int", 0, "Set the oom_score_adj for the daemon", accepts=(0,),
            reason="dockerd has it no longer either: OOMScoreAdjust= of systemd sets it"),
    Setting("parked-shims", "parked-shims", "int", 4, "Shims kept ready, so that a start does not wait for the kernel"),
    # dockerd's, which mean nothing here
    Setting("experimental", "experimental", "bool", False, "Enable experimental features", accepts=(False,),
            reason="what this engine has is not divided into experimental and not"),
    Setting("feature", "features", "map", {}, "Enable feature in the daemon", reload=True),
    Setting("storage-opt", "storage-opts", "list", [], "Storage driver options (overlay2.size=SIZE)"),
    Setting("iptables", "iptables", "bool", True, "Enable addition of firewall rules", reason=_OWN_TABLE, accepts=(True,)),
    Setting("ip6tables", "ip6tables", "bool", True, "Enable addition of IPv6 firewall rules", reason=_OWN_TABLE,
            accepts=(True,)),
    Setting("firewall-backend", "firewall-backend", "str", "nftables", "Firewall backend to use, iptables or nftables",
            reason=_OWN_TABLE, accepts=("", "nftables")),
    Setting("userland-proxy", "userland-proxy", "bool", True, "Use userland proxy for loopback traffic",
            reason="netd holds published ports and serves what the kernel cannot", accepts=(True,)),
    Setting("userland-proxy-path", "userland-proxy-path", "str", "", "Path to the userland proxy binary",
            reason="there is no proxy program: netd serves what the kernel cannot publish"),
    Setting("authorization-plugin", "authorization-plugins", "list", [], "Authorization plugins to load",
            reason="no plugin is asked whether a request may pass: TLS client certificates and the socket's group say who may"),
    Setting("metrics-addr", "metrics-addr", "str", "", "Address and port to serve the metrics api on", reason=_NOT_YET),
    Setting("selinux-enabled", "selinux-enabled", "bool", False, "Enable selinux support", reason=_NOT_YET, accepts=(False,)),
    Setting("cdi-spec-dir", "cdi-spec-dirs", "list", [], "CDI specification directories to use", reason=_NOT_YET),
    Setting("cpu-rt-period", "cpu-rt-period", "int", 0, "Limit the CPU real-time period of the parent cgroup",
            reason=_NOT_YET, accepts=(0,)),
    Setting("cpu-rt-runtime", "cpu-rt-runtime", "int", 0, "Limit the CPU real-time runtime of the parent cgroup",
            reason=_NOT_YET, accepts=(0,)),
    Setting("init-path", "init-path", "str", "", "Path to the init binary", reason="--init runs this engine's own init"),
    Setting("rootless", "rootless", "bool", False, "Enable rootless mode", reason=_NOT_YET, accepts=(False,)),
    Setting("containerd", "containerd", "str", "", "containerd grpc address", reason=_NO_CONTAINERD),
    Setting("containerd-namespace", "containerd-namespace", "str", "", "containerd namespace to use", reason=_NO_CONTAINERD,
            accepts=("moby",)),
    Setting("containerd-plugins-namespace", "containerd-plugins-namespace", "str", "",
            "containerd namespace to use for plugins", reason=_NO_CONTAINERD, accepts=("plugins.moby",)),
    Setting("cri-containerd", "cri-containerd", "bool", False, "Start containerd with cri", reason=_NO_CONTAINERD,
            accepts=(False,)),
    Setting("ip-forward-no-drop", "ip-forward-no-drop", "bool", False,
            "Do not drop what is not containers' when enabling IP forwarding"),
    Setting("allow-direct-routing", "allow-direct-routing", "bool", False,
            "Allow remote access to published ports on container IP addresses", reason=_NOT_YET, accepts=(False,)),
    Setting("swarm-default-advertise-addr", "swarm-default-advertise-addr", "str", "", "Default advertised address for swarm",
            reason=_NO_SWARM),
    Setting("node-generic-resource", "node-generic-resources", "list", [], "Advertise user-defined resource", reason=_NO_SWARM),
    Setting("network-control-plane-mtu", "network-control-plane-mtu", "int", 1500, "Network Control plane MTU",
            reason=_NO_SWARM, accepts=(1500,)),
)  # fmt: skip


class FileKey(NamedTuple):
    """A key of dockerd's file that has no flag. ``inert`` values mean nothing; others are refused with ``reason``."""

    reason: str
    inert: tuple[Any, ...] = ()
    ignored: bool = False  # dockerd ignores it too: it is named in the log


FILE_KEYS = {
    "builder": FileKey("this engine builds no images", ({},)),
    "network-diagnostic-port": FileKey(
        "there is no diagnostic server: the networks are told by docker network inspect", (0,)
    ),
    "api-cors-header": FileKey("dockerd has it no longer either: use a reverse proxy if you need CORS headers", ("",)),
    "allow-nondistributable-artifacts": FileKey("dockerd ignores it too", ignored=True),
    "deprecated-key-path": FileKey("dockerd ignores it too", ignored=True),
}
BY_KEY = {s.key: s for s in SETTINGS}
BY_FLAG = {s.flag: s for s in SETTINGS}


class Settings(dict[str, Any]):
    """Values by flag name, every one present.

    ``given``: flags and keys that somebody set; ``by_flag``: those given as flags, which a reload keeps;
    ``path``: the file that was read; ``ignored``: keys of Docker's own file that were left aside, with the reason.
    """

    given: frozenset[str] = frozenset()
    by_flag: dict[str, Any]
    path: str | None = None
    strict: bool = True
    ignored: tuple[str, ...] = ()
