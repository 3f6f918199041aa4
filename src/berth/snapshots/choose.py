"""Which snapshotter a data-root gets: overlayfs where it works, copies where it does not, or the one that was asked for."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from berth.base.errors import InvalidArgument, Unsupported
from berth.kernel import mount
from berth.snapshots.copying import CopyingSnapshots
from berth.snapshots.overlay import Snapshots
from berth.snapshots.tree import OPAQUE

if TYPE_CHECKING:
    from berth.content.trash import Trash
    from berth.db.database import Database

DRIVERS: dict[str, type[Snapshots]] = {"overlay2": Snapshots, "vfs": CopyingSnapshots}
_ALIASES = {"overlay": "overlay2", "overlayfs": "overlay2"}


def open_snapshots(root: str, db: Database, trash: Trash, asked: str = "") -> Snapshots:
    """The snapshotter for ``root``; ``asked``: overlay2 or vfs, "" for what fits. The choice stays with the data-root.

    Raises: Unsupported where overlay2 is asked for and does not work, InvalidArgument for a driver that there isn't, or
    another one than made the layers that are here.
    """
    asked = _ALIASES.get(asked, asked)
    if asked and asked not in DRIVERS:
        raise InvalidArgument(f"unknown storage driver {asked!r}: there are {', '.join(DRIVERS)}")
    os.makedirs(root, mode=0o710, exist_ok=True)
    kept = _kept(root)
    if asked and kept and asked != kept and any(name.isdecimal() for name in os.listdir(root)):
        raise InvalidArgument(
            f"storage driver {asked}: the layers in {root} were made by {kept}: remove the images and containers first, or "
            "give another --data-root"
        )
    trouble = "" if (asked or kept) == "vfs" else overlay_trouble(root)
    if trouble and (asked or kept) == "overlay2":
        raise Unsupported(f"storage driver overlay2: {trouble}")
    chosen = asked or kept or ("vfs" if trouble else "overlay2")
    _keep(root, chosen)
    snapshots = DRIVERS[chosen](root, db, trash)
    snapshots.why = trouble or ("asked for" if asked == "vfs" else "")
    return snapshots


def overlay_trouble(root: str) -> str:
    """Why overlayfs cannot hold layers in ``root``; "" where it can. Leaves nothing behind."""
    probe = os.path.join(root, f"probe-{os.getpid()}")
    lower, upper, work = (os.path.join(probe, name) for name in ("lower", "upper", "work"))
    try:
        for path in (probe, lower, upper, work):
            os.mkdir(path, 0o700)
        os.mknod(os.path.join(lower, "whiteout"), stat.S_IFCHR, 0)
        os.setxattr(lower, OPAQUE, b"y")
        os.close(mount.overlay([lower], upper, work))
    except OSError as err:
        return f"overlayfs does not work in {root}: {os.strerror(err.errno or 0).lower()}"
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return ""


def _kept(root: str) -> str:
    try:
        with open(os.path.join(root, "driver"), encoding="ascii") as file:
            name = file.read().strip()
    except FileNotFoundError:
        return "overlay2" if any(name.isdecimal() for name in os.listdir(root)) else ""
    return name if name in DRIVERS else ""


def _keep(root: str, name: str) -> None:
    path = os.path.join(root, "driver")
    if _kept(root) == name and os.path.exists(path):
        return
    with open(f"{path}.new", "w", encoding="ascii") as file:
        file.write(name + "\n")
    os.rename(f"{path}.new", path)


__all__ = ["DRIVERS", "Snapshots", "open_snapshots", "overlay_trouble"]
