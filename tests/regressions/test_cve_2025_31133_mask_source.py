"""CVE-2025-31133: the container's own ``/dev/null`` was what masked files were hidden behind.

runc bind-mounted the ``/dev/null`` of the root filesystem over a masked path: replaced by a link, it made any file of procfs
writable, ``/proc/sys/kernel/core_pattern`` for one, and that is a way to run a program on the host. The defence: the source is
the host's null device, checked after it was opened.

Fails when: ``mask`` in ``oci/stage.py`` opens ``dev/null`` below ``root_fd``, or does not check what it opened.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.attack import Bundle, shared_folder, swapping
from harness.daemon import Daemon

pytestmark = pytest.mark.root
MASKED = next(p for p in ("/proc/kcore", "/proc/keys", "/proc/timer_list") if os.path.exists(p))


def test_a_dev_of_the_attackers(engine: Daemon) -> None:
    with shared_folder() as volume:
        (volume / "null").symlink_to("/proc/sys/kernel/core_pattern")
        os.mknod(volume / "real", 0o20666, os.makedev(1, 3))
        with swapping(f"{volume}/null", f"{volume}/real"):
            for _ in range(10):
                seen = engine.docker("run", "--rm", "-v", f"{volume}:/dev", "busybox", "stat", "-c", "%F %t:%T", MASKED)
                assert seen.out == "character special file 1:3\n", seen


def test_a_bundle_that_masks_what_it_has() -> None:
    """The root filesystem's own null is a link, and no /dev is mounted over it: what is masked is not its target."""
    with Bundle(
        args=["sh", "-c", "cat /secret; stat -c '%F %t:%T' /secret; cat /proc/sys/kernel/core_pattern"]
    ) as bundle:
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")]
        os.symlink("/proc/sys/kernel/core_pattern", f"{bundle.rootfs}/dev/null")
        Path(bundle.rootfs, "secret").write_text("secret")
        bundle.config["linux"]["maskedPaths"] = ["/secret"]
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
        assert bundle.run().lines == ["character special file 1:3", pattern]


def test_a_masked_path_that_is_a_link() -> None:
    """What stands at the path is hidden, also where a link leads on, inside the root."""
    with Bundle(args=["sh", "-c", "cat /link /real; echo done"]) as bundle:
        Path(bundle.rootfs, "real").write_text("secret")
        os.symlink("/../../real", f"{bundle.rootfs}/link")
        bundle.config["linux"]["maskedPaths"] = ["/link", "/not/there"]
        assert bundle.run().lines == ["done"]
