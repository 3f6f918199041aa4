"""``--security-opt apparmor=``: the profile that a container gets where the kernel has AppArmor.

These run in the virtual machine of ``./dev test-vm``, whose Debian has apparmor_parser to load profiles with.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.daemon import Daemon

pytestmark = [pytest.mark.vm, pytest.mark.root]
PROFILE = """
profile {name} flags=(attach_disconnected,mediate_deleted) {{
  file,
  capability,
  network,
  signal,
  deny /etc/passwd r,
}}
"""


@pytest.fixture(params=["berth-test", "docker-default"])
def profile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    name = str(request.param)
    source = tmp_path / "profile"
    source.write_text(PROFILE.format(name=name))
    if not Path("/sys/kernel/security/apparmor").is_dir():
        subprocess.run(["mount", "-t", "securityfs", "none", "/sys/kernel/security"], check=True)
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache", str(source)], check=True)
    yield name
    subprocess.run(["apparmor_parser", "--remove", str(source)], check=True)


def label(engine: Daemon, *flags: str) -> str:
    return engine.docker("run", "--rm", *flags, "busybox", "cat", "/proc/self/attr/current").out.strip()


def test_profiles(make_daemon: Callable[..., Daemon], profile: str) -> None:
    engine = make_daemon()
    assert "name=apparmor" in engine.docker("info", "-f", "{{.SecurityOptions}}").out
    assert "no profile docker-default loaded" not in engine.log()
    named = ("--security-opt", f"apparmor={profile}")
    assert label(engine, *named) == f"{profile} (enforce)"
    denied = engine.docker("run", "--rm", *named, "busybox", "cat", "/etc/passwd", check=False)
    assert "ermission denied" in denied.err
    engine.docker("run", "-d", "--name", "box", *named, "busybox", "sleep", "1000")
    assert engine.docker("exec", "box", "cat", "/proc/self/attr/current").out.strip() == f"{profile} (enforce)"
    assert label(engine) == "docker-default (enforce)"
    assert label(engine, "--privileged") == label(engine, "--security-opt", "apparmor=unconfined") == "unconfined"


def test_the_default_profile_is_loaded_with_the_daemon(make_daemon: Callable[..., Daemon]) -> None:
    """What Docker's denies is denied, the rest works; a running container can be stopped and looked at."""
    engine = make_daemon()
    assert label(engine) == "docker-default (enforce)"
    denied = engine.docker(
        "run", "--rm", "--cap-add=SYS_ADMIN", "busybox", "mount", "-t", "tmpfs", "none", "/tmp", check=False
    )
    assert denied.code != 0 and "ermission denied" in denied.err
    assert engine.docker("run", "--rm", "busybox", "sh", "-c", "echo x > /new && kill -0 1 && ps").code == 0
    engine.docker("run", "-d", "--name", "box", "--init", "busybox", "sleep", "1000")
    engine.docker("stop", "box")
    assert engine.inspect("box")["State"]["ExitCode"] == 143


def test_a_profile_that_is_not_loaded(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon()
    refused = engine.docker("run", "--rm", "--security-opt", "apparmor=nosuch", "busybox", "true", check=False)
    assert refused.code != 0 and "apply the label 'exec nosuch'" in refused.err
