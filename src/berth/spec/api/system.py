"""Engine API objects: system (v1.51 wire shapes; every key optional, versions differ)."""

from __future__ import annotations

from typing import Any, TypedDict


class SystemVersion(TypedDict, total=False):
    """Engine API v1.51, definition SystemVersion."""

    Platform: SystemVersionPlatform
    Components: list[SystemVersionComponents]
    Version: str
    ApiVersion: str
    MinAPIVersion: str
    GitCommit: str
    GoVersion: str
    Os: str
    Arch: str
    KernelVersion: str
    Experimental: bool
    BuildTime: str


class SystemVersionPlatform(TypedDict, total=False):
    """Engine API v1.51, object inside SystemVersion."""

    Name: str


class SystemVersionComponents(TypedDict, total=False):
    """Engine API v1.51, object inside SystemVersion."""

    Name: str
    Version: str
    Details: dict[str, Any] | None


class SystemInfo(TypedDict, total=False):
    """Engine API v1.51, definition SystemInfo."""

    ID: str
    Containers: int
    ContainersRunning: int
    ContainersPaused: int
    ContainersStopped: int
    Images: int
    Driver: str
    DriverStatus: list[list[str]]
    DockerRootDir: str
    Plugins: PluginsInfo
    MemoryLimit: bool
    SwapLimit: bool
    KernelMemoryTCP: bool
    CpuCfsPeriod: bool
    CpuCfsQuota: bool
    CPUShares: bool
    CPUSet: bool
    PidsLimit: bool
    OomKillDisable: bool
    IPv4Forwarding: bool
    Debug: bool
    NFd: int
    NGoroutines: int
    SystemTime: str
    LoggingDriver: str
    CgroupDriver: str
    CgroupVersion: str
    NEventsListener: int
    KernelVersion: str
    OperatingSystem: str
    OSVersion: str
    OSType: str
    Architecture: str
    NCPU: int
    MemTotal: int
    IndexServerAddress: str
    RegistryConfig: RegistryServiceConfig | None
    GenericResources: list[SystemInfoGenericResources]
    HttpProxy: str
    HttpsProxy: str
    NoProxy: str
    Name: str
    Labels: list[str]
    ExperimentalBuild: bool
    ServerVersion: str
    Runtimes: dict[str, Runtime]
    DefaultRuntime: str
    Swarm: SwarmInfo
    LiveRestoreEnabled: bool
    Isolation: str
    InitBinary: str
    ContainerdCommit: Commit
    RuncCommit: Commit
    InitCommit: Commit
    SecurityOptions: list[str]
    ProductLicense: str
    DefaultAddressPools: list[SystemInfoDefaultAddressPools]
    FirewallBackend: FirewallInfo | None
    DiscoveredDevices: list[DeviceInfo]
    Warnings: list[str]
    CDISpecDirs: list[str]
    Containerd: ContainerdInfo | None


class SystemInfoGenericResources(TypedDict, total=False):
    """Engine API v1.51, object inside SystemInfo."""

    NamedResourceSpec: SystemInfoGenericResourcesNamedResourceSpec
    DiscreteResourceSpec: SystemInfoGenericResourcesDiscreteResourceSpec


class SystemInfoDefaultAddressPools(TypedDict, total=False):
    """Engine API v1.51, object inside SystemInfo."""

    Base: str
    Size: int


class SystemInfoGenericResourcesNamedResourceSpec(TypedDict, total=False):
    """Engine API v1.51, object inside SystemInfo."""

    Kind: str
    Value: str


class SystemInfoGenericResourcesDiscreteResourceSpec(TypedDict, total=False):
    """Engine API v1.51, object inside SystemInfo."""

    Kind: str
    Value: int


class ContainerdInfo(TypedDict, total=False):
    """Engine API v1.51, definition ContainerdInfo."""

    Address: str
    Namespaces: ContainerdInfoNamespaces


class ContainerdInfoNamespaces(TypedDict, total=False):
    """Engine API v1.51, object inside ContainerdInfo."""

    Containers: str
    Plugins: str


class FirewallInfo(TypedDict, total=False):
    """Engine API v1.51, definition FirewallInfo."""

    Driver: str
    Info: list[list[str]]


class PluginsInfo(TypedDict, total=False):
    """Engine API v1.51, definition PluginsInfo."""

    Volume: list[str]
    Network: list[str]
    Authorization: list[str]
    Log: list[str]


class RegistryServiceConfig(TypedDict, total=False):
    """Engine API v1.51, definition RegistryServiceConfig."""

    InsecureRegistryCIDRs: list[str]
    IndexConfigs: dict[str, IndexInfo | None]
    Mirrors: list[str]


class IndexInfo(TypedDict, total=False):
    """Engine API v1.51, definition IndexInfo."""

    Name: str
    Mirrors: list[str]
    Secure: bool
    Official: bool


class Runtime(TypedDict, total=False):
    """Engine API v1.51, definition Runtime."""

    path: str
    runtimeArgs: list[str] | None
    status: dict[str, str] | None


class Commit(TypedDict, total=False):
    """Engine API v1.51, definition Commit."""

    ID: str


class SwarmInfo(TypedDict, total=False):
    """Engine API v1.51, definition SwarmInfo."""

    NodeID: str
    NodeAddr: str
    LocalNodeState: str
    ControlAvailable: bool
    Error: str
    RemoteManagers: list[SwarmInfoRemoteManagers] | None
    Nodes: int | None
    Managers: int | None
    Cluster: SwarmInfoCluster | None


class SwarmInfoRemoteManagers(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    NodeID: str
    Addr: str


class SwarmInfoCluster(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    ID: str
    Version: SwarmInfoClusterVersion
    CreatedAt: str
    UpdatedAt: str
    Spec: SwarmInfoClusterSpec
    TLSInfo: SwarmInfoClusterTLSInfo
    RootRotationInProgress: bool
    DataPathPort: int
    DefaultAddrPool: list[str]
    SubnetSize: int


class SwarmInfoClusterVersion(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    Index: int


class SwarmInfoClusterSpec(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    Name: str
    Labels: dict[str, str]
    Orchestration: SwarmInfoClusterSpecOrchestration | None
    Raft: SwarmInfoClusterSpecRaft
    Dispatcher: SwarmInfoClusterSpecDispatcher | None
    CAConfig: SwarmInfoClusterSpecCAConfig | None
    EncryptionConfig: SwarmInfoClusterSpecEncryptionConfig
    TaskDefaults: SwarmInfoClusterSpecTaskDefaults


class SwarmInfoClusterTLSInfo(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    TrustRoot: str
    CertIssuerSubject: str
    CertIssuerPublicKey: str


class SwarmInfoClusterSpecOrchestration(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    TaskHistoryRetentionLimit: int


class SwarmInfoClusterSpecRaft(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    SnapshotInterval: int
    KeepOldSnapshots: int
    LogEntriesForSlowFollowers: int
    ElectionTick: int
    HeartbeatTick: int


class SwarmInfoClusterSpecDispatcher(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    HeartbeatPeriod: int


class SwarmInfoClusterSpecCAConfig(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    NodeCertExpiry: int
    ExternalCAs: list[SwarmInfoClusterSpecCAConfigExternalCAs]
    SigningCACert: str
    SigningCAKey: str
    ForceRotate: int


class SwarmInfoClusterSpecEncryptionConfig(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    AutoLockManagers: bool


class SwarmInfoClusterSpecTaskDefaults(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    LogDriver: SwarmInfoClusterSpecTaskDefaultsLogDriver


class SwarmInfoClusterSpecCAConfigExternalCAs(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    Protocol: str
    URL: str
    Options: dict[str, str]
    CACert: str


class SwarmInfoClusterSpecTaskDefaultsLogDriver(TypedDict, total=False):
    """Engine API v1.51, object inside SwarmInfo."""

    Name: str
    Options: dict[str, str]


class EventActor(TypedDict, total=False):
    """Engine API v1.51, definition EventActor."""

    ID: str
    Attributes: dict[str, str]


class EventMessage(TypedDict, total=False):
    """Engine API v1.51, definition EventMessage."""

    Type: str
    Action: str
    Actor: EventActor
    scope: str
    time: int
    timeNano: int


class ErrorResponse(TypedDict, total=False):
    """Engine API v1.51, definition ErrorResponse."""

    message: str


class Platform(TypedDict, total=False):
    """Engine API v1.51, definition Platform."""

    Architecture: str
    OS: str


class DeviceInfo(TypedDict, total=False):
    """Engine API v1.51, definition DeviceInfo."""

    Source: str
    ID: str
