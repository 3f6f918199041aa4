"""What the regression tests attack with: images made to hurt, bundles for ``berth-runtime``, a swapper that races."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from harness import cli
from harness.daemon import Daemon
from harness.eventually import PATIENCE
from harness.images import Entry, busybox_layer, docker_archive, layer_tar

_numbers = itertools.count()
_SOURCE = str(Path(__file__).parents[2] / "src")
RUNTIME = (
    sys.executable, "-I", "-S", "-c",
    f"import sys; sys.path.insert(0, {_SOURCE!r}); from berth.oci.program import main; sys.exit(main())",
)  # fmt: skip
"""``berth-runtime`` without the time that Python takes to look for packages."""
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@contextmanager
def image(engine: Daemon, entries: Iterable[Entry] = (), **config: Any) -> Iterator[str]:
    """busybox with ``entries`` on top; its tag. Containers of it must be gone at the end."""
    tag = f"attack{os.getpid()}x{next(_numbers)}:latest"
    path = f"{engine.root}/attack.tar"
    docker_archive(path, [tag], [busybox_layer(), layer_tar(entries)], {"Cmd": ["sh"], "Env": [PATH], **config})
    engine.docker("load", "-q", "-i", path)
    os.unlink(path)
    try:
        yield tag
    finally:
        engine.remove_all()
        engine.docker("rmi", "-f", tag)


class Bundle:
    """A bundle with busybox and its container, driven by ``berth-runtime`` with a root of its own."""

    def __init__(self, **process: Any) -> None:
        self.home = tempfile.mkdtemp(prefix="btb", dir="/tmp")
        self.rootfs = f"{self.home}/rootfs"
        self.name = f"bt{os.getpid()}x{next(_numbers)}"
        self.group = f"berth-{self.name}"  # at the top: no runtime removes the parents of a group, and nothing may stay
        os.mkdir(self.rootfs)
        with tarfile.open(fileobj=BytesIO(busybox_layer())) as tar:
            tar.extraction_filter = lambda member, _: member  # ours: trusted; Python 3.11.2 has no argument for it
            tar.extractall(self.rootfs)
        self.runtime("spec", cwd=self.home, root=False)
        self.config: dict[str, Any] = json.loads(Path(f"{self.home}/config.json").read_text())
        self.config["process"].update({"terminal": False, "args": ["sleep", "1000"], **process})
        self.config["root"]["readonly"] = False
        self.config["linux"]["cgroupsPath"] = f"/{self.group}"

    def runtime(self, *words: str, check: bool = True, cwd: str | None = None, root: bool = True) -> cli.Result:
        command = [
            *RUNTIME,
            *(["--root", f"{self.home}/state"] if root else []),
            *words,
        ]
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * PATIENCE
        )
        result = cli.Result(done.returncode, done.stdout, done.stderr, command)
        assert not check or result.code == 0, result
        return result

    def create(self, *, check: bool = True, pass_fds: Iterable[int] = ()) -> cli.Result:
        """Its init waits then; what the runtime says is in files, since the waiting init keeps the streams."""
        Path(f"{self.home}/config.json").write_text(json.dumps(self.config))
        command = [
            *RUNTIME,
            "--root",
            f"{self.home}/state",
            "create",
            "-b",
            self.home,
            self.name,
        ]
        with open(f"{self.home}/out", "wb") as out, open(f"{self.home}/err", "wb") as err:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=60 * PATIENCE,
                pass_fds=tuple(pass_fds),
            ).returncode
        result = cli.Result(code, Path(f"{self.home}/out").read_text(), Path(f"{self.home}/err").read_text(), command)
        assert not check or code == 0, result
        return result

    def start(self) -> None:
        self.create()
        self.runtime("start", self.name)

    def run(self, *, check: bool = True) -> cli.Result:
        Path(f"{self.home}/config.json").write_text(json.dumps(self.config))
        return self.runtime("run", "-b", self.home, self.name, check=check)

    def popen(self, script: str) -> subprocess.Popen[bytes]:
        """A script in the container that goes on meanwhile; its output is read from the pipe."""
        command = [*RUNTIME, "--root", f"{self.home}/state", "exec", self.name, "sh", "-c", script]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def sh(self, script: str) -> cli.Result:
        """A script in the container."""
        return self.runtime("exec", self.name, "sh", "-c", script, check=False)

    @property
    def pid(self) -> int:
        return int(json.loads(self.runtime("state", self.name).out)["pid"])

    def join(self, other: Bundle, kind: str) -> None:
        """Share a namespace with another container."""
        spaces = self.config["linux"]["namespaces"]
        spaces[:] = [s for s in spaces if s["type"] != kind]
        spaces.append({"type": kind, "path": f"/proc/{other.pid}/ns/{kind}"})

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.runtime("delete", "--force", self.name, check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def told(result: cli.Result) -> str:
    """What the runtime said, without the quoting of its log line."""
    return result.err.replace('\\"', '"')


_RENAME_EXCHANGE = 2


@contextmanager
def swapping(one: str, other: str) -> Iterator[Callable[[], int]]:
    """Two paths change places without end, as a container with a shared volume would do it; how often they did."""
    libc = ctypes.CDLL(None, use_errno=True)
    ended, count = threading.Event(), 0

    def swap() -> None:
        nonlocal count
        while not ended.is_set():
            libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), _RENAME_EXCHANGE)
            count += 1

    racer = threading.Thread(target=swap, daemon=True)
    racer.start()
    try:
        yield lambda: count
    finally:
        ended.set()
        racer.join()


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder that containers and an attacker share."""
    path = tempfile.mkdtemp(prefix="btshare", dir="/tmp")
    os.chmod(path, 0o755)
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def canary() -> Iterator[str]:
    """A folder of the host's that nothing may touch: checked at the end, whatever the test says."""
    path = tempfile.mkdtemp(prefix="btcanary", dir="/tmp")
    os.chmod(path, 0o755)
    Path(path, "kept").write_text("as it was")
    before = _picture(path)
    try:
        yield path
        assert _picture(path) == before, f"the host's folder was touched: {_picture(path)}"
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _picture(top: str) -> Mapping[str, tuple[int, ...]]:
    found = {}
    for folder, folders, files in os.walk(top):
        for name in [".", *folders, *files]:
            info = os.lstat(os.path.join(folder, name))
            found[os.path.join(folder, name)] = (
                info.st_mode,
                info.st_uid,
                info.st_gid,
                info.st_size,
                info.st_dev,
                info.st_ino,
            )
    return found
