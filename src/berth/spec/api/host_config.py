"""Engine API objects: what the host gives a container: HostConfig and its parts (v1.51 wire shapes; every key optional)."""

from __future__ import annotations

from typing import TypedDict

from berth.spec.api.containers import PortBinding  # bodies are checked against these types: not for annotations only


class DeviceMapping(TypedDict, total=False):
    """Engine API v1.51, definition DeviceMapping."""

    PathOnHost: str
    PathInContainer: str
    CgroupPermissions: str


class DeviceRequest(TypedDict, total=False):
    """Engine API v1.51, definition DeviceRequest."""

    Driver: str
    Count: int
    DeviceIDs: list[str]
    Capabilities: list[list[str]]
    Options: dict[str, str]


class ThrottleDevice(TypedDict, total=False):
    """Engine API v1.51, definition ThrottleDevice."""

    Path: str
    Rate: int


class Mount(TypedDict, total=False):
    """Engine API v1.51, definition Mount."""

    Target: str
    Source: str
    Type: str
    ReadOnly: bool
    Consistency: str
    BindOptions: MountBindOptions
    VolumeOptions: MountVolumeOptions
    ImageOptions: MountImageOptions
    TmpfsOptions: MountTmpfsOptions


class MountBindOptions(TypedDict, total=False):
    """Engine API v1.51, object inside Mount."""

    Propagation: str
    NonRecursive: bool
    CreateMountpoint: bool
    ReadOnlyNonRecursive: bool
    ReadOnlyForceRecursive: bool


class MountVolumeOptions(TypedDict, total=False):
    """Engine API v1.51, object inside Mount."""

    NoCopy: bool
    Labels: dict[str, str]
    DriverConfig: MountVolumeOptionsDriverConfig
    Subpath: str


class MountImageOptions(TypedDict, total=False):
    """Engine API v1.51, object inside Mount."""

    Subpath: str


class MountTmpfsOptions(TypedDict, total=False):
    """Engine API v1.51, object inside Mount."""

    SizeBytes: int
    Mode: int
    Options: list[list[str]]


class MountVolumeOptionsDriverConfig(TypedDict, total=False):
    """Engine API v1.51, object inside Mount."""

    Name: str
    Options: dict[str, str]


class RestartPolicy(TypedDict, total=False):
    """Engine API v1.51, definition RestartPolicy."""

    Name: str
    MaximumRetryCount: int


class Resources(TypedDict, total=False):
    """Engine API v1.51, definition Resources."""

    CpuShares: int
    Memory: int
    CgroupParent: str
    BlkioWeight: int
    BlkioWeightDevice: list[ResourcesBlkioWeightDevice]
    BlkioDeviceReadBps: list[ThrottleDevice]
    BlkioDeviceWriteBps: list[ThrottleDevice]
    BlkioDeviceReadIOps: list[ThrottleDevice]
    BlkioDeviceWriteIOps: list[ThrottleDevice]
    CpuPeriod: int
    CpuQuota: int
    CpuRealtimePeriod: int
    CpuRealtimeRuntime: int
    CpusetCpus: str
    CpusetMems: str
    Devices: list[DeviceMapping]
    DeviceCgroupRules: list[str]
    DeviceRequests: list[DeviceRequest]
    KernelMemoryTCP: int
    MemoryReservation: int
    MemorySwap: int
    MemorySwappiness: int
    NanoCpus: int
    OomKillDisable: bool
    Init: bool | None
    PidsLimit: int | None
    Ulimits: list[ResourcesUlimits]
    CpuCount: int
    CpuPercent: int
    IOMaximumIOps: int
    IOMaximumBandwidth: int


class ResourcesBlkioWeightDevice(TypedDict, total=False):
    """Engine API v1.51, object inside Resources."""

    Path: str
    Weight: int


class ResourcesUlimits(TypedDict, total=False):
    """Engine API v1.51, object inside Resources."""

    Name: str
    Soft: int
    Hard: int


class HostConfig(Resources, total=False):
    """Engine API v1.51, definition HostConfig."""

    Binds: list[str]
    ContainerIDFile: str
    LogConfig: HostConfigLogConfig
    NetworkMode: str
    PortBindings: dict[str, list[PortBinding] | None]
    RestartPolicy: RestartPolicy
    AutoRemove: bool
    VolumeDriver: str
    VolumesFrom: list[str]
    Mounts: list[Mount]
    ConsoleSize: list[int] | None
    Annotations: dict[str, str]
    CapAdd: list[str]
    CapDrop: list[str]
    CgroupnsMode: str
    Dns: list[str]
    DnsOptions: list[str]
    DnsSearch: list[str]
    ExtraHosts: list[str]
    GroupAdd: list[str]
    IpcMode: str
    Cgroup: str
    Links: list[str]
    OomScoreAdj: int
    PidMode: str
    Privileged: bool
    PublishAllPorts: bool
    ReadonlyRootfs: bool
    SecurityOpt: list[str]
    StorageOpt: dict[str, str]
    Tmpfs: dict[str, str]
    UTSMode: str
    UsernsMode: str
    ShmSize: int
    Sysctls: dict[str, str] | None
    Runtime: str | None
    Isolation: str
    MaskedPaths: list[str]
    ReadonlyPaths: list[str]


class HostConfigLogConfig(TypedDict, total=False):
    """Engine API v1.51, object inside HostConfig."""

    Type: str
    Config: dict[str, str]
