"""Limits of the size of containers and volumes, on filesystems that have project quotas. In the virtual machine."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from berth.kernel import project_quota
from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = [pytest.mark.vm, pytest.mark.root]

_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota"],
    "xfs": ["mkfs.xfs", "-q"],
}


@pytest.fixture(params=["ext4", "xfs"], scope="module")
def limited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """An engine whose data are on a filesystem that is mounted with prjquota."""
    folder = tmp_path_factory.mktemp(request.param)
    image, place = folder / "image", Path(tempfile.mkdtemp(prefix="btq", dir="/tmp"))  # sockets want short paths
    with image.open("wb") as file:
        file.truncate(600 << 20)
    subprocess.run([*_MAKE[request.param], str(image)], check=True)
    subprocess.run(["mount", "-o", "loop,prjquota", str(image), str(place)], check=True)
    try:
        with Daemon(root=_folder(place / "a")) as daemon:
            daemon.load_busybox()
            yield daemon
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def _folder(path: Path) -> str:
    path.mkdir()
    return str(path)


_FILL = "dd if=/dev/zero of={}/f bs=1M count=40 2>&1; wc -c < {}/f"


def test_a_containers_files_have_a_limit(limited: Daemon) -> None:
    command = ["busybox", "sh", "-c", _FILL.replace("{}", "/home") + "; df -k / | tail -1 | awk '{print $2}'"]
    bounded = limited.docker("run", "--rm", "--storage-opt", "size=16m", *command, timeout_s=300).out
    assert "No space left on device" in bounded or "Disk quota exceeded" in bounded
    written, shown = bounded.split()[-2:]
    assert 14 << 20 < int(written) <= 16 << 20 and int(shown) <= 16 << 10
    free = limited.docker("run", "--rm", *command, timeout_s=300).out
    assert int(free.split()[-2]) == 40 << 20


def test_two_containers_have_their_own(limited: Daemon) -> None:
    for name in ("one", "two"):
        limited.docker(
            "run", "-d", "--name", name, "--storage-opt", "size=16m", "busybox", "sleep", "1000", timeout_s=300
        )
    script = "dd if=/dev/zero of=/f bs=1M count=10 2>/dev/null; wc -c < /f"
    assert [limited.docker("exec", n, "sh", "-c", script, timeout_s=300).out for n in ("one", "two")] == [
        "10485760\n"
    ] * 2
    limited.docker("rm", "-f", "one", "two", timeout_s=300)


def test_a_volume_has_a_limit(limited: Daemon) -> None:
    limited.docker("volume", "create", "--opt", "size=16m", "small", timeout_s=300)
    out = limited.docker(
        "run", "--rm", "-v", "small:/v", "busybox", "sh", "-c", _FILL.replace("{}", "/v"), timeout_s=300
    ).out
    assert 14 << 20 < int(out.split()[-1]) <= 16 << 20
    limited.docker("volume", "rm", "small", timeout_s=300)


def test_the_limit_of_what_is_gone_is_gone(limited: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Path(limited.data_root) / "probe"
    place.mkdir()
    project_quota.limit(str(place), 1 << 20)
    taken = project_quota._next
    monkeypatch.setattr(project_quota, "_next", taken - 1)
    assert project_quota._unused(str(place)) == taken + 1
    project_quota.release(str(place))
    place.rmdir()

    def free() -> bool:  # XFS counts inodes that are gone a while longer
        monkeypatch.setattr(project_quota, "_next", taken - 1)
        return project_quota._unused(limited.data_root) == taken

    eventually(free)


def test_a_size_for_all(limited: Daemon) -> None:
    with Daemon("--storage-opt", "overlay2.size=16m", root=_folder(Path(f"{limited.root}b"))) as daemon:
        daemon.load_busybox()
        command = ["busybox", "sh", "-c", _FILL.replace("{}", "/home")]
        out = daemon.docker("run", "--rm", *command, timeout_s=300).out
        assert 14 << 20 < int(out.split()[-1]) <= 16 << 20
        larger = daemon.docker("run", "--rm", "--storage-opt", "size=64m", *command, timeout_s=300).out
        assert int(larger.split()[-1]) == 40 << 20
