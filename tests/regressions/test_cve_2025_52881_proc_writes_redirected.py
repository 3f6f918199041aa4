"""CVE-2025-52881: writes to procfs (sysctls, labels) went where a racing mount had put something else.

The runtime wrote through the container's own ``/proc``; a tmpfs with a link there sent ``sysrq-trigger`` a "c", or a label into
nothing. The defence: a procfs that is mounted for the writing and stands nowhere, and each file is checked to be on it.

Fails when: ``oci/sysctl.py`` writes to ``proc/sys/…`` of the container's root instead of ``proc_fd``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.attack import Bundle, canary
from harness.daemon import Daemon

pytestmark = pytest.mark.root
KEY, FILE = "net.ipv4.ip_default_ttl", "net/ipv4/ip_default_ttl"


def test_a_root_with_a_proc_of_its_own() -> None:
    """No procfs is asked for, and the image's /proc/sys leads to the host's."""
    with canary() as host, Bundle(args=["sh", "-c", "mkdir /p; cat /proc/sys/net/ipv4/ip_default_ttl"]) as bundle:
        Path(bundle.rootfs, "proc/sys").parent.mkdir(exist_ok=True)
        os.symlink(host, f"{bundle.rootfs}/proc/sys")
        mounts = bundle.config["mounts"]
        mounts[:] = [m for m in mounts if not m["destination"].startswith("/proc")]
        bundle.config["linux"]["readonlyPaths"] = bundle.config["linux"]["maskedPaths"] = []
        bundle.config["linux"]["sysctl"] = {KEY: "77"}
        bundle.run(check=False)
        assert Path(f"/proc/sys/{FILE}").read_text().strip() != "77"


def test_a_file_of_the_images_in_the_place_of_the_parameter() -> None:
    """Written through the container's root, before or after it is entered, the value would land in the image's own file."""
    with Bundle(args=["true"]) as bundle:
        fake = Path(bundle.rootfs, "proc/sys", FILE)
        fake.parent.mkdir(parents=True)
        fake.write_text("the image's")
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if not m["destination"].startswith("/proc")]
        bundle.config["linux"]["readonlyPaths"] = bundle.config["linux"]["maskedPaths"] = []
        bundle.config["linux"]["sysctl"] = {KEY: "77"}
        bundle.run()
        assert fake.read_text() == "the image's"


def test_what_is_written_arrives(engine: Daemon) -> None:
    seen = engine.docker("run", "--rm", "--sysctl", f"{KEY}=77", "busybox", "cat", f"/proc/sys/{FILE}")
    assert seen.out == "77\n"
    assert Path(f"/proc/sys/{FILE}").read_text().strip() != "77"


@pytest.mark.parametrize(
    "key", ["kernel.core_pattern", "kernel.panic", "vm.drop_caches", "net..ipv4", "net/../kernel/panic", ""]
)
def test_parameters_of_the_whole_host_are_refused(engine: Daemon, key: str) -> None:
    made = engine.api("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Sysctls": {key: "1"}}})
    if made.status == 201:
        started = engine.api("POST", f"/containers/{made.body['Id']}/start")
        assert started.status == 400 or started.status == 500, started
        assert "sysctl" in started.body["message"], started
