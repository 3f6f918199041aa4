"""The README's first command as a newcomer types it: minimal Debian 12, its own python3, nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(900)]

HOME = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache"))

INSIDE = """
mount --bind {root} {root} && cd {root}
mount -t proc proc proc; mount --rbind /sys sys; mount --rbind /dev dev; mount -t tmpfs tmpfs run
cp /etc/resolv.conf etc/resolv.conf
pivot_root . mnt && umount -l /mnt && cd /srv/berth
exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb sh -c "$1"
"""


@pytest.fixture(scope="module")
def debian() -> Iterator[Path]:
    """A root filesystem made by debootstrap, with a clone of this checkout in /srv/berth."""
    if shutil.which("debootstrap") is None:
        subprocess.run(["apt-get", "install", "-q", "-y", "debootstrap"], check=True, capture_output=True)
    root = CACHE / "debian"
    if not (root / ".complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        command = ["debootstrap", "--variant=minbase", "--include=python3", "bookworm", str(root)]
        subprocess.run(command, check=True, capture_output=True)
        (root / ".complete").touch()
    shutil.rmtree(root / "srv" / "berth", ignore_errors=True)
    subprocess.run(["git", "clone", "-q", str(HOME), str(root / "srv" / "berth")], check=True)
    yield root
    _end(root)


def inside(root: Path, script: str, *, network: bool) -> subprocess.CompletedProcess[str]:
    """Run a script on that filesystem. Without ``network`` it has a loopback of its own and nothing else."""
    flags = [] if network else ["-n"]
    return subprocess.run(
        ["unshare", "-m", "--propagation", "private", *flags, "sh", "-ec", INSIDE.format(root=root), "sh", script],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def _end(root: Path) -> None:
    """The daemon that a script left running, and its cgroups."""
    instance = root / "var" / "lib" / "berth" / "instance"
    ident = instance.read_text().strip() if instance.exists() else "none"
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            is_inside = os.path.samefile(f"/proc/{name}/root", root)
        except OSError:
            continue
        if is_inside:
            os.kill(int(name), signal.SIGKILL)
    time.sleep(0.5)
    for top in Path("/sys/fs/cgroup").glob(f"*/berth-{ident}"):
        subprocess.run(["find", str(top), "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], capture_output=True)


def test_two_first_runs_at_once_and_then_hello_world(debian: Path) -> None:
    help_twice = inside(debian, "./berth --help & ./berth --help; wait", network=True)
    assert help_twice.stdout.count("run") >= 2, help_twice.stderr
    assert "first use: preparing /srv/berth/.venv" in help_twice.stderr
    assert help_twice.stderr.count("ready") == 1
    script = (
        "./berth run --rm hello-world; echo status $?; ./berth run --rm hello-world > /dev/null; "
        "kill $(cat /run/berth/berthd.pid)"
    )
    done = inside(debian, script, network=False)
    assert "Hello from " in done.stdout and "status 0" in done.stdout, done.stderr
    assert done.stderr.count("starting berthd") == 1
    assert "first use" not in done.stderr
