"""The kernel's picture of one engine: everything that carries its instance id or its roots.

A test takes the picture before and after; once deferred deletion has drained both must be equal. Values are counted by
kind, not by number (a parked shim that was used is replaced by another), so a picture is a ``Counter`` that prints well.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator

Picture = Counter[str]


def picture(instance_id: str, data_root: str, run_root: str, bridge: str, daemon_pid: int | None) -> Picture:
    """What the engine holds now. ``daemon_pid``: its open files are counted when given."""
    seen: Picture = Counter()
    for part in (
        _mounts(instance_id, data_root, run_root), _links(instance_id, bridge), _nft(instance_id),
        _cgroups(instance_id), _processes(instance_id, run_root), _files(data_root, run_root),
        _rows(os.path.join(data_root, "berth.db")), _descriptors(daemon_pid) if daemon_pid else iter(()),
    ):  # fmt: skip
        seen.update(part)
    return seen


def difference(before: Picture, after: Picture) -> list[str]:
    """What changed, one sentence each; empty when nothing did."""
    return [
        f"{key}: {before[key]} before, {after[key]} after"
        for key in sorted(before | after)
        if before[key] != after[key]
    ]


def _mounts(instance_id: str, *roots: str) -> Iterator[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        for line in table:
            if instance_id in line or any(f" {root}/" in line or f" {root} " in line for root in roots):
                yield "mount " + re.sub(r"/[0-9a-f]{12,64}", "/ID", line.split()[4])


def _links(instance_id: str, bridge: str) -> Iterator[str]:
    for name in _listdir("/sys/class/net"):
        master = f"/sys/class/net/{name}/master"
        try:
            owner = os.path.basename(os.readlink(master))
        except OSError:  # it has no master, or went away meanwhile
            owner = ""
        if (
            name == bridge
            or owner == bridge
            or instance_id in name
            or instance_id in _read(f"/sys/class/net/{name}/ifalias")
        ):
            yield "link bridge" if name == bridge else "link of a container"


def bridges(instance_id: str) -> list[str]:
    """Links that an engine made for its networks."""
    alias = f"berth:{instance_id}"
    return [
        n for n in _listdir("/sys/class/net") if instance_id and _read(f"/sys/class/net/{n}/ifalias").strip() == alias
    ]


def _nft(instance_id: str) -> Iterator[str]:
    # not as JSON: of somebody else's table with a flag that it does not know, nft writes what is none
    listing = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True)
    for line in listing.stdout.splitlines():
        _, family, name = line.split()
        if instance_id not in name:
            continue
        yield f"nft table {name}"
        rules = subprocess.run(["nft", "-j", "list", "table", family, name], capture_output=True, text=True)
        for entry in json.loads(rules.stdout or "{}").get("nftables", []):
            for kind, value in entry.items():
                if kind in ("map", "set"):
                    for element in value.get("elem", []):
                        yield f"nft element of {value['name']}: {json.dumps(element)}"
                elif kind in ("rule", "chain"):
                    yield f"nft {kind} in {value.get('chain') or value.get('name')}"


def cgroup_dirs(instance_id: str) -> Iterator[str]:
    """Every cgroup directory of an engine, in every hierarchy, parents first."""
    top = "/sys/fs/cgroup"
    hierarchies = [top] if os.path.exists(f"{top}/cgroup.procs") else [f"{top}/{name}" for name in _listdir(top)]
    for hierarchy in hierarchies:
        base = f"{hierarchy}/berth-{instance_id}"
        if os.path.isdir(base):
            for folder, _, _ in os.walk(base):
                yield folder


def _cgroups(instance_id: str) -> Iterator[str]:
    for folder in cgroup_dirs(instance_id):
        head, _, below = folder.partition(f"/berth-{instance_id}")
        yield f"cgroup {os.path.basename(head)}, depth {below.count('/')}"


def processes(instance_id: str, run_root: str) -> Iterator[tuple[int, str]]:
    """Pid and name of every process of an engine: by command line (daemon, zygote, shims, netd) or by cgroup."""
    for name in _listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        command = _read(f"/proc/{name}/cmdline")
        ours = f"{run_root}/" in command or f"berth-{instance_id}" in command or f"exec-root\0{run_root}" in command
        if ours or f"berth-{instance_id}" in _read(f"/proc/{name}/cgroup"):
            yield int(name), _read(f"/proc/{name}/comm").strip()


def _processes(instance_id: str, run_root: str) -> Iterator[str]:
    for pid, name in processes(instance_id, run_root):
        if _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["Z"]:
            name += " (a zombie)"
        yield f"process {name}"


def _files(data_root: str, run_root: str) -> Iterator[str]:
    for root, folders in (
        (data_root, ("containers", "snapshots", "trash", "tmp", "volumes", "content/ingest", "content/blobs/sha256")),
        (run_root, ("c", "netd", "stage", "")),
    ):
        for folder in folders:
            for name in _listdir(os.path.join(root, folder)):
                yield f"file in {os.path.basename(root)}/{folder}: {_kind_of_name(name)}"


def _kind_of_name(name: str) -> str:
    """Names of containers and snapshots are counted, others are told apart."""
    return "ID" if re.fullmatch(r"[0-9a-f]{12,64}|\d+|[0-9a-f]{8,}[-.].*", name) else name


def _rows(path: str) -> Iterator[str]:
    if not os.path.exists(path):
        return
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table.startswith("sqlite_"):
                continue
            for _ in range(db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]):
                yield f"row of {table}"
    db.close()


def _descriptors(pid: int) -> Iterator[str]:
    for number in _listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{number}")
        except OSError:
            continue
        yield "descriptor " + re.sub(r"/[0-9a-f]{12,64}|\[\d+\]|/\d+", "/ID", target)


def _listdir(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
