"""A base image, start to end.

    Release → Packages → selection → downloads → first tree ─import─▶ engine ─run dpkg─▶ export → layer ─load─▶ image

What is made on the way (an image without a name, a container) is removed whatever happens.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

from berth.base.errors import Internal, InvalidArgument, NotFound, Unsupported
from berth.base.undo import Undo
from berth.bootstrap import fetch, files, layer, openpgp, release, script, sources
from berth.bootstrap.packages import Package, parse_packages
from berth.bootstrap.resolve import Archive
from berth.bootstrap.tree import Tree
from berth.client.engine import Engine, query

Show = Callable[[dict[str, Any]], None]
_ARCHITECTURES = {
    "amd64": "amd64", "386": "i386", "arm64": "arm64", "arm": "armhf", "ppc64le": "ppc64el", "s390x": "s390x",
    "riscv64": "riscv64", "loong64": "loong64", "mips64le": "mips64el",
}  # fmt: skip
_CMD = ["bash"]
_LAST_LINES = 20


class Order(NamedTuple):
    """What is to be made. ``keyring``: a file of keys, None to look at no signature; ``date_s``: None for the suite's own."""

    name: str
    wanted: sources.Wanted
    mirror: str = ""
    components: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    keyring: str | None = None
    date_s: int | None = None


class _Plan(NamedTuple):
    """What the archive says."""

    order: Order
    releases: list[release.Release]
    packages: list[Package]
    machine: str
    architecture: str
    date_s: int


def bootstrap(engine: Engine, order: Order, show: Show) -> str:
    """Make the image and name it; returns its id.

    Raises: NotFound for a suite, component or package that the archive lacks, DataLoss for files that are not what was signed,
    Internal with dpkg's last lines when a package does not install.
    """
    plan = _plan(engine, order, show)
    with tempfile.TemporaryDirectory(prefix="berth-bootstrap-") as folder:
        _download(plan, folder, show)
        with open(f"{folder}/tree.tar", "w+b") as tree:
            _write_tree(plan, folder, tree)
            tree.seek(0)
            with open(f"{folder}/export.tar", "w+b") as exported:
                began_s = int(time.time())
                _install(engine, plan, tree, exported, show)
                exported.seek(0)
                with open(f"{folder}/layer.tar", "w+b") as made:
                    show({"id": order.name, "status": "Packing"})
                    diff_id = layer.normalise(exported, made, plan.date_s, began_s)
                    return _load(engine, plan, made, diff_id, show)


# --- what the archive has


def _plan(engine: Engine, order: Order, show: Show) -> _Plan:
    machine = str(engine.get("/version").get("Arch", ""))
    if machine not in _ARCHITECTURES:
        raise Unsupported(f"no packages are known for the engine's architecture {machine}")
    architecture = _ARCHITECTURES[machine]
    keys = _keys(order)
    releases: list[release.Release] = []
    packages: list[Package] = []
    for source in sources.sources(order.wanted, architecture, order.mirror, order.components):
        show({"id": source.suite, "status": f"Reading {source.base}"})
        try:
            found = release.read_release(source, keys)
        except NotFound:
            if not source.optional:
                raise
            continue
        if architecture not in found.architectures:
            raise NotFound(f'the suite "{source.suite}" of {source.uri} has no packages for {architecture}')
        releases.append(found)
        for text in release.read_packages(found, architecture):
            packages += parse_packages(text, source.uri)
    chosen = Archive(packages).select(order.include)
    date_s = order.date_s if order.date_s is not None else max(one.date_s for one in releases)
    return _Plan(order, releases, chosen, machine, architecture, date_s)


def _keys(order: Order) -> dict[str, openpgp.Key] | None:
    if order.keyring is None:
        return None
    try:
        with open(order.keyring, "rb") as file:
            return openpgp.read_keyring(file.read())
    except FileNotFoundError as err:
        raise InvalidArgument(
            f"the keyring {order.keyring} is not there: install the distribution's keyring package, name a file with "
            f"--keyring, or give --no-check-gpg to trust the mirror"
        ) from err


def _download(plan: _Plan, folder: str, show: Show) -> None:
    total, lock, done = sum(package.size for package in plan.packages), threading.Lock(), 0
    ident, text = plan.order.wanted.suite, f"Downloading {len(plan.packages)} packages"
    show({"id": ident, "status": text})

    def advance(count: int) -> None:
        nonlocal done
        with lock:
            done += count
            show({"id": ident, "status": text, "progressDetail": {"current": done, "total": total}})

    fetch.download((fetch.Wish(p.url, f"{folder}/{p.file}", p.size, p.sha256) for p in plan.packages), advance)


def _write_tree(plan: _Plan, folder: str, out: IO[bytes]) -> None:
    wanted = plan.order.wanted
    is_slim = wanted.variant == "slim"
    named = [sources.public(one.source, wanted.distribution, plan.architecture) for one in plan.releases]
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tree = Tree(tar, files.SLIM_OUT if is_slim else (), files.SLIM_KEPT if is_slim else ())
        tree.begin()
        for package in plan.packages:
            tree.unpack(f"{folder}/{package.file}")
        for name, content in files.settings(wanted, dict.fromkeys(named)).items():
            tree.write(name, content, 0o755 if "/sbin/" in name else 0o644)
        tree.carry(folder, plan.packages)


# --- what the engine does


def _install(engine: Engine, plan: _Plan, tree: IO[bytes], exported: IO[bytes], show: Show) -> None:
    """Run dpkg on the tree in a container, and fetch what came of it."""
    ident = plan.order.wanted.suite
    undo = Undo()
    try:
        show({"id": ident, "status": "Unpacking"})
        image = _import(engine, tree)
        undo.push("image", engine.delete, f"/images/{image}?force=1")
        environment = {**script.ENVIRONMENT, "SOURCE_DATE_EPOCH": str(plan.date_s)}
        body = {
            "Image": image,
            "Cmd": ["/bin/sh", "-c", script.INSTALL],
            "Env": [f"{key}={value}" for key, value in environment.items()],
            "Hostname": "localhost",
            "HostConfig": {"NetworkMode": "none"},
        }
        container = engine.post("/containers/create", body)["Id"]
        undo.push("container", engine.delete, f"/containers/{container}?force=1&v=1")
        show({"id": ident, "status": "Installing"})
        engine.post(f"/containers/{container}/start")
        if engine.post(f"/containers/{container}/wait")["StatusCode"]:
            raise Internal(f"dpkg could not install the packages:\n{_last_lines(engine, container)}")
        for piece in engine.send("GET", f"/containers/{container}/export", fresh=True).chunks():
            exported.write(piece)
    finally:
        undo.run()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(1 << 20):
        yield piece


def _import(engine: Engine, tree: IO[bytes]) -> str:
    answer = engine.send(
        "POST", "/images/create" + query(fromSrc="-"), headers={"Content-Type": "application/x-tar"},
        upload=_pieces(tree), fresh=True,
    )  # fmt: skip
    return next((str(m["status"]) for m in _messages(answer.lines()) if "sha256:" in str(m.get("status"))), "")


def _messages(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [json.loads(line) for line in lines]
    for message in messages:
        if message.get("error"):
            raise Internal(str(message["error"]))
    return messages


def _last_lines(engine: Engine, container: str) -> str:
    raw = engine.send("GET", f"/containers/{container}/logs?stdout=1&stderr=1&tail={_LAST_LINES}", fresh=True).read()
    text = []
    while len(raw) >= 8:  # frames: stream, three zeros, size
        size = int.from_bytes(raw[4:8], "big")
        text.append(raw[8 : 8 + size].decode("utf-8", "replace"))
        raw = raw[8 + size :]
    return "".join(c if c.isprintable() or c == "\n" else " " for c in "".join(text)).rstrip()


# --- the image


def _config(plan: _Plan, diff_id: str) -> bytes:
    main = plan.releases[0]
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(plan.date_s))
    wanted = plan.order.wanted
    by = f"berth image bootstrap {wanted.distribution}:{wanted.suite} # {wanted.variant}, {len(plan.packages)} packages"
    document = {
        "architecture": plan.machine,
        "os": "linux",
        "created": created,
        "config": {"Cmd": _CMD, "Env": [f"PATH={script.ENVIRONMENT['PATH']}"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": by, "comment": f"{main.codename} {main.version}".strip()}],
    }
    if plan.machine == "arm":
        document["variant"] = "v7"
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _load(engine: Engine, plan: _Plan, made: IO[bytes], diff_id: str, show: Show) -> str:
    show({"id": plan.order.name, "status": "Loading"})
    config = _config(plan, diff_id)
    ident = hashlib.sha256(config).hexdigest()
    size = made.seek(0, os.SEEK_END)
    made.seek(0)
    manifest = [{"Config": f"{ident}.json", "RepoTags": [plan.order.name], "Layers": [f"{diff_id[7:]}.tar"]}]
    answer = engine.send(
        "POST", "/images/load?quiet=1", headers={"Content-Type": "application/x-tar"}, fresh=True,
        upload=_archive(f"{ident}.json", config, f"{diff_id[7:]}.tar", made, size, json.dumps(manifest).encode()),
    )  # fmt: skip
    _messages(answer.lines())
    return f"sha256:{ident}"


def _archive(
    config_name: str, config: bytes, layer_name: str, made: IO[bytes], size: int, manifest: bytes
) -> Iterator[bytes]:
    """A docker archive, as a stream."""
    yield _member(config_name, len(config)) + config + bytes(-len(config) % 512)
    yield _member(layer_name, size)
    yield from _pieces(made)
    yield bytes(-size % 512) + _member("manifest.json", len(manifest)) + manifest + bytes(-len(manifest) % 512)
    yield bytes(1024)


def _member(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)
