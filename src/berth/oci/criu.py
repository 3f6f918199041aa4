"""Checkpoint and restore with the host's CRIU (criu(8)), where it is installed.

CRIU sees the container's root as it is mounted in its namespace; binds from outside are named as external mounts, both ways.
"""

from __future__ import annotations

import os
import shutil

from berth.base import spawn
from berth.base.errors import Internal, NotFound, Unsupported
from berth.oci import mounts
from berth.oci.flags import Options
from berth.oci.record import Record

_PATIENCE_S = 600.0
_SWITCHES = ("tcp-established", "ext-unix-sk", "shell-job", "file-locks")


def require(program: str) -> str:
    """The path of CRIU. Raises: Unsupported in words that say what to do."""
    path = shutil.which(program)
    if path is None:
        raise Unsupported(
            f'checkpoint and restore need CRIU, and "{program}" is not installed: install the package criu'
        )
    return path


def dump(program: str, found: Record, options: Options, images: str) -> None:
    """Raises: Unsupported (no CRIU), Internal with the end of its log."""
    path = require(program)
    os.makedirs(images, 0o700, exist_ok=True)
    words = [path, "pre-dump" if options.on("pre-dump") else "dump", "--tree", str(found.pid), *_common(options, images),
             "--root", "/", "--manage-cgroups=ignore", *_externals(found, "mnt[{place}]:{place}")]  # fmt: skip
    if options.on("leave-running"):
        words.append("--leave-running")
    if options.text("parent-path"):
        words += ["--prev-images-dir", options.text("parent-path"), "--track-mem"]
    _run(words, options, images, "dump.log")


def restore(program: str, found: Record, options: Options, images: str) -> int:
    """The pid of the restored init. Raises: Unsupported, NotFound (no images), Internal."""
    path = require(program)
    if not os.path.isdir(images):
        raise NotFound(f"the checkpoint {images} does not exist")
    pid_file = os.path.join(found.folder, "restored.pid")
    stage = os.path.join(found.folder, "stage")
    os.mkdir(stage, 0o700)
    from berth.kernel import mount as m

    m.mount(str(found.spec["root"]["path"]), stage, "", m.MS_BIND | m.MS_REC)  # CRIU wants a mount point as root
    try:
        words = [path, "restore", *_common(options, images), "--root", stage, "--manage-cgroups=ignore", "--restore-detached",
                 "--restore-sibling", "--pidfile", pid_file, *_externals(found, "mnt[{place}]:{source}")]  # fmt: skip
        _run(words, options, images, "restore.log")
        with open(pid_file, encoding="ascii") as file:
            return int(file.read())
    finally:
        m.umount2(stage, m.MNT_DETACH)
        for name in (pid_file,):
            if os.path.exists(name):
                os.unlink(name)


def _common(options: Options, images: str) -> list[str]:
    work = options.text("work-path") or images
    os.makedirs(work, 0o700, exist_ok=True)
    return ["--images-dir", images, "--work-dir", work, "-v4", *(f"--{s}" for s in _SWITCHES if options.on(s))]


def _externals(found: Record, form: str) -> list[str]:
    words = []
    for entry in mounts.entries_of(found.spec):
        if entry.bind:
            words += ["--external", form.format(place=entry.place, source=entry.source)]
    return words


def _run(words: list[str], options: Options, images: str, log: str) -> None:
    done = spawn.run([*words, "--log-file", log], timeout_s=_PATIENCE_S)
    if done.returncode:
        path = os.path.join(options.text("work-path") or images, log)
        raise Internal(f"criu failed: {_last_error(path)}\nlog file: {path}", op="criu")


def _last_error(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file if "Error" in line]
    except OSError:
        return "it left no log"
    return lines[-1] if lines else "it names no error"


def wait_for(pid: int) -> int:
    """Until a process that may not be our child has ended: its status when it is ours, else 0."""
    import select

    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll()
    os.close(pidfd)
    try:
        _, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
