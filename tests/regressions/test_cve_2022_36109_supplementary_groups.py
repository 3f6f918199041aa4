"""CVE-2022-36109 (Moby), CVE-2022-2990, CVE-2022-2995, CVE-2023-25173: supplementary groups were not what they should be.

A file that its group may not read (mode 0604) stays closed to a member; a process whose primary group was not among its
supplementary ones could leave it and read. And groups that a user has in /etc/group must all be there, with those of --group-add,
and none of the daemon's.

Fails when: ``resolve`` in ``oci/users.py`` does not put the primary group first, or leaves out the groups that name the user.
"""

from __future__ import annotations

import pytest

from harness import attack
from harness.daemon import Daemon
from harness.images import Entry

pytestmark = pytest.mark.root
TABLE = [  # USER, --group-add, groups
    ("", [], {0}),
    ("0", [], {0}),
    ("user", [], {1000, 50, 2000}),
    ("1000", [], {1000, 50, 2000}),
    ("user:staff", [], {50}),
    ("user:77", [], {77}),
    ("1000:1000", [], {1000}),
    ("4711", [], {0}),
    ("4711:4712", [], {4712}),
    ("user", ["daemon", "88"], {1000, 50, 2000, 1, 88}),
    ("4711:4712", ["staff"], {4712, 50}),
]


@pytest.mark.parametrize(("user", "added", "groups"), TABLE)
def test_run_and_exec(engine: Daemon, user: str, added: list[str], groups: set[int]) -> None:
    flags = [*(["-u", user] if user else []), *(word for name in added for word in ("--group-add", name))]
    engine.docker("run", "-d", "--name", "box", *flags, "busybox", "sleep", "1000")
    for status in (
        engine.docker("exec", "box", "cat", "/proc/1/status"),
        engine.docker("exec", *(["-u", user] if user else []), "box", "cat", "/proc/self/status"),
    ):
        line = next(line for line in status.lines if line.startswith("Groups:"))
        assert {int(g) for g in line.split()[1:]} == groups


@pytest.mark.parametrize("user", ["user", "1000", "1000:1000"])
def test_a_group_that_may_not_read(engine: Daemon, user: str) -> None:
    entries = [Entry("closed", b"secret", 0o604, gid=1000), Entry("open", b"open", 0o640, gid=1000)]
    with attack.image(engine, entries) as tag:
        result = engine.docker("run", "--rm", "-u", user, tag, "cat", "/open", "/closed", check=False)
        assert result.out == "open" and "ermission denied" in result.err, result
