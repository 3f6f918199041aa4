"""Engine API objects: volumes (v1.51 wire shapes; every key optional, versions differ)."""

from __future__ import annotations

from typing import Any, TypedDict


class Volume(TypedDict, total=False):
    """Engine API v1.51, definition Volume."""

    Name: str
    Driver: str
    Mountpoint: str
    CreatedAt: str
    Status: dict[str, dict[str, Any]]
    Labels: dict[str, str]
    Scope: str
    ClusterVolume: VolumeClusterVolume
    Options: dict[str, str]
    UsageData: VolumeUsageData | None


class VolumeClusterVolume(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    ID: str
    Version: VolumeClusterVolumeVersion
    CreatedAt: str
    UpdatedAt: str
    Spec: VolumeClusterVolumeSpec
    Info: VolumeClusterVolumeInfo
    PublishStatus: list[VolumeClusterVolumePublishStatus]


class VolumeUsageData(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    Size: int
    RefCount: int


class VolumeClusterVolumeVersion(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    Index: int


class VolumeClusterVolumeSpec(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    Group: str
    AccessMode: VolumeClusterVolumeSpecAccessMode


class VolumeClusterVolumeInfo(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    CapacityBytes: int
    VolumeContext: dict[str, str]
    VolumeID: str
    AccessibleTopology: list[VolumeClusterVolumeInfoAccessibleTopology]


class VolumeClusterVolumePublishStatus(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    NodeID: str
    State: str
    PublishContext: dict[str, str]


class VolumeClusterVolumeSpecAccessMode(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    Scope: str
    Sharing: str
    MountVolume: dict[str, Any]
    Secrets: list[VolumeClusterVolumeSpecAccessModeSecrets]
    AccessibilityRequirements: VolumeClusterVolumeSpecAccessModeAccessibilityRequirements
    CapacityRange: VolumeClusterVolumeSpecAccessModeCapacityRange
    Availability: str


class VolumeClusterVolumeInfoAccessibleTopology(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    Segments: dict[str, str]


class VolumeClusterVolumeSpecAccessModeSecrets(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    Key: str
    Secret: str


class VolumeClusterVolumeSpecAccessModeAccessibilityRequirements(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    Requisite: list[VolumeClusterVolumeSpecAccessModeAccessibilityRequirementsRequisite]
    Preferred: list[VolumeClusterVolumeSpecAccessModeAccessibilityRequirementsPreferred]


class VolumeClusterVolumeSpecAccessModeCapacityRange(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    RequiredBytes: int
    LimitBytes: int


class VolumeClusterVolumeSpecAccessModeAccessibilityRequirementsRequisite(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    Segments: dict[str, str]


class VolumeClusterVolumeSpecAccessModeAccessibilityRequirementsPreferred(TypedDict, total=False):
    """Engine API v1.51, object inside Volume."""

    Segments: dict[str, str]


class VolumeCreateOptions(TypedDict, total=False):
    """Engine API v1.51, definition VolumeCreateOptions."""

    Name: str
    Driver: str
    DriverOpts: dict[str, str]
    Labels: dict[str, str]
    ClusterVolumeSpec: VolumeCreateOptionsClusterVolumeSpec


class VolumeCreateOptionsClusterVolumeSpec(TypedDict, total=False):
    """Engine API v1.51, object inside VolumeCreateOptions."""

    Group: str
    AccessMode: VolumeCreateOptionsClusterVolumeSpecAccessMode


class VolumeCreateOptionsClusterVolumeSpecAccessMode(TypedDict, total=False):
    """Engine API v1.51, object inside VolumeCreateOptions."""

    Scope: str
    Sharing: str
    MountVolume: dict[str, Any]
    Secrets: list[VolumeCreateOptionsClusterVolumeSpecAccessModeSecrets]
    AccessibilityRequirements: VolumeCreateOptionsClusterVolumeSpecAccessModeAccessibilityRequirements
    CapacityRange: VolumeCreateOptionsClusterVolumeSpecAccessModeCapacityRange
    Availability: str


class VolumeCreateOptionsClusterVolumeSpecAccessModeSecrets(TypedDict, total=False):
    """Engine API v1.51, object inside VolumeCreateOptions."""

    Key: str
    Secret: str


class VolumeCreateOptionsClusterVolumeSpecAccessModeAccessibilityRequirements(TypedDict, total=False):
    """Engine API v1.51, object inside VolumeCreateOptions."""

    Requisite: list[VolumeCreateOptionsClusterVolumeSpecAccessModeAccessibilityRequirementsRequisite]
    Preferred: list[VolumeCreateOptionsClusterVolumeSpecAccessModeAccessibilityRequirementsPreferred]


class VolumeCreateOptionsClusterVolumeSpecAccessModeCapacityRange(TypedDict, total=False):
    """Engine API v1.51, object inside VolumeCreateOptions."""

    RequiredBytes: int
    LimitBytes: int


class VolumeCreateOptionsClusterVolumeSpecAccessModeAccessibilityRequirementsRequisite(TypedDict, total=False):
    """Engine API v1.51, object inside VolumeCreateOptions."""

    Segments: dict[str, str]


class VolumeCreateOptionsClusterVolumeSpecAccessModeAccessibilityRequirementsPreferred(TypedDict, total=False):
    """Engine API v1.51, object inside VolumeCreateOptions."""

    Segments: dict[str, str]


class VolumeListResponse(TypedDict, total=False):
    """Engine API v1.51, definition VolumeListResponse."""

    Volumes: list[Volume]
    Warnings: list[str]
