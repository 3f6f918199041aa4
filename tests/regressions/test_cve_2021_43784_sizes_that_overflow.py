"""CVE-2021-43784: a list of bind mounts longer than 64 KiB overflowed a length field and smuggled options in.

What goes to an init here is one frame with a length of 32 bits; these sizes are beyond every 16-bit field that may come between.

Fails when: ``oci/channel.py`` packs its lengths as ``>H``.
"""

from __future__ import annotations

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root
LONG = "x" * 200


def test_many_mounts_with_long_paths(engine: Daemon) -> None:
    """600 binds, some 250 KiB of paths."""
    binds = [f"/etc/hostname:/{LONG}/{LONG}/{number:04}:ro" for number in range(600)]
    body = {"Image": "busybox", "Cmd": ["sh", "-c", f"ls /{LONG}/{LONG} | wc -l; mount | grep -c {LONG}"],
            "HostConfig": {"Binds": binds}}  # fmt: skip
    made = engine.api("POST", "/containers/create", body)
    assert made.status == 201, made
    assert engine.docker("start", "-a", made.body["Id"]).lines == ["600", "600"]


def test_an_environment_and_arguments_beyond_64_kib(engine: Daemon) -> None:
    value = "v" * 100_000
    script = "echo ${#LONG} ${#1}"
    flags = ["-e", f"LONG={value}"]
    assert engine.docker("run", "--rm", *flags, "busybox", "sh", "-c", script, "-", value).out == "100000 100000\n"
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    assert engine.docker("exec", *flags, "box", "sh", "-c", script, "-", value).out == "100000 100000\n"


@pytest.mark.parametrize("depth", [19, 30])
def test_a_path_around_and_beyond_path_max(engine: Daemon, depth: int) -> None:
    """4,096 bytes is what the kernel takes: less works, more is an error that says so."""
    place = "".join(f"/{LONG}" for _ in range(depth))
    result = engine.docker("run", "--rm", "-v", f"/etc/hostname:{place}/f", "busybox", "true", check=False)
    if depth == 19:
        assert result.code == 0, result
    else:
        assert result.code != 0 and "too long" in result.err.lower(), result
