"""Options of the local volume driver as arguments of mount(2)."""

import pytest

from berth.base.errors import InvalidArgument, Unavailable
from berth.kernel import mount as m
from berth.volumes.options import MountPlan, needs_mount, plan_mount


def plan(kind: str, device: str, words: str = "") -> MountPlan:
    return plan_mount({"type": kind, "device": device, "o": words})


def test_flags_are_taken_out_of_the_data_and_the_last_word_counts() -> None:
    found = plan("tmpfs", "tmpfs", "ro,size=1m,nosuid,rw,uid=7")
    assert found == MountPlan("tmpfs", "tmpfs", m.MS_NOSUID, "size=1m,uid=7", 0)
    assert plan("none", "/srv", "rbind,rshared") == MountPlan(
        "none", "/srv", m.MS_BIND | m.MS_REC, "", m.MS_SHARED | m.MS_REC
    )


def test_only_a_network_file_systems_address_is_looked_up() -> None:
    assert plan("nfs", ":/x", "addr=192.0.2.1,vers=4").data == "addr=192.0.2.1,vers=4"
    assert plan("odd", ":/x", "addr=a.name").data == "addr=a.name"
    for name in ("no-such-host.invalid", "x" * 70):
        with pytest.raises(Unavailable, match="error resolving passed in network volume address"):
            plan("nfs", ":/x", f"addr={name}")


def test_a_password_is_not_shown() -> None:
    assert (
        str(plan("cifs", "//h/s", "username=u,password=p w,ro")) == ", flags: 0x1, data: username=u,password=********"
    )


def test_what_is_mounted_at_all() -> None:
    assert needs_mount({"type": "tmpfs", "device": ""}) and not needs_mount({"type": "", "device": ""})
    assert not needs_mount(None) and not needs_mount({"size": "0"})
    with pytest.raises(InvalidArgument, match="missing device in volume options"):
        plan("tmpfs", "")
