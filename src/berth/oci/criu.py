"""Checkpoint and restore with the host's CRIU, where it is installed: what it is asked, in runc's way.

    criu_rpc.py      the conversation
    criu_mounts.py   what of the mounts comes from outside

``descriptors.json`` beside CRIU's images says what the three standard streams were, as runc writes it: those that lead outside
(pipes; files, which runc leaves to fail) become those of the call that restores.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from berth.base.errors import Internal, InvalidArgument, NotFound, Unsupported
from berth.kernel import cgroups
from berth.kernel import mount as m
from berth.kernel import process as p
from berth.oci import criu_mounts, criu_rpc
from berth.oci.criu_rpc import Field
from berth.oci.flags import Options
from berth.oci.record import Record

IMAGES_FD, PID, LEAVE_RUNNING, LOG_LEVEL, LOG_FILE, PAGE_SERVER, NOTIFY_SCRIPTS = 1, 2, 3, 9, 10, 11, 12
ROOT, PARENT, TRACK_MEMORY, WORK_FD, MANAGE_CGROUPS, GROUP_ROOT, SIBLING, INHERIT_FD = 13, 14, 15, 17, 24, 25, 26, 27
CGROUPS_MODE, EXTERNAL, EMPTY_NS, FREEZER, STATUS_FD, ORPHAN_TERMINAL, CONFIG_FILE = 34, 37, 38, 44, 49, 50, 51
LSM_PROFILE, LSM_MOUNT_CONTEXT = 53, 63
"""The fields of criu_opts that are no plain switches."""

_SWITCHES = {
    "ext-unix-sk": 4, "tcp-established": 5, "shell-job": 7, "file-locks": 8, "auto-dedup": 16, "lazy-pages": 48,
}  # fmt: skip
_EVASIVE_DEVICES = 6
_MODES = {"ignore": 0, "none": 1, "props": 2, "soft": 3, "full": 4, "strict": 5}
_OUTSIDE = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}
_CONFIG = ("org.criu.config", "/etc/criu/runc.conf")
DESCRIPTORS = "descriptors.json"


def require(program: str) -> str:
    """The path of CRIU. Raises: Unsupported in words that say what to do."""
    path = shutil.which(program)
    if path is None:
        raise Unsupported(
            f'checkpoint and restore need CRIU, and "{program}" is not installed: install the package criu'
        )
    return path


def dump(program: str, found: Record, options: Options, images: str) -> None:
    """Raises: Unsupported (no CRIU), InvalidArgument, Internal with its words."""
    path = require(program)
    os.makedirs(images, 0o700, exist_ok=True)
    before = options.on("pre-dump")
    with ExitStack() as held:
        fields = [*_common(options, found.spec, images, "dump.log", held), (PID, found.pid)]
        fields += [(LEAVE_RUNNING, 1)] if options.on("leave-running") else []
        fields += _freezer(found) + _memory(options, images, before=before)
        if not before:
            places = criu_mounts.outside(found.pid, found.spec)
            fields += [(EXTERNAL, f"mnt[{place}]:{place}") for place in places]
            fields += _outer_namespaces(found)
            streams = found.state.get("external_descriptors") or []
            fields += [(EXTERNAL, text) for text in streams if text.startswith("file[")]
            with open(os.path.join(images, DESCRIPTORS), "w", encoding="utf-8") as file:
                json.dump(streams, file)
        talk = criu_rpc.Conversation(path, ())
        held.callback(talk.close)
        answer = talk.ask(criu_rpc.PRE_DUMP if before else criu_rpc.DUMP, fields, lambda *_: None)
    _check(answer, options, images, "dump.log")


def _common(options: Options, spec: Mapping[str, Any], images: str, log: str, held: ExitStack) -> list[Field]:
    work = os.path.abspath(options.text("work-path") or images)
    os.makedirs(work, 0o700, exist_ok=True)
    folders = []
    for name in (images, work):
        folders.append(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        held.callback(os.close, folders[-1])
    fields: list[Field] = [
        (IMAGES_FD, folders[0]), (WORK_FD, folders[1]), (LOG_LEVEL, 4), (LOG_FILE, log), (NOTIFY_SCRIPTS, 1),
        (_EVASIVE_DEVICES, 1), (MANAGE_CGROUPS, 1), (CGROUPS_MODE, _mode(options)), (ORPHAN_TERMINAL, 1),
    ]  # fmt: skip
    fields += [(number, 1) for name, number in _SWITCHES.items() if options.on(name)]
    if "network" in options.all("empty-ns"):
        fields.append((EMPTY_NS, p.CLONE_NEWNET))
    config = (spec.get("annotations") or {}).get(_CONFIG[0]) or _CONFIG[1]
    return [*fields, (CONFIG_FILE, str(config))] if os.path.exists(config) else fields


def _mode(options: Options) -> int:
    """Raises: InvalidArgument."""
    word = options.text("manage-cgroups-mode") or "soft"
    if word not in _MODES:
        raise InvalidArgument(f"Invalid manage-cgroups-mode value: {word}")
    return _MODES[word]


def _freezer(found: Record) -> list[Field]:
    paths = found.group().paths()
    path = paths.get("freezer") or paths.get("")
    return [(FREEZER, path)] if path else []


def _memory(options: Options, images: str, *, before: bool) -> list[Field]:
    """What is dumped in steps, or to another host. Raises: InvalidArgument, NotFound."""
    fields: list[Field] = []
    parent = options.text("parent-path")
    if parent:
        if os.path.isabs(parent):
            raise InvalidArgument("--parent-path must be relative to --image-path")
        if not os.path.isdir(os.path.join(images, parent)):
            raise NotFound(f"the earlier checkpoint {os.path.join(images, parent)} does not exist")
        fields.append((PARENT, parent))
    if parent or before:
        fields.append((TRACK_MEMORY, 1))
    if options.text("page-server"):
        host, _, port = options.text("page-server").rpartition(":")
        if not host or not port.isdigit():
            raise InvalidArgument("Use --page-server ADDRESS:PORT to specify page server")
        fields.append((PAGE_SERVER, criu_rpc.encode([(1, host.strip("[]")), (2, int(port))])))
    if options.text("status-fd"):
        fields.append((STATUS_FD, options.number("status-fd")))
    return fields


def _outer_namespaces(found: Record) -> list[Field]:
    """The namespaces that the container joined by path stay outside of the dump."""
    fields: list[Field] = []
    for kind, _ in _joined(found.spec):
        name, key = _OUTSIDE[kind]
        fields.append((EXTERNAL, f"{name}[{os.stat(f'/proc/{found.pid}/ns/{name}').st_ino}]:{key}"))
    return fields


def _joined(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    entries = (spec.get("linux") or {}).get("namespaces") or ()
    return [(n["type"], n["path"]) for n in entries if n.get("type") in _OUTSIDE and n.get("path")]


class Restoring:
    """A container that comes back: ``run`` makes CRIU do it; then ``pid`` and ``console`` (a terminal's master, or -1)."""

    def __init__(self, found: Record, options: Options, images: str) -> None:
        """Raises: NotFound (no images)."""
        if not os.path.isdir(images):
            raise NotFound(f"the checkpoint {images} does not exist")
        self.found = found
        self.options = options
        self.images = images
        self.pid = 0
        self.console = -1

    def run(self, program: str, group: cgroups.Cgroup, hooks: criu_rpc.Notify) -> None:
        """``group`` exists and holds nothing. Raises: Unsupported, InvalidArgument, OSError, Internal with CRIU's words."""
        path = require(program)

        def notify(name: str, pid: int, fd: int) -> None:
            if name == "orphan-pts-master":
                self.console = fd
            hooks(name, pid, fd)

        _let_in(self.images, self.found.spec)
        with ExitStack() as held:
            stage = self._stage(held)
            streams = self._streams(held)
            fields = [*_common(self.options, self.found.spec, self.images, "restore.log", held), *self._labels()]
            fields += [(ROOT, stage), (SIBLING, 1)]
            fields += [(INHERIT_FD, criu_rpc.encode([(1, key), (2, fd)])) for key, fd in streams.items()]
            where = criu_mounts.sources(self.found.spec, group)
            fields += [(EXTERNAL, f"mnt[{place}]:{source}") for place, source in where.items()]
            talk = criu_rpc.Conversation(path, tuple(streams.values()))
            held.callback(talk.close)
            fields += _move_in(talk.pid, group)
            answer = talk.ask(criu_rpc.RESTORE, fields, notify)
            _check(answer, self.options, self.images, "restore.log")
        self.pid = answer.pid

    def _stage(self, held: ExitStack) -> str:
        """CRIU wants a mount point as root."""
        stage = os.path.abspath(os.path.join(self.found.folder, "stage"))
        os.mkdir(stage, 0o700)
        held.callback(os.rmdir, stage)
        m.mount(str(self.found.spec["root"]["path"]), stage, "", m.MS_BIND | m.MS_REC)
        held.callback(m.umount2, stage, m.MNT_DETACH)
        root_fd = os.open(stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            criu_mounts.make_places(root_fd, self.found.spec)
        finally:
            os.close(root_fd)
        return stage

    def _streams(self, held: ExitStack) -> dict[str, int]:
        """What CRIU finds open in place of what was: our own streams, and the namespaces of the config."""
        found: dict[str, int] = {}
        try:
            with open(os.path.join(self.images, DESCRIPTORS), encoding="utf-8") as file:
                were = json.load(file)
        except FileNotFoundError:
            were = []
        for number, text in enumerate(were):
            if str(text).startswith(("pipe:", "file[")):
                found.setdefault(str(text), os.dup(number))
        for kind, path in _joined(self.found.spec):
            found[_OUTSIDE[kind][1]] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        for fd in found.values():
            held.callback(os.close, fd)
        return found

    def _labels(self) -> list[Field]:
        pairs = ((LSM_PROFILE, "lsm-profile"), (LSM_MOUNT_CONTEXT, "lsm-mount-context"))
        return [(number, self.options.text(name)) for number, name in pairs if self.options.text(name)]


def _let_in(images: str, spec: Mapping[str, Any]) -> None:
    """In a user namespace the restored init reads images with and without being its root: that one's group may read too."""
    for entry in (spec.get("linux") or {}).get("gidMappings") or ():
        if entry["containerID"] == 0:
            for folder in (images, os.path.join(images, "parent")):  # CRIU's link to the earlier ones
                if os.path.isdir(folder):
                    os.chown(folder, -1, entry["hostID"])
                    os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | 0o050)


def _move_in(pid: int, group: cgroups.Cgroup) -> list[Field]:
    """CRIU goes into the container's group, its children with it; the groups of the images become that one.

    The group may be another than at the dump: a container is restored under another name.
    """
    for folder in set(group.paths().values()):
        with open(f"{folder}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(pid))
    group.adopt(pid)
    roots: list[Field] = []
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers:
                roots.append((GROUP_ROOT, criu_rpc.encode([(1, controllers), (2, path)])))
            elif group.version == 2:
                roots.append((GROUP_ROOT, criu_rpc.encode([(2, path)])))
    return roots


def _check(answer: criu_rpc.Answer, options: Options, images: str, log: str) -> None:
    """Raises: Internal."""
    if not answer.success:
        path = os.path.join(options.text("work-path") or images, log)
        raise Internal(
            f"criu failed: {_last_errors(path) or answer.message or 'it names no error'}\nlog file: {path}", op="criu"
        )


def _last_errors(path: str) -> str:
    """The last two errors of the log before it says that all failed: the cause, and most often what failed therefore."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file if " Error (" in line]
    except OSError:
        return ""
    end = next((at for at, line in enumerate(lines) if line.endswith("FAILED.")), len(lines))
    return "; ".join(line.partition(" Error ")[2] for line in lines[:end][-2:])
