"""What the daemon's settings decide about images."""

from __future__ import annotations

from typing import NamedTuple

from berth.registry.settings import RegistrySettings


class ImageSettings(NamedTuple):
    """Units: bytes and counts."""

    registries: RegistrySettings = RegistrySettings()
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    max_download_attempts: int = 5
    max_layer_bytes: int = 256 << 30
    max_layer_entries: int = 10_000_000
    storage_driver: str = ""
