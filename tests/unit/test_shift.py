"""Files' ids moved through a map and back (Linux: capabilities(7), acl(5))."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from berth.snapshots.copy_tree import copy_tree
from berth.snapshots.shift import CAPABILITY, NOBODY, Shift, move_ids, shift_of

SHIFT = Shift(((0, 100_000, 1000), (1000, 300_000, 10)), ((0, 200_000, 1000),))
V2 = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
ACL = struct.pack("<IHHIHHIHHI", 2, 0x01, 6, 0xFFFFFFFF, 0x02, 4, 7, 0x08, 4, 8)


def test_ids() -> None:
    assert SHIFT.owner(5, 6) == (100_005, 200_006)
    assert SHIFT.owner(1003, 999) == (300_003, 200_999)
    assert SHIFT.owner(1010, 1000) == (NOBODY, NOBODY)
    assert SHIFT.reverse.owner(300_003, 200_999) == (1003, 999)
    assert shift_of(SHIFT.text()) == SHIFT and shift_of(SHIFT.text()).name == SHIFT.name


def test_a_capability_counts_for_the_root_of_the_namespace() -> None:
    moved = SHIFT.xattr(CAPABILITY, V2)
    assert struct.unpack("<6I", moved) == (0x03000001, 1 << 10, 0, 0, 0, 100_000)
    assert SHIFT.reverse.xattr(CAPABILITY, moved) == V2


def test_an_access_control_list() -> None:
    moved = SHIFT.xattr(b"system.posix_acl_access", ACL)
    assert struct.unpack("<IHHIHHIHHI", moved)[3::3] == (0xFFFFFFFF, 100_007, 200_008)
    assert SHIFT.reverse.xattr(b"system.posix_acl_access", moved) == ACL


@pytest.mark.root
def test_a_tree_there_and_back(tmp_path: Path) -> None:
    tree = tmp_path / "fs"
    (tree / "folder").mkdir(parents=True)
    file = tree / "folder" / "file"
    file.write_text("x")
    os.link(file, tree / "hard")
    os.symlink("nowhere", tree / "link")
    os.mknod(tree / "gone", 0o020000, 0)
    for path in (file, tree / "link"):
        os.chown(path, 5, 6, follow_symlinks=False)
    file.chmod(0o4755)
    os.setxattr(file, CAPABILITY, V2)
    os.setxattr(tree / "folder", "trusted.overlay.opaque", b"y")
    copy = tmp_path / "copy"
    copy.mkdir()
    copy_tree(str(tree), str(copy), shift=SHIFT)
    for _ in range(2):  # the second time there is nothing left to do
        move_ids(str(tree), [SHIFT])
    for root in (tree, copy):
        status = os.stat(root / "hard")
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777, status.st_nlink) == (100_005, 200_006, 0o4755, 2)
        assert struct.unpack("<6I", os.getxattr(root / "hard", CAPABILITY))[5] == 100_000
        assert os.lstat(root / "link").st_uid == 100_005
        assert os.lstat(root / "gone").st_rdev == 0 and os.stat(root).st_uid == 100_000
        assert os.getxattr(root / "folder", "trusted.overlay.opaque") == b"y"
    move_ids(str(tree), [SHIFT.reverse])
    assert os.stat(file).st_uid == 5 and os.getxattr(file, CAPABILITY) == V2
