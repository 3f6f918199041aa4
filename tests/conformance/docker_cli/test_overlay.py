"""overlay networks on one host: made and joined without a swarm and without --attachable."""

from __future__ import annotations

import json
import subprocess
import urllib.request

import pytest

from berth.kernel.netlink.xfrm import has_esp
from harness.daemon import Daemon
from harness.eventually import eventually
from harness.ports import free_port

pytestmark = pytest.mark.root


def test_containers_find_one_another_and_the_world(engine: Daemon) -> None:
    made = engine.docker("network", "create", "-d", "overlay", "over").out.strip()
    engine.docker("run", "-d", "--name", "one", "--network", "over", "busybox", "sleep", "1000")
    answer = engine.docker("run", "--rm", "--network", "over", "busybox", "ping", "-c1", "-W2", "one")
    assert "1 packets received" in answer.out
    shown = json.loads(engine.docker("network", "inspect", "over").out)[0]
    assert (shown["Id"], shown["Driver"], shown["Scope"]) == (made, "overlay", "global")
    link = json.loads(
        subprocess.run(["ip", "-j", "-d", "link", "show", f"vx-{made[:12]}"], capture_output=True).stdout
    )[0]
    assert (link["linkinfo"]["info_data"]["id"], link["mtu"]) == (4097, 1450)
    assert "mtu 1450" in engine.docker("exec", "one", "ip", "link", "show", "eth0").out


def test_ports_are_published_from_it(engine: Daemon) -> None:
    port = free_port()
    engine.docker("network", "create", "-d", "overlay", "over")
    engine.docker("run", "-d", "--name", "web", "--network", "over", "-p", f"{port}:80", "busybox", "sh", "-c",
                  "mkdir /w; echo there > /w/index.html; exec httpd -f -p 80 -h /w")  # fmt: skip

    def answer() -> bytes:
        try:
            return bytes(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read())
        except OSError as err:
            raise AssertionError(err) from None

    assert eventually(answer) == b"there\n"


def test_what_cannot_be_had_is_refused(engine: Daemon) -> None:
    refused = engine.docker("network", "create", "-d", "overlay", "--opt", "encrypted", "secret", check=False)
    if not has_esp():
        assert refused.code == 1 and "cannot be encrypted on this host: its kernel has no ESP" in refused.err
    refused = engine.docker(
        "network",
        "create",
        "-d",
        "overlay",
        "-o",
        "com.docker.network.driver.overlay.vxlanid_list=0",
        "odd",
        check=False,
    )
    assert "invalid vxlan id value '0'" in refused.err
