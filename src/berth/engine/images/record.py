"""What a container gets from its image."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from berth.spec.api.images import ImageConfig, OCIDescriptor
    from berth.spec.shim import OverlayRootfs


class ImageRecord(NamedTuple):
    """An image that is present and unpacked, as asked for by ``ref``. Treat every field as read-only: it is shared.

    ``id`` is ``sha256:<hex>``, the digest of the config. ``config`` is the execution part of it (Env, Cmd, Entrypoint, ...),
    ``document`` the whole OCI image config. ``chain_id`` names the top layer's snapshot ("" for an image without layers).
    ``ref`` is the familiar form of what was asked for (``busybox:latest``), or the id when it was asked for by id.
    ``manifest`` describes the one that it came with; what came as a Docker archive, or was committed here, has none.
    """

    id: str
    config: ImageConfig
    document: dict[str, Any]
    chain_id: str
    repo_tags: tuple[str, ...]
    ref: str
    manifest: OCIDescriptor | None = None


class PreparedRootfs(NamedTuple):
    """A container's root filesystem whose directories exist; ``row`` records it inside the caller's own transaction."""

    rootfs: OverlayRootfs
    row: Callable[[sqlite3.Connection], None]
