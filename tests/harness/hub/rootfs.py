"""Packages to layers. Root only; what is made lies in the tests' cache, by a key of everything that went into it.

    <cache>/hub/base-<key>/tree/           Debian's minbase as mmdebstrap makes it, without documentation
                           layer.gz, layer.json
    <cache>/hub/<name>-<key>/layer.gz, layer.json
    <cache>/hub/lists/                     apt's package lists

An image's own layer is what apt, dpkg and its setup script change in an overlay above the base, in a mount and process
namespace that ends with them: no mount and no service is left.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from harness.hub.recipes import Recipe

CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache")) / "hub"
SUITE = "bookworm"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SOURCE = f"deb [signed-by={_KEYRING}] http://deb.debian.org/debian {SUITE} main"
_FILES = Path(__file__).parent / "files"
_LEAN = (
    "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*", "force-unsafe-io",
)  # fmt: skip
_LEFT_OUT = ("dev/", "proc/", "sys/", "run/", "tmp/", "var/cache/apt/", "var/lib/apt/lists/", "var/log/apt/")
_LEFT_OUT_FILES = (
    "usr/sbin/policy-rc.d",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/cache/debconf/config.dat-old",
)

_APT_CONFIG = """\
Dir "{root}";
Dir::State::lists "{lists}";
Dir::Bin::dpkg "/usr/bin/dpkg";
DPkg::Chroot-Directory "{root}";
APT::Sandbox::User "root";
APT::Install-Recommends "0";
Acquire::Languages "none";
"""

_IN_OVERLAY = """\
set -eu
mount -t overlay overlay -o "lowerdir=$TREE,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
mount -t proc proc "$WORK/root/proc"
printf '#!/bin/sh\\nexit 101\\n' >"$WORK/root/usr/sbin/policy-rc.d"
chmod 755 "$WORK/root/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive APT_CONFIG="$WORK/apt.conf"
if [ "$#" -gt 0 ]; then
    apt-get install -q -y "$@" || { apt-get update -q && apt-get install -q -y "$@"; }
fi
if [ -n "$SETUP" ]; then
    chroot "$WORK/root" sh -eu -s <"$SETUP"
fi
"""


class BuildFailed(Exception):
    """The words of whatever failed."""


class Layer(NamedTuple):
    """A gzipped layer on the disk."""

    path: Path
    digest: str
    diff_id: str
    size: int


class Base(NamedTuple):
    key: str
    tree: Path
    layer: Layer


def ensure_base() -> Base:
    """Debian's minbase, made once (about a minute). Raises: BuildFailed."""
    key = _key(SUITE, _LEAN, _LEFT_OUT)
    kept = CACHE / f"base-{key}"
    with _making(kept) as work:
        if work is not None:
            command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory"]
            command += [f"--dpkgopt={option}" for option in _LEAN]
            _run([*command, "--include=ca-certificates", SUITE, str(work / "tree"), _SOURCE])
            _pack(work / "tree", work)
    return Base(key, kept / "tree", _layer_of(kept))


def ensure_layer(name: str, recipe: Recipe, base: Base) -> Layer | None:
    """The layer that makes ``recipe`` of the base, made once; None where it adds nothing. Raises: BuildFailed."""
    if not recipe.packages and not recipe.files and not recipe.setup:
        return None
    texts = [(_FILES / file).read_text() for file in (*recipe.files.values(), recipe.setup) if file]
    key = _key(base.key, recipe.packages, dict(recipe.files), dict(recipe.npm), texts, _IN_OVERLAY, _LEFT_OUT_FILES)
    kept = CACHE / f"{name}-{key}"
    with _making(kept) as work:
        if work is not None:
            _fill_overlay(recipe, base, work)
            _pack(work / "upper", work)
            for folder in ("upper", "work", "root"):
                shutil.rmtree(work / folder)
    return _layer_of(kept)


def _fill_overlay(recipe: Recipe, base: Base, work: Path) -> None:
    for folder in (work / "upper", work / "work", work / "root", CACHE / "lists" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    (work / "upper").chmod(0o755)
    (work / "apt.conf").write_text(_APT_CONFIG.format(root=work / "root", lists=CACHE / "lists"))
    for package, version in recipe.npm.items():
        _unpack_npm(package, version, work / "upper" / "usr" / "local" / "lib" / "node_modules" / package)
    for path, file in recipe.files.items():
        target = work / "upper" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_FILES / file, target)
        target.chmod(0o755)
    environ = {
        **os.environ, "TREE": str(base.tree), "WORK": str(work), "SETUP": str(_FILES / recipe.setup) if recipe.setup else "",
        "LC_ALL": "C",
    }  # fmt: skip
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _IN_OVERLAY, "sh", *recipe.packages]
    with _locked(CACHE / "lists.lock"):
        _run(command, env=environ)


def _unpack_npm(package: str, version: str, target: Path) -> None:
    """A package of the npm registry as its tarball has it: those used here bring their dependencies along."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        _run(
            ["curl", "-sSf", "-o", f"{folder}/p.tgz", f"https://registry.npmjs.org/{package}/-/{package}-{version}.tgz"]
        )
        target.mkdir(parents=True)
        _run(["tar", "-xzf", f"{folder}/p.tgz", "-C", str(target), "--strip-components=1", "--no-same-owner"])


# --- trees to layers


def _pack(tree: Path, work: Path) -> None:
    """Writes ``layer.gz`` and ``layer.json`` into ``work``."""
    with open(work / "layer.gz", "wb") as file:
        packed = _Hashing(file)
        with gzip.GzipFile("", "wb", 5, packed, mtime=0) as stream:  # type: ignore[call-overload]
            plain = _Hashing(stream)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
                for path in _below(tree, tree):
                    _add(tar, tree, path)
    found = {"digest": packed.digest, "diff_id": plain.digest, "size": packed.size}
    (work / "layer.json").write_text(json.dumps(found))


def _below(folder: Path, tree: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        name = str(path.relative_to(tree))
        if name in _LEFT_OUT_FILES or name.startswith(_LEFT_OUT):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path, tree)


def _add(tar: tarfile.TarFile, tree: Path, path: Path) -> None:
    """One entry; what the overlay says of removed things in the words that layers have for it."""
    name = path.relative_to(tree)
    status = path.lstat()
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        tar.addfile(tarfile.TarInfo(str(name.parent / f".wh.{name.name}")))
        return
    member = tar.gettarinfo(str(path), str(name))
    if member is None:  # a socket
        return
    member.uname = member.gname = ""
    member.mtime = int(member.mtime)
    if member.isreg():
        with open(path, "rb") as content:
            tar.addfile(member, content)
    else:
        tar.addfile(member)
    if member.isdir() and _is_opaque(path):
        tar.addfile(tarfile.TarInfo(str(name / ".wh..wh..opq")))


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


class _Hashing:
    """A file to write to that knows the digest of what went through."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> int:
        self._hash.update(piece)
        self.size += len(piece)
        return self._file.write(piece)

    def flush(self) -> None:
        self._file.flush()

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


# --- the cache


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _layer_of(folder: Path) -> Layer:
    return Layer(folder / "layer.gz", **json.loads((folder / "layer.json").read_text()))


@contextmanager
def _making(kept: Path) -> Iterator[Path | None]:
    """A folder to make ``kept`` in, None where it is there; appears whole or not at all. Two makers wait for each other."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / f"{kept.name}.lock"):
        if kept.exists():
            yield None
            return
        work = CACHE / f"{kept.name}.making"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o755)
        try:
            yield work
            work.rename(kept)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str], **how: object) -> None:
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    done = run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **how)
    if done.returncode:
        raise BuildFailed(f"{' '.join(command[:6])} ... failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
