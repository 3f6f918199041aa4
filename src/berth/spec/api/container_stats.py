"""Engine API objects: what a container uses (v1.51 wire shapes; every key optional, versions differ)."""

from __future__ import annotations

from typing import Any, TypedDict


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
