"""Engine API objects: images (v1.51 wire shapes; every key optional, versions differ)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from berth.spec.api.containers import DriverData, HealthConfig


class ImageHistoryResponseItem(TypedDict, total=False):
    """Engine API v1.51, definition ImageHistoryResponseItem."""

    Id: str
    Created: int
    CreatedBy: str
    Tags: list[str]
    Size: int
    Comment: str


class ImageConfig(TypedDict, total=False):
    """Engine API v1.51, definition ImageConfig."""

    User: str
    ExposedPorts: dict[str, dict[str, Any]] | None
    Env: list[str]
    Cmd: list[str]
    Healthcheck: HealthConfig
    ArgsEscaped: bool | None
    Volumes: dict[str, dict[str, Any]]
    WorkingDir: str
    Entrypoint: list[str]
    OnBuild: list[str] | None
    Labels: dict[str, str]
    StopSignal: str | None
    Shell: list[str] | None


class ImageInspect(TypedDict, total=False):
    """Engine API v1.51, definition ImageInspect."""

    Id: str
    Descriptor: OCIDescriptor | None
    Manifests: list[ImageManifestSummary] | None
    RepoTags: list[str]
    RepoDigests: list[str]
    Parent: str
    Comment: str
    Created: str | None
    DockerVersion: str
    Author: str
    Config: ImageConfig
    Architecture: str
    Variant: str | None
    Os: str
    OsVersion: str | None
    Size: int
    GraphDriver: DriverData
    RootFS: ImageInspectRootFS
    Metadata: ImageInspectMetadata


class ImageInspectRootFS(TypedDict, total=False):
    """Engine API v1.51, object inside ImageInspect."""

    Type: str
    Layers: list[str]


class ImageInspectMetadata(TypedDict, total=False):
    """Engine API v1.51, object inside ImageInspect."""

    LastTagTime: str | None


class ImageSummary(TypedDict, total=False):
    """Engine API v1.51, definition ImageSummary."""

    Id: str
    ParentId: str
    RepoTags: list[str]
    RepoDigests: list[str]
    Created: int
    Size: int
    SharedSize: int
    Labels: dict[str, str]
    Containers: int
    Manifests: list[ImageManifestSummary]
    Descriptor: OCIDescriptor | None


class ImageDeleteResponseItem(TypedDict, total=False):
    """Engine API v1.51, definition ImageDeleteResponseItem."""

    Untagged: str
    Deleted: str


class ImageManifestSummary(TypedDict, total=False):
    """Engine API v1.51, definition ImageManifestSummary."""

    ID: str
    Descriptor: OCIDescriptor
    Available: bool
    Size: ImageManifestSummarySize
    Kind: str
    ImageData: ImageManifestSummaryImageData | None
    AttestationData: ImageManifestSummaryAttestationData | None


class ImageManifestSummarySize(TypedDict, total=False):
    """Engine API v1.51, object inside ImageManifestSummary."""

    Total: int
    Content: int


class ImageManifestSummaryImageData(TypedDict, total=False):
    """Engine API v1.51, object inside ImageManifestSummary."""

    Platform: OCIPlatform | None
    Containers: list[str]
    Size: ImageManifestSummaryImageDataSize


class ImageManifestSummaryAttestationData(TypedDict, total=False):
    """Engine API v1.51, object inside ImageManifestSummary."""

    For: str


class ImageManifestSummaryImageDataSize(TypedDict, total=False):
    """Engine API v1.51, object inside ImageManifestSummary."""

    Unpacked: int


class OCIDescriptor(TypedDict, total=False):
    """Engine API v1.51, definition OCIDescriptor."""

    mediaType: str
    digest: str
    size: int
    urls: list[str] | None
    annotations: dict[str, str] | None
    data: str | None
    platform: OCIPlatform | None
    artifactType: str | None


OCIPlatform = TypedDict(
    "OCIPlatform",
    {
        "architecture": "str",
        "os": "str",
        "os.version": "str",
        "os.features": "list[str]",
        "variant": "str",
    },
    total=False,
)


class DistributionInspect(TypedDict, total=False):
    """Engine API v1.51, definition DistributionInspect."""

    Descriptor: OCIDescriptor
    Platforms: list[OCIPlatform | None]


class CreateImageInfo(TypedDict, total=False):
    """Engine API v1.51, definition CreateImageInfo."""

    id: str
    error: str | None
    errorDetail: ErrorDetail
    status: str
    progress: str | None
    progressDetail: ProgressDetail


class ErrorDetail(TypedDict, total=False):
    """Engine API v1.51, definition ErrorDetail."""

    code: int
    message: str


class ProgressDetail(TypedDict, total=False):
    """Engine API v1.51, definition ProgressDetail."""

    current: int
    total: int


class BuildInfo(TypedDict, total=False):
    """Engine API v1.51, definition BuildInfo."""

    id: str
    stream: str
    error: str | None
    errorDetail: ErrorDetail
    status: str
    progress: str | None
    progressDetail: ProgressDetail
    aux: ImageID


class BuildCache(TypedDict, total=False):
    """Engine API v1.51, definition BuildCache."""

    ID: str
    Parents: list[str] | None
    Type: str
    Description: str
    InUse: bool
    Shared: bool
    Size: int
    CreatedAt: str
    LastUsedAt: str | None
    UsageCount: int


class ImageID(TypedDict, total=False):
    """Engine API v1.51, definition ImageID."""

    ID: str


class PushImageInfo(TypedDict, total=False):
    """Engine API v1.51, definition PushImageInfo."""

    error: str | None
    errorDetail: ErrorDetail
    status: str
    progress: str | None
    progressDetail: ProgressDetail


class ManifestListRequest(TypedDict, total=False):
    """Berth's own: a manifest list as it is to be stored, and the manifests of it that lie in other repositories, by digest."""

    Raw: str
    Sources: list[str]


class AuthConfig(TypedDict, total=False):
    """Engine API v1.51, definition AuthConfig."""

    username: str
    password: str
    email: str
    serveraddress: str
