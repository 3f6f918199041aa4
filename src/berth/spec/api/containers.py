"""Engine API objects: containers (v1.51 wire shapes; every key optional, versions differ)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from berth.spec.api.images import OCIDescriptor


class Port(TypedDict, total=False):
    """Engine API v1.51, definition Port."""

    IP: str
    PrivatePort: int
    PublicPort: int
    Type: str


class MountPoint(TypedDict, total=False):
    """Engine API v1.51, definition MountPoint."""

    Type: str
    Name: str
    Source: str
    Destination: str
    Driver: str
    Mode: str
    RW: bool
    Propagation: str


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


class HealthConfig(TypedDict, total=False):
    """Engine API v1.51, definition HealthConfig."""

    Test: list[str]
    Interval: int
    Timeout: int
    Retries: int
    StartPeriod: int
    StartInterval: int


class Health(TypedDict, total=False):
    """Engine API v1.51, definition Health."""

    Status: str
    FailingStreak: int
    Log: list[HealthcheckResult | None]


class HealthcheckResult(TypedDict, total=False):
    """Engine API v1.51, definition HealthcheckResult."""

    Start: str
    End: str
    ExitCode: int
    Output: str


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


class ContainerConfig(TypedDict, total=False):
    """Engine API v1.51, definition ContainerConfig."""

    Hostname: str
    Domainname: str
    User: str
    AttachStdin: bool
    AttachStdout: bool
    AttachStderr: bool
    ExposedPorts: dict[str, dict[str, Any]] | None
    Tty: bool
    OpenStdin: bool
    StdinOnce: bool
    Env: list[str]
    Cmd: list[str]
    Healthcheck: HealthConfig
    ArgsEscaped: bool | None
    Image: str
    Volumes: dict[str, dict[str, Any]]
    WorkingDir: str
    Entrypoint: list[str]
    NetworkDisabled: bool | None
    MacAddress: str | None
    OnBuild: list[str] | None
    Labels: dict[str, str]
    StopSignal: str | None
    StopTimeout: int | None
    Shell: list[str] | None


class NetworkingConfig(TypedDict, total=False):
    """Engine API v1.51, definition NetworkingConfig."""

    EndpointsConfig: dict[str, EndpointSettings]


class NetworkSettings(TypedDict, total=False):
    """Engine API v1.51, definition NetworkSettings."""

    Bridge: str
    SandboxID: str
    HairpinMode: bool
    LinkLocalIPv6Address: str
    LinkLocalIPv6PrefixLen: int
    Ports: dict[str, list[PortBinding] | None]
    SandboxKey: str
    SecondaryIPAddresses: list[Address] | None
    SecondaryIPv6Addresses: list[Address] | None
    EndpointID: str
    Gateway: str
    GlobalIPv6Address: str
    GlobalIPv6PrefixLen: int
    IPAddress: str
    IPPrefixLen: int
    IPv6Gateway: str
    MacAddress: str
    Networks: dict[str, EndpointSettings]


class Address(TypedDict, total=False):
    """Engine API v1.51, definition Address."""

    Addr: str
    PrefixLen: int


class PortBinding(TypedDict, total=False):
    """Engine API v1.51, definition PortBinding."""

    HostIp: str
    HostPort: str
    From: str  # Berth's own: only clients of this subnet


class DriverData(TypedDict, total=False):
    """Engine API v1.51, definition DriverData."""

    Name: str
    Data: dict[str, str]


class FilesystemChange(TypedDict, total=False):
    """Engine API v1.51, definition FilesystemChange."""

    Path: str
    Kind: int


class ProcessConfig(TypedDict, total=False):
    """Engine API v1.51, definition ProcessConfig."""

    privileged: bool
    user: str
    tty: bool
    entrypoint: str
    arguments: list[str]


class EndpointSettings(TypedDict, total=False):
    """Engine API v1.51, definition EndpointSettings."""

    IPAMConfig: EndpointIPAMConfig | None
    Links: list[str]
    MacAddress: str
    Aliases: list[str]
    DriverOpts: dict[str, str] | None
    GwPriority: int
    NetworkID: str
    EndpointID: str
    Gateway: str
    IPAddress: str
    IPPrefixLen: int
    IPv6Gateway: str
    GlobalIPv6Address: str
    GlobalIPv6PrefixLen: int
    DNSNames: list[str]


class EndpointIPAMConfig(TypedDict, total=False):
    """Engine API v1.51, definition EndpointIPAMConfig."""

    IPv4Address: str
    IPv6Address: str
    LinkLocalIPs: list[str]


class ContainerInspectResponse(TypedDict, total=False):
    """Engine API v1.51, definition ContainerInspectResponse."""

    Id: str
    Created: str | None
    Path: str
    Args: list[str]
    State: ContainerState | None
    Image: str
    ResolvConfPath: str
    HostnamePath: str
    HostsPath: str
    LogPath: str | None
    Name: str
    RestartCount: int
    Driver: str
    Platform: str
    ImageManifestDescriptor: OCIDescriptor
    MountLabel: str
    ProcessLabel: str
    AppArmorProfile: str
    ExecIDs: list[str] | None
    HostConfig: HostConfig
    GraphDriver: DriverData
    SizeRw: int | None
    SizeRootFs: int | None
    Mounts: list[MountPoint]
    Config: ContainerConfig
    NetworkSettings: NetworkSettings


class ContainerSummary(TypedDict, total=False):
    """Engine API v1.51, definition ContainerSummary."""

    Id: str
    Names: list[str]
    Image: str
    ImageID: str
    ImageManifestDescriptor: OCIDescriptor | None
    Command: str
    Created: int
    Ports: list[Port]
    SizeRw: int | None
    SizeRootFs: int | None
    Labels: dict[str, str]
    State: str
    Status: str
    HostConfig: ContainerSummaryHostConfig
    NetworkSettings: ContainerSummaryNetworkSettings
    Mounts: list[MountPoint]


class ContainerSummaryHostConfig(TypedDict, total=False):
    """Engine API v1.51, object inside ContainerSummary."""

    NetworkMode: str
    Annotations: dict[str, str] | None


class ContainerSummaryNetworkSettings(TypedDict, total=False):
    """Engine API v1.51, object inside ContainerSummary."""

    Networks: dict[str, EndpointSettings]


class ContainerState(TypedDict, total=False):
    """Engine API v1.51, definition ContainerState."""

    Status: str
    Running: bool
    Paused: bool
    Restarting: bool
    OOMKilled: bool
    Dead: bool
    Pid: int
    ExitCode: int
    Error: str
    StartedAt: str
    FinishedAt: str
    Health: Health | None


class ContainerCreateResponse(TypedDict, total=False):
    """Engine API v1.51, definition ContainerCreateResponse."""

    Id: str
    Warnings: list[str]


class ContainerUpdateResponse(TypedDict, total=False):
    """Engine API v1.51, definition ContainerUpdateResponse."""

    Warnings: list[str]


class ContainerStatsResponse(TypedDict, total=False):
    """Engine API v1.51, definition ContainerStatsResponse."""

    name: str | None
    id: str | None
    read: str
    preread: str
    pids_stats: ContainerPidsStats | None
    blkio_stats: ContainerBlkioStats | None
    num_procs: int
    storage_stats: ContainerStorageStats | None
    cpu_stats: ContainerCPUStats | None
    precpu_stats: ContainerCPUStats | None
    memory_stats: ContainerMemoryStats
    networks: Any


class ContainerBlkioStats(TypedDict, total=False):
    """Engine API v1.51, definition ContainerBlkioStats."""

    io_service_bytes_recursive: list[ContainerBlkioStatEntry | None]
    io_serviced_recursive: list[ContainerBlkioStatEntry | None] | None
    io_queue_recursive: list[ContainerBlkioStatEntry | None] | None
    io_service_time_recursive: list[ContainerBlkioStatEntry | None] | None
    io_wait_time_recursive: list[ContainerBlkioStatEntry | None] | None
    io_merged_recursive: list[ContainerBlkioStatEntry | None] | None
    io_time_recursive: list[ContainerBlkioStatEntry | None] | None
    sectors_recursive: list[ContainerBlkioStatEntry | None] | None


class ContainerBlkioStatEntry(TypedDict, total=False):
    """Engine API v1.51, definition ContainerBlkioStatEntry."""

    major: int
    minor: int
    op: str
    value: int


class ContainerCPUStats(TypedDict, total=False):
    """Engine API v1.51, definition ContainerCPUStats."""

    cpu_usage: ContainerCPUUsage | None
    system_cpu_usage: int | None
    online_cpus: int | None
    throttling_data: ContainerThrottlingData | None


class ContainerCPUUsage(TypedDict, total=False):
    """Engine API v1.51, definition ContainerCPUUsage."""

    total_usage: int
    percpu_usage: list[int] | None
    usage_in_kernelmode: int
    usage_in_usermode: int


class ContainerPidsStats(TypedDict, total=False):
    """Engine API v1.51, definition ContainerPidsStats."""

    current: int | None
    limit: int | None


class ContainerThrottlingData(TypedDict, total=False):
    """Engine API v1.51, definition ContainerThrottlingData."""

    periods: int
    throttled_periods: int
    throttled_time: int


class ContainerMemoryStats(TypedDict, total=False):
    """Engine API v1.51, definition ContainerMemoryStats."""

    usage: int | None
    max_usage: int | None
    stats: dict[str, int | None]
    failcnt: int | None
    limit: int | None
    commitbytes: int | None
    commitpeakbytes: int | None
    privateworkingset: int | None


class ContainerNetworkStats(TypedDict, total=False):
    """Engine API v1.51, definition ContainerNetworkStats."""

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int
    endpoint_id: str | None
    instance_id: str | None


class ContainerStorageStats(TypedDict, total=False):
    """Engine API v1.51, definition ContainerStorageStats."""

    read_count_normalized: int | None
    read_size_bytes: int | None
    write_count_normalized: int | None
    write_size_bytes: int | None


class ContainerTopResponse(TypedDict, total=False):
    """Engine API v1.51, definition ContainerTopResponse."""

    Titles: list[str]
    Processes: list[list[str]]


class ContainerWaitResponse(TypedDict, total=False):
    """Engine API v1.51, definition ContainerWaitResponse."""

    StatusCode: int
    Error: ContainerWaitExitError


class ContainerWaitExitError(TypedDict, total=False):
    """Engine API v1.51, definition ContainerWaitExitError."""

    Message: str


class IDResponse(TypedDict, total=False):
    """Engine API v1.51, definition IDResponse."""

    Id: str
