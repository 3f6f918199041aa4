"""CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: something else stood at /proc.

An image declares ``/proc`` (or a link to it) a volume, or has a link where /proc belongs: masks and read-only paths went to
a tree of the attacker's, and the runtime wrote its security label into a file of his. The defence: nothing but a procfs is
mounted at /proc, nothing of the user's over procfs whatever way its path takes, and an image with a link at /proc is refused.

Fails when: ``_check_proc`` and ``_check_target`` in ``oci/rootfs.py`` return at once (volumes),
``_system_place`` follows links (the image's link).
"""

from __future__ import annotations

import pytest

from harness import attack
from harness.daemon import Daemon
from harness.images import Entry

pytestmark = pytest.mark.root
INSIDE = "cannot be mounted because it is inside /proc"


@pytest.mark.parametrize(
    "place", ["/proc", "/proc/sys", "/proc/self/attr", "/proc/acpi", "/proc/../proc/sysrq-trigger"]
)
def test_a_volume_of_the_image(engine: Daemon, place: str) -> None:
    with attack.image(engine, Volumes={place: {}}) as tag:
        result = engine.docker("run", "--rm", tag, "true", check=False)
        assert result.code == 125 and INSIDE in result.err, result


def test_a_volume_by_way_of_a_link(engine: Daemon) -> None:
    links = [Entry("way", kind="symlink", target="/proc"), Entry("around", kind="symlink", target="../way/sys")]
    with attack.image(engine, links, Volumes={"/way/sys/kernel": {}, "/around": {}}) as tag:
        result = engine.docker("run", "--rm", tag, "true", check=False)
        assert result.code == 125 and INSIDE in result.err, result


@pytest.mark.parametrize("place", ["/proc", "/proc/sys", "/proc/kcore"])
def test_a_bind_and_a_tmpfs(engine: Daemon, place: str) -> None:
    bind = engine.docker("run", "--rm", "-v", f"/etc/hostname:{place}", "busybox", "true", check=False)
    tmpfs = engine.docker("run", "--rm", "--tmpfs", place, "busybox", "true", check=False)
    assert bind.code == tmpfs.code == 125, (bind, tmpfs)


def test_a_procfs_of_the_hosts_may_stand_there(engine: Daemon) -> None:
    assert engine.docker("run", "--rm", "-v", "/proc:/proc", "busybox", "cat", "/proc/1/comm").code == 0
    assert engine.docker("run", "--rm", "-v", "/dev/null:/proc/uptime", "busybox", "cat", "/proc/uptime").out == ""


@pytest.mark.parametrize("target", ["/elsewhere", "elsewhere", "proc", "../../elsewhere"])
def test_an_image_with_a_link_at_proc(engine: Daemon, target: str) -> None:
    entries = [Entry("elsewhere/", kind="dir", mode=0o755), Entry("proc", kind="symlink", target=target)]
    with attack.image(engine, entries) as tag:
        result = engine.docker("run", "--rm", tag, "sh", "-c", "mount; ls /elsewhere", check=False)
        assert result.code == 125 and '"/proc"' in result.err, result
