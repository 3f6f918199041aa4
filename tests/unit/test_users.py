"""USER forms against a container's own passwd and group (CVE-2016-3697, CVE-2024-40635, CVE-2026-46680, CVE-2022-36109)."""

import os
from pathlib import Path

import pytest

from berth.base.errors import InvalidArgument
from berth.oci.users import resolve

PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1::/usr/sbin:/bin/false
app:x:1000:1000::/home/app:/bin/sh
4294967296:x:0:0::/root:/bin/sh
1234:x:0:0::/root:/bin/sh
"""
GROUP = "root:x:0:\nwheel:x:10:root,app\napp:x:1000:\nextra:x:2000:app\n"


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("text", "uid", "gid", "groups", "home"),
    [
        ("", 0, 0, [0, 10], "/root"),
        ("root", 0, 0, [0, 10], "/root"),
        ("app", 1000, 1000, [1000, 10, 2000], "/home/app"),
        ("1000", 1000, 1000, [1000, 10, 2000], "/home/app"),
        ("app:wheel", 1000, 10, [10], "/home/app"),
        ("1000:2000", 1000, 2000, [2000], "/home/app"),
        ("4711", 4711, 0, [0], "/"),
        ("1234", 1234, 0, [0], "/"),  # a number is never looked up as a name
        ("007", 7, 0, [0], "/"),
    ],
)
def test_forms(root: str, text: str, uid: int, gid: int, groups: list[int], home: str) -> None:
    user = resolve(text, [], root)
    assert (user.uid, user.gid, user.additional_gids, user.home) == (uid, gid, groups, home)


@pytest.mark.parametrize("text", ["4294967296", "2147483648", "99999999999999999999999", "0:4294967296"])
def test_numbers_past_31_bits_are_refused_and_never_become_root(root: str, text: str) -> None:
    with pytest.raises(InvalidArgument, match="range 0-2147483647"):
        resolve(text, [], root)


@pytest.mark.parametrize("text", ["nobody", "0x0", "-1", "+0", " 0", "root:nogroup"])
def test_unknown_names_are_refused(root: str, text: str) -> None:
    with pytest.raises(InvalidArgument, match="no matching entries"):
        resolve(text, [], root)


def test_additional_groups_by_name_and_number(root: str) -> None:
    assert resolve("4711", ["wheel", "77"], root).additional_gids == [0, 10, 77]


def test_hostile_files_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    (tmp_path / "etc/group").symlink_to("/dev/zero")
    assert resolve("5", [], str(tmp_path)).uid == 5
