"""``--userns-remap``: /etc/subuid and /etc/subgid → id maps."""

from __future__ import annotations

from pathlib import Path

import pytest

from berth.base.errors import InvalidArgument
from berth.engine.userns import Range, id_map_of


def files(folder: Path, uid: str, gid: str | None = None) -> tuple[str, str]:
    (folder / "subuid").write_text(uid)
    (folder / "subgid").write_text(uid if gid is None else gid)
    return str(folder / "subuid"), str(folder / "subgid")


def test_nothing_asked_for(tmp_path: Path) -> None:
    assert id_map_of("", *files(tmp_path, "dockremap:5:5\n")) is None


def test_the_ranges_of_dockremap(tmp_path: Path) -> None:
    found = id_map_of(
        "default", *files(tmp_path, "other:1:2\ndockremap:200000:1000\ndockremap:500000:50\n", "dockremap:7:65536\n")
    )
    assert found is not None
    assert found.uid == (Range(0, 200000, 1000), Range(1000, 500000, 50))
    assert found.gid == (Range(0, 7, 65536),)
    assert found.root == (200000, 7)
    assert found.render()["uidMappings"][1] == {"containerID": 1000, "hostID": 500000, "size": 50}


@pytest.mark.parametrize(
    ("text", "first"),
    [("", 100000), ("a:100000:65536\n", 165536), ("a:165536:10\nb:100000:65536\n", 165546), ("a:300000:5\n", 100000),
     ("a:165535:1\n", 165536), ("a:99999:1\n", 100000)],
)  # fmt: skip
def test_a_range_that_nobody_has(tmp_path: Path, text: str, first: int) -> None:
    found = id_map_of("default", *files(tmp_path, text))
    assert found is not None
    assert found.uid == found.gid == (Range(0, first, 65536),)


def test_a_user_by_name_and_by_number(tmp_path: Path) -> None:
    for text in ("root:300000:65536\n", "0:300000:65536\n"):
        for option in ("root", "0", "root:root", "0:0"):
            found = id_map_of(option, *files(tmp_path, text))
            assert found is not None and found.root == (300000, 300000)


@pytest.mark.parametrize("option", ["nobody-such", "root:nobody-such", "root"])
def test_who_is_not_there(tmp_path: Path, option: str) -> None:
    with pytest.raises(InvalidArgument, match=r"nobody-such|no ranges found"):
        id_map_of(option, *files(tmp_path, "other:1:1\n"))


@pytest.mark.parametrize("line", ["dockremap", "dockremap:1", "dockremap:a:b", "dockremap:1:0", "dockremap:99999999999:5",
                                  "# dockremap:1:1", "dockremap:-1:5"])  # fmt: skip
def test_lines_that_are_none(tmp_path: Path, line: str) -> None:
    found = id_map_of("default", *files(tmp_path, line + "\n"))
    assert found is not None and found.uid == (Range(0, 100000, 65536),)
