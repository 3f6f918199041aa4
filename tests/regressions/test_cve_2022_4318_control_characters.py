"""CVE-2022-4318, CVE-2024-3154, CVE-2022-0811 (CRI-O): a line break or a separator in a string became a line of its own.

HOME with a newline added a user to /etc/passwd, an annotation a property to a systemd unit, a sysctl's value a second kernel
parameter. Every string field of a create body is given control characters: it is refused, or the files that the engine writes
for the container hold no line of the attacker's.

Fails when: ``_clean`` in ``networks/files.py``, the check of a value in ``oci/sysctl.py``, ``check_texts`` in
``engine/containers/texts.py`` or the check for NUL in ``api/shapes.py`` goes.
"""

from __future__ import annotations

from typing import Any

import pytest

from harness.attack import Bundle
from harness.daemon import Daemon

pytestmark = pytest.mark.root
EVIL = "x{}evil::0:0::/:/bin/sh{}"
BREAKS = ["\n", "\r", "\x00", "\x1b[2J", "\x7f"]


def bodies(text: str) -> dict[str, dict[str, Any]]:
    """The field → a create body with ``text`` in it."""
    host = {
        "ExtraHosts": [f"{text}:1.2.3.4"], "Dns": [text], "DnsSearch": [text], "DnsOptions": [text],
        "Sysctls": {"net.ipv4.ip_forward": text}, "GroupAdd": [text], "SecurityOpt": [text], "CapAdd": [text],
        "CgroupParent": text, "Tmpfs": {"/t": text}, "Binds": [f"/etc/hostname:/{text}"], "NetworkMode": text,
        "DeviceCgroupRules": [text], "CpusetCpus": text, "UTSMode": text, "IpcMode": text, "PidMode": text,
        "LogConfig": {"Type": "json-file", "Config": {"tag": text}}, "Runtime": text,
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": f"/dev/{text}", "CgroupPermissions": "r"}],
        "Ulimits": [{"Name": text, "Soft": 1, "Hard": 1}], "Annotations": {"org.systemd.property.ExecStart": text},
        "Links": [f"box:{text}"], "VolumesFrom": [text], "StorageOpt": {"size": text}, "VolumeDriver": text,
        "Mounts": [{"Type": "tmpfs", "Target": f"/{text}"}], "MaskedPaths": [f"/{text}"], "ReadonlyPaths": [f"/{text}"],
        "PortBindings": {"80/tcp": [{"HostIp": text, "HostPort": text}]}, "RestartPolicy": {"Name": text},
    }  # fmt: skip
    config = {
        "Hostname": text, "Domainname": text, "User": text, "WorkingDir": f"/{text}", "Env": [f"HOME={text}"], "StopSignal": text,
        "Labels": {text: text}, "Cmd": ["cat", text], "Entrypoint": [text], "Volumes": {f"/{text}": {}},
        "ExposedPorts": {text: {}}, "MacAddress": text,
    }  # fmt: skip
    return {**{k: {k: v} for k, v in config.items()}, **{k: {"HostConfig": {k: v}} for k, v in host.items()},
            "Annotations key": {"HostConfig": {"Annotations": {text: "1"}}},
            "Aliases": {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": [text]}}}},
            "Sysctls key": {"HostConfig": {"Sysctls": {f"net.{text}": "1"}}}}  # fmt: skip


SHOW = "cat /etc/passwd /etc/group /etc/hosts /etc/hostname /etc/resolv.conf"


@pytest.mark.parametrize("field", bodies(""))
def test_no_field_becomes_a_line(engine: Daemon, field: str) -> None:
    for number, separator in enumerate(BREAKS):
        text = EVIL.format(separator, separator)
        body = {"Image": "busybox", "Cmd": ["sh", "-c", SHOW], **bodies(text)[field]}
        made = engine.api("POST", f"/containers/create?name=box{number}", body)
        assert made.status in (201, 400, 404, 409), (separator, made)
        if made.status == 201:
            started = engine.api("POST", f"/containers/box{number}/start")
            assert started.status in (204, 400, 404, 500) and "Traceback" not in str(started.body), (separator, started)
            engine.api("POST", f"/containers/box{number}/wait")
            lines = engine.docker("logs", f"box{number}", check=False).out.replace("\r", "\n").split("\n")
            assert not [line for line in lines if line.startswith("evil")], (separator, lines)
        engine.api("DELETE", f"/containers/box{number}?force=1&v=1")
    assert engine.docker("run", "--rm", "busybox", "echo", "well").out == "well\n"


@pytest.mark.parametrize("field", bodies(""))
def test_nul_is_refused_at_once(engine: Daemon, field: str) -> None:
    made = engine.api("POST", "/containers/create", {"Image": "busybox", **bodies("x\0y")[field]})
    assert made.status == 400, made


@pytest.mark.parametrize("field", ["Hostname", "Domainname", "CgroupParent"])
def test_control_characters_are_refused_at_once(engine: Daemon, field: str) -> None:
    for separator in BREAKS:
        made = engine.api("POST", "/containers/create", {"Image": "busybox", **bodies(f"x{separator}y")[field]})
        assert made.status == 400, (separator, made)


@pytest.mark.parametrize("separator", ["\n", "\r"])
def test_a_sysctls_value_is_one_line(separator: str) -> None:
    with Bundle(args=["true"]) as bundle:
        bundle.config["linux"]["sysctl"] = {"kernel.domainname": f"x{separator}y"}
        done = bundle.run(check=False)
        assert done.code == 1 and "a value is one line" in done.err


def test_a_name(engine: Daemon) -> None:
    for separator in ("%0a", "%00", "%1b", "%2f", "%2e%2e%2f"):
        made = engine.api("POST", f"/containers/create?name=x{separator}y", {"Image": "busybox"})
        assert made.status == 400, (separator, made)
