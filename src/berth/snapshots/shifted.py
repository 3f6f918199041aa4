"""Layers with a container's ids: copies beside the layers, and what a writable layer's owners mean.

<number>/fs         a layer, as the image has it      <number>/ids-<map>/   its copy for one map, gone with it
<number>/fs         a writable layer                  <number>/ids          the map its owners went through; none: no map
init-ids-<map>/     the init layer for one map
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable

from berth.base.errors import DataLoss, from_oserror
from berth.kernel.files import syncfs
from berth.snapshots.copy_tree import copy_tree
from berth.snapshots.init_layer import ensure_init_layer
from berth.snapshots.shift import Shift, move_ids, shift_of

_COPY = "ids-"


class Shifted:
    """The copies of one snapshotter. Locks: ``_lock`` is held while one is made."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = threading.Lock()

    def init(self, shift: Shift) -> str:
        return f"{self._root}/init-{shift.name}"

    def ensure_init(self, shift: Shift) -> None:
        """Raises: OSError."""
        with self._lock:
            ensure_init_layer(self.init(shift))
            move_ids(self.init(shift), [shift])

    def unused_inits(self, directories: Iterable[str]) -> list[str]:
        """Init layers of maps that neither a copy in ``directories`` nor a writable layer there has gone through."""
        found = [name for name in os.listdir(self._root) if name.startswith(f"init-{_COPY}")]
        used: set[str] = set()
        for directory in directories if found else ():
            used.update(name for name in os.listdir(directory) if name.startswith(_COPY))
            shift = worn(directory)
            used.update([shift.name] if shift is not None else [])
        return [os.path.join(self._root, name) for name in found if name.removeprefix("init-") not in used]

    def copy_of(self, layer: str, shift: Shift) -> str:
        """Where the copy of ``layer`` (its ``fs``) is."""
        return f"{os.path.dirname(layer)}/{shift.name}"

    def ensure_copy(self, layer: str, shift: Shift) -> bool:
        """Whether it had to be made. Raises: OSError (a full disk)."""
        made = self.copy_of(layer, shift)
        with self._lock:
            if os.path.isdir(made):
                return False
            draft = made + ".new"
            shutil.rmtree(draft, ignore_errors=True)  # of a run that was cut short
            os.mkdir(draft, 0o755)
            try:
                copy_tree(layer, draft, shift=shift)
                syncfs(draft)
                os.rename(draft, made)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
        return True


def worn(directory: str) -> Shift | None:
    """The map that the owners in a writable layer, or a volume, went through. Raises: DataLoss."""
    try:
        with open(f"{directory}/ids", encoding="ascii") as file:
            return shift_of(file.read())
    except FileNotFoundError:
        return None
    except ValueError as err:
        raise DataLoss(f"{directory}/ids: not an id map") from err


def wear(directory: str, shift: Shift | None, files: str = "fs") -> None:
    """Move the owners in a writable layer (no container runs on it) to those of another map; ``files``: where they lie.

    Raises: DataLoss, and kinds of OSError.
    """
    before = worn(directory)
    if before == shift:
        return
    steps = ([before.reverse] if before else []) + ([shift] if shift else [])
    mark = f"{directory}/ids"
    try:
        move_ids(f"{directory}/{files}", steps)
        if shift is None:
            os.unlink(mark)
            return
        with open(mark + ".new", "w", encoding="ascii") as file:
            file.write(shift.text())
        os.rename(mark + ".new", mark)
    except OSError as err:
        raise from_oserror(err, "move a container's files to another id map") from err
