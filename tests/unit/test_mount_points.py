"""-v, --mount, --tmpfs and VOLUME as planned mounts, wrong ones in Docker's words."""

import pytest

from berth.base.errors import InvalidArgument
from berth.engine.containers.mount_points import plan_bind, plan_mounts


def test_a_bind_makes_its_missing_source_and_a_mount_does_not(tmp_path: object) -> None:
    bind = plan_bind("/srv/data:/data:ro")
    assert (bind.point.type, bind.point.source, bind.point.destination, bind.point.rw) == (
        "bind", "/srv/data", "/data", False,
    )  # fmt: skip
    assert bind.create_source and not bind.copy_up
    with pytest.raises(InvalidArgument, match="bind source path does not exist: /no/such/thing"):
        plan_mounts({}, {"Mounts": [{"Type": "bind", "Source": "/no/such/thing", "Target": "/x"}]})


def test_named_and_anonymous_volumes() -> None:
    named = plan_bind("cache:/var/cache")
    assert (named.point.type, named.point.name, named.copy_up) == ("volume", "cache", True)
    anonymous = plan_bind("/var/lib/x")
    assert anonymous.point.anonymous and anonymous.point.type == "volume"
    assert not plan_bind("cache:/c:nocopy").copy_up


def test_the_images_volumes_yield_to_what_the_user_mounts() -> None:
    planned = plan_mounts(
        {"Volumes": {"/data": {}, "/other/": {}}}, {"Binds": ["/srv:/data"], "Tmpfs": {"/t": "size=1m"}}
    )
    kinds = {m.point.destination: m.point.type for m in planned}
    assert kinds == {"/data": "bind", "/t": "tmpfs", "/other": "volume"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/a:/b:/c:/d", "invalid volume specification"),
        ("/a:relative", "mount path must be absolute"),
        ("/a:/", "destination can't be '/'"),
        ("/a:/b:nonsense", "invalid mode: nonsense"),
        (":/b", "invalid volume specification"),
    ],
)
def test_wrong_binds(text: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        plan_bind(text)


def test_two_mounts_on_one_place() -> None:
    with pytest.raises(InvalidArgument, match="Duplicate mount point: /data"):
        plan_mounts({}, {"Binds": ["/a:/data", "/b:/data/"]})
