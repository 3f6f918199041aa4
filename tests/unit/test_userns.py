"""``--userns-remap``: /etc/subuid and /etc/subgid → id maps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from berth.base.errors import BerthError, InvalidArgument, ResourceExhausted
from berth.engine.dockremap import ensure
from berth.engine.userns import Range, first_free, id_map_of


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
    assert first_free(*files(tmp_path, text)) == first


def etc(folder: Path) -> dict[str, str]:
    names = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
    return {name: (folder / name).read_text() for name in names if (folder / name).exists()}


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the files to their owner")
def test_dockremap_is_made_once(tmp_path: Path) -> None:
    files(tmp_path, "a:100000:65536\n")
    (tmp_path / "passwd").write_text("root:x:0:0::/root:/bin/sh\nd:x:999:1::/:/bin/sh")
    (tmp_path / "group").write_text("root:x:0:\ng:x:998:\n")
    (tmp_path / "shadow").write_text("root:*:1::::::\n")
    (tmp_path / "shadow").chmod(0o640)
    ensure(str(tmp_path))
    made = etc(tmp_path)
    assert made["passwd"].endswith("/bin/sh\ndockremap:x:997:997::/home/dockremap:/bin/false\n")
    assert made["group"].endswith("g:x:998:\ndockremap:x:997:\n")
    assert made["shadow"].endswith("dockremap:!:0::::::\n") and "gshadow" not in made
    assert (tmp_path / "shadow").stat().st_mode & 0o777 == 0o640
    assert made["subuid"] == made["subgid"] == "a:100000:65536\ndockremap:165536:65536\n"
    ensure(str(tmp_path))
    assert etc(tmp_path) == made
    found = id_map_of("default", str(tmp_path / "subuid"), str(tmp_path / "subgid"))
    assert found is not None and found.root == (165536, 165536)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the files to their owner")
def test_what_is_there_stays(tmp_path: Path) -> None:
    files(tmp_path, "dockremap:7:100\n", "")
    (tmp_path / "passwd").write_text("dockremap:x:55:66::/:/bin/false\n")
    (tmp_path / "group").write_text("dockremap:x:66:\n")
    ensure(str(tmp_path))
    made = etc(tmp_path)
    assert made["passwd"].count("\n") == made["group"].count("\n") == 1 and made["subuid"] == "dockremap:7:100\n"
    assert made["subgid"] == "dockremap:100000:65536\n"


def test_where_it_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(BerthError, match=r"dockremap cannot be made: .*no such file.*: make it with ranges"):
        ensure(str(tmp_path / "nowhere"))
    (tmp_path / "passwd").write_text("".join(f"u{n}:x:{n}:0::/:/\n" for n in range(100, 1000)))
    with pytest.raises(ResourceExhausted, match="no system id from 100 to 999 is free"):
        ensure(str(tmp_path))


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
    with pytest.raises(InvalidArgument, match='no ranges found for user "dockremap"'):
        id_map_of("default", *files(tmp_path, line + "\n"))
