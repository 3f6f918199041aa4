"""The table of mounts, as one reads it."""

from __future__ import annotations

from pathlib import Path

from berth.kernel import mount, mountinfo


def test_odd_names_and_the_last_of_several(tmp_path: Path) -> None:
    place = tmp_path / "a b\\c\td"
    place.mkdir()
    mount.mount("first", str(place), "tmpfs")
    mount.mount("se cond", str(place), "ramfs")
    try:
        found = [m for m in mountinfo.read() if m.place == str(place)]
        assert [(m.fstype, m.source, m.root) for m in found] == [("tmpfs", "first", "/"), ("ramfs", "se cond", "/")]
        assert mountinfo.under(str(place / "below")) == found[1]
        assert mountinfo.under(str(tmp_path)) not in found
    finally:
        mount.umount2(str(place))
        mount.umount2(str(place))


def test_a_longer_name_is_not_within() -> None:
    assert mountinfo.is_within("/a/b", "/a") and mountinfo.is_within("/a", "/a") and mountinfo.is_within("/a", "/")
    assert not mountinfo.is_within("/ab", "/a")
