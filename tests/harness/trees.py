"""Small file trees for property tests: made from a description, and looked at again."""

from __future__ import annotations

import os
import shutil
import stat
from typing import Any

from hypothesis import strategies as st

NAMES = [b"a", b"b", b"c", b"dir", b"\xff\xfe", "\u00fc".encode(), b"n" * 120, b".hidden"]
names = st.sampled_from(NAMES)
owners = st.sampled_from([0, 1, 1000, 65534, 2**31, 2**32 - 2])
times = st.sampled_from([0, 1, 1_700_000_000, 2**33])
xattrs = st.dictionaries(
    st.sampled_from([b"user.x", b"trusted.y", b"security.capability"]),
    st.sampled_from([b"", b"v", b"\x00\x01bin\n="]), max_size=2,
)  # fmt: skip
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def _with(**parts: Any) -> Any:
    return st.fixed_dictionaries({"uid": owners, "gid": owners, "mtime": times, **parts})


_files = _with(kind=st.just("file"), mode=st.sampled_from([0o644, 0o755, 0o4755, 0o2755, 0o000]),
               content=st.sampled_from([b"", b"x", b"hello" * 300, b"\0" * 5000]), xattrs=xattrs)  # fmt: skip
_links = _with(
    kind=st.just("symlink"), target=st.sampled_from([b"a", b"/etc/passwd", b"../../..", b"t" * 200, b"\xff"])
)
_fifos = _with(kind=st.just("fifo"), mode=st.sampled_from([0o600, 0o666]))
_devices = _with(kind=st.just("char"), mode=st.just(0o666), device=st.sampled_from([(1, 3), (5, 1), (4095, 1048575)]))
_hardlinks = st.fixed_dictionaries({"kind": st.just("hardlink"), "to": st.integers(0, 30)})


def _directories(children: Any) -> Any:
    return _with(
        kind=st.just("dir"),
        mode=st.sampled_from([0o755, 0o700, 0o1777, 0o2775]),
        xattrs=st.dictionaries(st.just(b"user.d"), st.just(b"1"), max_size=1),
        entries=st.dictionaries(names, children, max_size=4),
    )


entries = st.recursive(st.one_of(_files, _links, _fifos, _devices, _hardlinks), _directories, max_leaves=12)
trees = st.dictionaries(names, entries, max_size=5)


def make(root: str, tree: dict[bytes, Any]) -> None:
    """Make ``tree`` in the new directory ``root``. A hard link goes to the n-th file so far, or is left out."""
    os.mkdir(root, 0o755)
    files: list[bytes] = []
    _make_all(os.fsencode(root), tree, files)


def _make_all(root: bytes, tree: dict[bytes, Any], files: list[bytes]) -> None:
    for name, entry in tree.items():
        path = root + b"/" + name
        kind = entry["kind"]
        if kind == "hardlink":
            if files:
                os.link(files[entry["to"] % len(files)], path, follow_symlinks=False)
            continue
        if kind == "file":
            with open(path, "wb") as file:
                file.write(entry["content"])
            files.append(path)
        elif kind == "dir":
            os.mkdir(path)
            _make_all(path, entry["entries"], files)
        elif kind == "symlink":
            os.symlink(entry["target"], path)
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            os.mknod(path, stat.S_IFCHR, os.makedev(*entry["device"]))
        os.chown(path, entry["uid"], entry["gid"], follow_symlinks=False)
        if kind != "symlink":
            os.chmod(path, entry["mode"])
        for key, value in entry.get("xattrs", {}).items():
            os.setxattr(path, key, CAPABILITY if key == b"security.capability" else value, follow_symlinks=False)
        os.utime(path, (entry["mtime"], entry["mtime"]), follow_symlinks=False)


def look(root: str) -> dict[bytes, Any]:
    """Everything about a tree that a layer can say, by name; hard links as groups."""
    seen: dict[bytes, Any] = {}
    inodes: dict[tuple[int, int], list[bytes]] = {}
    base = os.fsencode(root)
    for folder, dirs, files in os.walk(base):
        for name in (*dirs, *files):
            path = folder + b"/" + name
            status = os.lstat(path)
            shown: list[Any] = [
                stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode) if not stat.S_ISLNK(status.st_mode) else 0,
                status.st_uid, status.st_gid, int(status.st_mtime_ns // 10**9), status.st_rdev,
            ]  # fmt: skip
            if stat.S_ISLNK(status.st_mode):
                shown.append(os.readlink(path))
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    shown.append(file.read())
                if status.st_nlink > 1:
                    inodes.setdefault((status.st_dev, status.st_ino), []).append(path[len(base) + 1 :])
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                keys = [key for key in os.listxattr(path) if not key.startswith("trusted.overlay.")]
                shown.append({key: os.getxattr(path, key) for key in keys})
            seen[path[len(base) + 1 :]] = shown
    for group in inodes.values():
        for name in group:
            seen[name].append(sorted(group))
    return seen


def copy(source: str, target: str) -> None:
    """A copy of a tree by other means than the engine's."""
    import subprocess

    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", source, target], check=True)
