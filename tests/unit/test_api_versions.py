"""Older versions of the API: what a body loses, what an answer lacks or has in addition."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from berth.api import versions
from berth.base.errors import InvalidArgument

BODY: dict[str, Any] = {
    "Image": "busybox",
    "Healthcheck": {"Test": ["CMD", "true"], "StartInterval": 1},
    "HostConfig": {
        "AutoRemove": True, "Annotations": {"a": "b"}, "ConsoleSize": [10, 20], "KernelMemory": 1, "KernelMemoryTCP": 2,
        "Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True,
                    "BindOptions": {"CreateMountpoint": True, "NonRecursive": True}}],
    },
    "NetworkingConfig": {"EndpointsConfig": {"net": {"MacAddress": "02:00:00:00:00:01"}}},
}  # fmt: skip


def create(version: tuple[int, int], **host: Any) -> tuple[dict[str, Any], list[str]]:
    body = copy.deepcopy(BODY)
    body["HostConfig"] |= host
    return body, versions.create_body(body, version)


@pytest.mark.parametrize(
    ("version", "lost"),
    [
        ((1, 51), {"KernelMemory"}),
        ((1, 42), {"KernelMemory", "Annotations"}),
        ((1, 41), {"Annotations", "ConsoleSize"}),
        ((1, 39), {"Annotations", "ConsoleSize", "KernelMemoryTCP"}),
        ((1, 24), {"Annotations", "ConsoleSize", "KernelMemoryTCP", "AutoRemove"}),
    ],
)
def test_create_loses_what_came_later(version: tuple[int, int], lost: set[str]) -> None:
    body, warnings = create(version)
    assert set(BODY["HostConfig"]) - set(body["HostConfig"]) == lost
    assert warnings == []
    options = body["HostConfig"]["Mounts"][0]["BindOptions"]
    assert ("CreateMountpoint" in options, "NonRecursive" in options) == (version >= (1, 42), version >= (1, 40))
    assert ("StartInterval" in body["Healthcheck"]) == (version >= (1, 44))
    assert ("MacAddress" in body["NetworkingConfig"]["EndpointsConfig"]["net"]) == (version >= (1, 44))
    assert options.get("ReadOnlyNonRecursive") is (None if version >= (1, 44) else True)
    assert body["HostConfig"].get("IpcMode") == ("shareable" if version < (1, 40) else None)


@pytest.mark.parametrize(
    ("version", "host", "sentence"),
    [
        ((1, 44), {"Mounts": [{"Type": "volume", "VolumeOptions": {"Subpath": "x"}}]},
         "VolumeOptions.Subpath needs API v1.45 or newer"),
        ((1, 43), {"Mounts": [{"Type": "bind", "BindOptions": {"ReadOnlyForceRecursive": True}}]},
         "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer"),
        ((1, 42), {"Mounts": [{"Type": "tmpfs", "VolumeOptions": {}}]},
         'VolumeOptions must not be specified on mount type "tmpfs"'),
        ((1, 51), {"Mounts": [{"Type": "volume", "BindOptions": {}}]},
         'BindOptions must not be specified on mount type "volume"'),
    ],
)  # fmt: skip
def test_create_is_refused(version: tuple[int, int], host: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        create(version, **host)
    assert caught.value.message == sentence


def test_several_networks_at_create_came_with_1_44() -> None:
    body = {"NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}}
    assert versions.create_body(copy.deepcopy(body), (1, 44)) == []
    with pytest.raises(InvalidArgument, match="Container cannot be created with multiple network endpoints: a, b"):
        versions.create_body(copy.deepcopy(body), (1, 43))


def test_the_old_mac_address_is_warned_about() -> None:
    assert "MacAddress field is now deprecated" in versions.create_body({"MacAddress": "02:00:00:00:00:01"}, (1, 44))[0]
    assert versions.create_body({"MacAddress": "02:00:00:00:00:01"}, (1, 43)) == []


INSPECT: dict[str, Any] = {
    "Id": "ab" * 32, "ImageManifestDescriptor": {}, "Config": {"Hostname": "host1"},
    "HostConfig": {"Annotations": {}, "CgroupnsMode": "private", "DeviceRequests": None},
    "NetworkSettings": {"Networks": {
        "mine": {"Aliases": ["web"], "GwPriority": 0, "DNSNames": ["web", "x"]}, "bridge": {"Aliases": None},
    }},
}  # fmt: skip


def test_inspect_by_version() -> None:
    now = copy.deepcopy(INSPECT)
    versions.inspected_container(now, (1, 48))
    assert now == INSPECT
    old = copy.deepcopy(INSPECT)
    versions.inspected_container(old, (1, 24))
    assert "ImageManifestDescriptor" not in old
    assert old["HostConfig"] == {}
    assert old["NetworkSettings"]["Networks"] == {
        "mine": {"Aliases": ["web", "abababababab", "host1"]}, "bridge": {"Aliases": None},
    }  # fmt: skip
    middle = copy.deepcopy(INSPECT)
    versions.inspected_container(middle, (1, 45))
    assert middle["NetworkSettings"]["Networks"]["mine"] == {"Aliases": ["web"], "DNSNames": ["web", "x"]}


def test_info_by_version() -> None:
    answer: dict[str, Any] = {
        "SecurityOptions": ["name=seccomp,profile=builtin"], "RuncCommit": {"ID": "x"}, "CDISpecDirs": [],
        "FirewallBackend": {"Driver": "nftables"},
    }  # fmt: skip
    now = copy.deepcopy(answer)
    versions.info(now, (1, 51))
    assert now == answer
    versions.info(answer, (1, 24))
    assert answer["SecurityOptions"] == ["seccomp"] and answer["RuncCommit"] == {"ID": "x", "Expected": "x"}
    assert answer["BridgeNfIptables"] is False and "CDISpecDirs" not in answer and "FirewallBackend" not in answer


@pytest.mark.parametrize(
    ("version", "virtual", "hostname"),
    [
        ((1, 24), True, True),
        ((1, 43), True, True),
        ((1, 44), False, True),
        ((1, 49), False, True),
        ((1, 50), False, False),
    ],
)
def test_images(version: tuple[int, int], virtual: bool, hostname: bool) -> None:
    answer = {"Size": 5, "Config": {"Cmd": ["x"]}}
    versions.inspected_image(answer, version)
    assert (answer.get("VirtualSize") == 5, "Hostname" in answer["Config"]) == (virtual, hostname)
    assert answer["Config"]["Cmd"] == ["x"]
    entry = {"Size": 5, "RepoTags": [], "RepoDigests": ["a@b"], "Containers": 3}
    versions.listed_image(entry, version)
    assert "Config" not in entry and (entry.get("VirtualSize") == 5) == virtual
    assert entry["RepoTags"] == (None if version < (1, 43) else [])
    assert entry["Containers"] == (3 if version >= (1, 51) else -1)
