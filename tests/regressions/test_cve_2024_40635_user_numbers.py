"""CVE-2024-40635, CVE-2026-46680 (containerd), CVE-2016-3697 (runc), CVE-2026-30892 (crun): USER became root.

A number beyond 32 bits wrapped around to 0; a number was looked up as a name in the image's passwd, where the attacker had called
root "1000"; ``exec -u 1`` ran as 0. The table holds for run and exec: a number is that number, what is no number is a name,
what is out of range is refused.

Fails when: ``_number`` in ``oci/users.py`` has no limit, or ``_user`` compares names with numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import attack, cli
from harness.daemon import Daemon
from harness.images import Entry

pytestmark = pytest.mark.root
PASSWD = b"""root:x:0:0:root:/root:/bin/sh
1000:x:0:0:a name of digits:/root:/bin/sh
01:x:0:0::/:/bin/sh
0x0:x:7:7::/:/bin/sh
wrapped:x:4294967296:4294967296::/:/bin/sh
negative:x:-1:-1::/:/bin/sh
empty:x:::::/bin/sh
hex:x:0x0:0x0::/:/bin/sh
user:x:1001:1001::/home:/bin/sh
:x:0:0::/:/bin/sh
"""
GROUP = b"root:x:0:\n50:x:0:\nbig:x:4294967296:user\nminus:x:-1:user\nnone:x::user\nstaff:x:51:user\n"

AS = {  # USER → "uid gid"
    "1000": "1000 0", "01": "1 0", "0001": "1 0", "1": "1 0", "0": "0 0", "00": "0 0", "0x0": "7 7", "user": "1001 1001",
    "user:50": "1001 50", "user:staff": "1001 51", "2147483647": "2147483647 0", "2147483647:2147483647": "2147483647 2147483647",
    "1:1": "1 1", "1:01": "1 1",
}  # fmt: skip
OUT_OF_RANGE = ["2147483648", "4294967295", "4294967296", "4294967297", "18446744073709551616", "9" * 400,
                "1:2147483648", "1:4294967296", "user:4294967296"]  # fmt: skip
UNKNOWN = ["wrapped", "negative", "empty", "hex", "-1", "+0", " 0", "0 ", "1e3", "0b1", "\u0660", "1:big", "1:minus", "1:none",
           "1:0x0", "1:-1", "nobody:0:0"]  # fmt: skip


@pytest.fixture(scope="module")
def box(shared_daemon: Daemon) -> Iterator[tuple[Daemon, str]]:
    """A container of the hostile image that runs, and the image."""
    with attack.image(shared_daemon, [Entry("etc/passwd", PASSWD), Entry("etc/group", GROUP)]) as tag:
        shared_daemon.docker("run", "-d", "--name", "users", tag, "sleep", "1000")
        yield shared_daemon, tag


def refused(result: cli.Result, why: str) -> None:
    """The stock CLI tells a failed exec on standard output."""
    assert result.code != 0 and why in result.out + result.err and "uid=" not in result.out, result


@pytest.mark.parametrize("user", AS)
def test_who_it_is(box: tuple[Daemon, str], user: str) -> None:
    engine, tag = box
    script = "echo $(id -u) $(id -g)"
    assert engine.docker("run", "--rm", "-u", user, tag, "sh", "-c", script).out.strip() == AS[user]
    assert engine.docker("exec", "-u", user, "users", "sh", "-c", script).out.strip() == AS[user]


@pytest.mark.parametrize("user", OUT_OF_RANGE)
def test_out_of_range(box: tuple[Daemon, str], user: str) -> None:
    engine, tag = box
    for result in (
        engine.docker("run", "--rm", "-u", user, tag, "id", check=False),
        engine.docker("exec", "-u", user, "users", "id", check=False),
    ):
        refused(result, "uids and gids must be in range")


@pytest.mark.parametrize("user", UNKNOWN)
def test_no_such_name(box: tuple[Daemon, str], user: str) -> None:
    engine, tag = box
    for result in (
        engine.docker("run", "--rm", "-u", user, tag, "id", check=False),
        engine.docker("exec", "-u", user, "users", "id", check=False),
    ):
        refused(result, "unable to find")


def test_an_images_own_user(shared_daemon: Daemon) -> None:
    with attack.image(shared_daemon, [Entry("etc/passwd", PASSWD)], User="4294967296") as tag:
        result = shared_daemon.docker("run", "--rm", tag, "id", check=False)
        refused(result, "uids and gids must be in range")
