"""The table "Who reaches what" of docs/networks.md, row by row: what it says is what happens, over IPv4 and IPv6.

    neighbour ══ host ══ bridge of the row's network: web (the target), friend
                      ══ another bridge: apart

A cell says "yes", "no", "IPv4" or "IPv6" (over that one alone). Rows of the table and targets here are the same, or it fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from harness.rooms import Lan

pytestmark = pytest.mark.root

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "networks.md")
MODE = "com.docker.network.bridge.gateway_mode_ipv"


class Target(NamedTuple):
    """How the row's network and container are made."""

    network: tuple[str, ...] = ()
    run: tuple[str, ...] = ()


def _modes(mode: str) -> tuple[str, ...]:
    return ("-o", f"{MODE}4={mode}", "-o", f"{MODE}6={mode}")


TARGETS = {
    "`-p 8080:80`": Target(run=("-p", "8080:80")),
    "`-p 127.0.0.1:8080:80`": Target(run=("-p", "127.0.0.1:8080:80")),
    "`-p [::1]:8080:80`": Target(run=("-p", "[::1]:8080:80")),
    "`-p HOST:8080:80`, an address of the host's": Target(run=("-p", f"{Lan.HOST}:8080:80", "-p", f"[{Lan.HOST6}]:8080:80")),
    "`-p 8080:80,from=NEIGHBOUR`": Target(
        run=("-p", f"8080:80,from={Lan.NEIGHBOUR}/32", "-p", f"8080:80,from={Lan.NEIGHBOUR6}/128")
    ),
    "`-p 8080:80,from=` some other subnet": Target(
        run=("-p", "8080:80,from=198.51.100.0/24", "-p", "8080:80,from=2001:db8:5::/64")
    ),
    "nothing published": Target(),
    "`--internal`, `-p 8080:80`": Target(("--internal",), ("-p", "8080:80")),
    "`--internal`, gateway mode `isolated`": Target(("--internal", *_modes("isolated"))),
    "`enable_icc=false`, nothing published": Target(("-o", "com.docker.network.bridge.enable_icc=false")),
    "`enable_icc=false`, `-p 8080:80`": Target(("-o", "com.docker.network.bridge.enable_icc=false"), ("-p", "8080:80")),
    "gateway mode `routed`, `-p 8080:80`": Target(_modes("routed"), ("-p", "8080:80")),
    "gateway mode `routed`, nothing published": Target(_modes("routed")),
    "gateway mode `nat-unprotected`, nothing published": Target(_modes("nat-unprotected")),
}  # fmt: skip
COLUMNS = [
    "host, by loopback", "host, by its address", "host, by the container's address", "LAN, by the host's address",
    "LAN, by the container's address", "same network, by the container's address", "same network, by the host's address",
    "other bridge, by the host's address", "other bridge, by the container's address",
]  # fmt: skip


def documented() -> dict[str, dict[str, str]]:
    """Row → column → cell."""
    with open(DOCS, encoding="utf-8") as file:
        text = file.read().partition("## Who reaches what")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    head, _rule, *body = rows
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in body}


def test_the_table_is_of_these_rows_and_columns() -> None:
    table = documented()
    assert list(table) == list(TARGETS)
    assert all(list(row) == COLUMNS for row in table.values())


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with Lan() as made:
        made.daemon.docker("network", "create", "--ipv6", "elsewhere")
        made.daemon.start_container("apart", "--network", "elsewhere", serving=0)
        yield made


@pytest.mark.parametrize("row", list(TARGETS))
def test_who_reaches(lan: Lan, row: str) -> None:
    engine, target = lan.daemon, TARGETS[row]
    engine.docker("network", "create", "--ipv6", *target.network, "n1")
    try:
        engine.berth("run", "-d", "--name", "web", "--network", "n1", *target.run, "busybox", "sleep", "1000")
        engine.serve("web")
        engine.start_container("friend", "--network", "n1", serving=0)
        assert happens(lan) == documented()[row]
    finally:
        engine.docker("rm", "-f", "web", "friend", check=False)
        engine.docker("network", "rm", "n1")


def happens(lan: Lan) -> dict[str, str]:
    """Column → cell, by asking."""
    engine = lan.daemon
    endpoint = engine.inspect("web")["NetworkSettings"]["Networks"]["n1"]
    inside = {4: endpoint["IPAddress"], 6: endpoint["GlobalIPv6Address"]}
    host, loopback = {4: lan.HOST, 6: lan.HOST6}, {4: "127.0.0.1", 6: "::1"}
    ways = [
        lambda v: lan.host.ask(loopback[v], 8080, timeout_s=0.5),
        lambda v: lan.host.ask(host[v], 8080, timeout_s=0.5),
        lambda v: lan.host.ask(inside[v], 80, timeout_s=0.5),
        lambda v: lan.neighbour.ask(host[v], 8080, timeout_s=0.5),
        lambda v: lan.neighbour.ask(inside[v], 80, timeout_s=0.5),
        lambda v: engine.ask_from("friend", inside[v], 80, timeout_s=0.5),
        lambda v: engine.ask_from("friend", host[v], 8080, timeout_s=0.5),
        lambda v: engine.ask_from("apart", host[v], 8080, timeout_s=0.5),
        lambda v: engine.ask_from("apart", inside[v], 80, timeout_s=0.5),
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = [(pool.submit(way, 4), pool.submit(way, 6)) for way in ways]
        found = [(bool(four.result()), bool(six.result())) for four, six in answers]
    words = {(True, True): "yes", (False, False): "no", (True, False): "IPv4", (False, True): "IPv6"}
    return dict(zip(COLUMNS, (words[each] for each in found), strict=True))
