"""firewalld and ufw keep their say, and their reloads take nothing of ours away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.firewalls import HostFirewall
from harness.rooms import Lan

pytestmark = [pytest.mark.root, pytest.mark.long]  # fetches both of them

HOST, NEIGHBOUR = Lan.HOST, Lan.NEIGHBOUR


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan() as made:
        yield made


@pytest.fixture
def firewall(lan: Lan, tmp_path: Path) -> Iterator[HostFirewall]:
    with HostFirewall(lan.host, tmp_path) as made:
        yield made


def reaches(lan: Lan) -> bool:
    return lan.neighbour.ask(HOST, 8080, timeout_s=0.5) == f"from {NEIGHBOUR}"


def test_firewalld(lan: Lan, firewall: HostFirewall) -> None:
    inside = lan.address(lan.daemon.start_container("web", "-p", "8080:80", "-p", "127.0.0.1:8081:80"))
    assert reaches(lan)
    firewall.firewalld()
    assert reaches(lan), "firewalld lets through what was translated"
    for _ in range(3):
        firewall.run("firewall-cmd", "--reload")
        assert reaches(lan)
        assert lan.neighbour.ask(inside, 80, timeout_s=0.3) == "" and lan.neighbour.ask(HOST, 8081, timeout_s=0.3) == ""
        assert lan.host.ask("127.0.0.1", 8081)
    firewall.run("firewall-cmd", "--complete-reload")
    assert reaches(lan) and lan.neighbour.ask(inside, 80, timeout_s=0.3) == ""
    assert lan.daemon.ask_from("web", NEIGHBOUR, 7, timeout_s=0.5) == "", (
        "its say: docker0 is in no zone that may go out"
    )
    firewall.run("firewall-cmd", "--zone=trusted", "--add-interface=docker0")
    firewall.run("firewall-cmd", "--permanent", "--new-policy", "containers-out")
    for flag in ("--add-ingress-zone=trusted", "--add-egress-zone=ANY", "--set-target=ACCEPT"):
        firewall.run("firewall-cmd", "--permanent", "--policy", "containers-out", flag)
    firewall.run("firewall-cmd", "--permanent", "--zone=trusted", "--add-interface=docker0")
    firewall.run("firewall-cmd", "--reload")
    assert lan.daemon.ask_from("web", NEIGHBOUR, 7) == f"from {HOST}"
    assert reaches(lan)


def test_ufw(lan: Lan, firewall: HostFirewall) -> None:
    inside = lan.address(lan.daemon.start_container("web", "-p", "8080:80"))
    assert reaches(lan)
    firewall.run("ufw", "--force", "enable")
    assert "Status: active" in firewall.run("ufw", "status")
    assert not reaches(lan), "its say: what it does not know is not forwarded"
    assert lan.host.ask("127.0.0.1", 8080), "this host itself reaches it"
    firewall.run("ufw", "route", "allow", "out", "on", "docker0", "to", inside, "port", "80", "proto", "tcp")
    assert reaches(lan)
    firewall.run("ufw", "reload")
    assert reaches(lan) and lan.neighbour.ask(inside, 80, timeout_s=0.3) == "", "what it allows is ours to drop still"
    lan.daemon.restart()
    assert "another firewall drops what it does not know" in lan.daemon.log()
    firewall.run("ufw", "--force", "disable")
    assert reaches(lan)
