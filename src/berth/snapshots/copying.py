"""``CopyingSnapshots``: where overlayfs cannot be used. Every layer is a whole tree, copied from the one below it.

Slow and hungry, but it needs nothing of the file system. Docker calls the same thing vfs; so do ``info`` and ``inspect``.

    draft(parent): a copy of the parent's tree → the layer applied onto it (whiteouts delete) → commit
    prepare(key, parent): a copy, with the mount targets made in it; mounted as a plain directory
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from berth.base.errors import from_oserror
from berth.snapshots.copy_tree import copy_tree
from berth.snapshots.init_layer import add_mount_targets
from berth.snapshots.overlay import Draft, RowWriter, Snapshots
from berth.snapshots.shifted import worn
from berth.snapshots.tree_changes import find_tree_changes
from berth.snapshots.usage import tree_usage

if TYPE_CHECKING:
    from berth.snapshots.apply import Applied
    from berth.snapshots.changes import Change
    from berth.snapshots.rows import Active
    from berth.spec.shim import OverlayRootfs


class CopyingSnapshots(Snapshots):
    """The contract of ``Snapshots``, by copies. ``prepare`` takes as long as copying the image does."""

    driver = "vfs"
    flat = True

    def describe(self, chain_id: str) -> dict[str, str]:
        self.sizes(chain_id)
        return {}

    def lower(self, chain_id: str) -> tuple[str, ...]:
        """The one directory that has everything, and the init layer."""
        paths = self._layer_paths(chain_id)
        return (*paths[:1], self._init)

    def draft(self, parent: str = "") -> Draft:
        draft = super().draft(parent)
        self._copy(parent, draft.path, lambda: self.abandon(draft))
        return draft

    def commit(self, draft: Draft, parent: str, chain_id: str, applied: Applied) -> None:
        self._get_parent(draft, parent)
        super().commit(draft, parent, chain_id, applied._replace(implied=(), rooted=True))

    def prepare(
        self, key: str, parent: str, *, volatile: bool = False, size_bytes: int = 0
    ) -> tuple[OverlayRootfs, RowWriter]:
        rootfs, row = super().prepare(key, parent, volatile=volatile, size_bytes=size_bytes)
        self._copy(parent, rootfs["upper"], lambda: self.remove(key))
        try:
            add_mount_targets(rootfs["upper"])
        except OSError as err:
            self.remove(key)
            raise from_oserror(err, "make a container's mount targets") from err
        return rootfs, row

    def changes(self, key: str) -> list[Change]:
        active = self._get_active(key)
        worn_now = worn(self._dir(active.number))
        image, *_, targets = self.lower(active.parent) if active.parent else (self._init, self._init)
        tree = self._rootfs(active, volatile=False)["upper"]
        return find_tree_changes(tree, image, targets, worn_now.reverse if worn_now else None)

    def usage(self, key: str) -> int:
        """How much larger it is than what it was copied from."""
        active = self._get_active(key)
        own = tree_usage(os.path.join(self._dir(active.number), "fs")).size
        return max(0, own - sum(self.sizes(active.parent)))

    def _rootfs(self, active: Active, volatile: bool) -> OverlayRootfs:
        self._chain(active.parent)
        directory = self._dir(active.number)
        return {
            "lower": [], "upper": directory + "/fs", "work": directory + "/work", "volatile": False,
            "shifted": worn(directory) is not None,
        }  # fmt: skip

    def _copy(self, parent: str, target: str, undo: object) -> None:
        paths = self._layer_paths(parent)
        if not paths:
            return
        try:
            copy_tree(paths[0], target)
        except OSError as err:
            assert callable(undo)
            undo()
            raise from_oserror(err, "copy a layer") from err

    def _get_parent(self, draft: Draft, parent: str) -> None:
        """Raises: NotFound where the parent went meanwhile; the draft then goes as well."""
        try:
            self._layer_paths(parent)
        except BaseException:
            self.abandon(draft)
            raise
