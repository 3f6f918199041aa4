"""Engine API objects: containers (v1.51 wire shapes; every key optional, versions differ)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from berth.spec.api.host_config import HostConfig
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
