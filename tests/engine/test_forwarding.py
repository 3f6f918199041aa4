"""A host that forwards for containers is no router between its networks, and keeps its own addresses and routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.eventually import eventually
from harness.rooms import Lan, Room

pytestmark = pytest.mark.root

BEHIND, BEHIND6 = "198.51.100.2", "2001:db8:2::2"
SYSCTLS = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


class Router(Lan):
    """A host between two networks: the neighbour routes to what is behind it."""

    def __init__(self, *flags: str, forwards: int = 0) -> None:
        super().__init__(*flags)
        self.behind = Room()
        self.host.wire(self.behind, ["198.51.100.1/24", "2001:db8:2::1/64"], [f"{BEHIND}/24", f"{BEHIND6}/64"])
        self.behind.run("ip", "route", "add", "default", "via", "198.51.100.1")
        self.behind.run("ip", "route", "add", "default", "via", "2001:db8:2::1")
        self.neighbour.run("ip", "route", "add", "198.51.100.0/24", "via", self.HOST)
        self.neighbour.run("ip", "route", "add", "2001:db8:2::/64", "via", self.HOST6)
        self.behind.serve(9)
        for name in SYSCTLS:
            self.host.run("sysctl", "-qw", f"{name}={forwards}")

    def close(self) -> None:
        super().close()
        self.behind.close()

    def routes(self) -> tuple[bool, bool]:
        """Whether the neighbour reaches what is behind, over IPv4 and IPv6."""
        return tuple(bool(self.neighbour.ask(address, 9, timeout_s=0.5)) for address in (BEHIND, BEHIND6))  # type: ignore[return-value]


def begin(*flags: str, forwards: int = 0) -> Iterator[Router]:
    with Router(*flags, forwards=forwards) as made:
        assert isinstance(made, Router)
        yield made


@pytest.fixture
def router() -> Iterator[Router]:
    yield from begin()


def test_forwarding_is_for_containers_only(router: Router) -> None:
    router.host.run("sysctl", "-qw", "net.ipv6.conf.w0.accept_ra=1")
    assert router.routes() == (False, False)
    router.daemon.docker("network", "create", "--ipv6", "six")
    router.daemon.start_container("web", "--network", "six", "-p", "8080:80")
    assert [router.host.run("sysctl", "-n", name).strip() for name in SYSCTLS] == ["1", "1"]
    assert router.host.run("sysctl", "-n", "net.ipv6.conf.w0.accept_ra") == "2\n", "a router's advice still counts"
    for _ in range(2):
        assert router.routes() == (False, False)
        assert router.neighbour.ask(router.HOST, 8080) and router.neighbour.ask(router.HOST6, 8080)
        assert router.daemon.ask_from("web", BEHIND, 9) and router.daemon.ask_from("web", BEHIND6, 9)
        router.daemon.restart()


@pytest.mark.parametrize(("flags", "forwards"), [((), 1), (("--ip-forward-no-drop",), 0)])
def test_a_router_stays_one(flags: tuple[str, ...], forwards: int) -> None:
    for router in begin(*flags, forwards=forwards):
        router.daemon.docker("network", "create", "--ipv6", "six")
        eventually(lambda router=router: router.routes() == (True, True))  # type: ignore[misc]  # once the links' own IPv6 addresses are checked
