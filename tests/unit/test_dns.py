"""netd's DNS: messages, names, and the way outside, without any namespace."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.netd.dns import message as m
from berth.netd.dns.forward import Forward, Server
from berth.netd.dns.hosts import HostResolvers
from berth.netd.dns.names import Member, Names
from berth.netd.dns.ready import Ready
from berth.netd.loop import Loop


def query(name: str, kind: int = m.A, *, ident: int = 7, size: int = 0) -> bytes:
    question = m.encode_name(name) + kind.to_bytes(2, "big") + b"\0\1"
    opt = b"\0\0\x29" + size.to_bytes(2, "big") + bytes(6) if size else b""
    return m.HEADER.pack(ident, m.RD, 1, 0, 0, 1 if opt else 0) + question + opt


def member(endpoint: str, network: str, sandbox: str, address: str, *names: str, **links: str) -> Member:
    return Member(endpoint, network, f"name-of-{network}", sandbox, address, "", names, links)


def test_a_question_and_its_answer() -> None:
    question = m.parse(query("Web.Example", size=1232))
    assert question.name == "web.example" and question.type == m.A and question.udp_size == 1232 and question.edns
    answer = m.reply(question, m.NOERROR, m.addresses(question, ["172.18.0.2", "172.18.0.3"]))
    ident, flags, questions, answers, _authority, additional = m.HEADER.unpack_from(answer)
    assert (ident, questions, answers, additional) == (7, 1, 2, 1)
    assert flags & m.QR and flags & m.RD and flags & m.RA and not flags & m.TC
    assert socket.inet_aton("172.18.0.3") in answer


def test_an_answer_that_does_not_fit_is_cut_and_says_so() -> None:
    question = m.parse(query("web"))
    records = m.addresses(question, [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(400)])
    answer = m.reply(question, m.NOERROR, records, limit=question.udp_size)
    assert len(answer) <= 512 and int.from_bytes(answer[2:4], "big") & m.TC
    assert len(m.reply(question, m.NOERROR, records)) > 6000


@given(st.binary(max_size=120))
def test_no_packet_breaks_the_parser(packet: bytes) -> None:
    try:
        question = m.parse(packet)
    except m.Malformed as err:
        assert len(m.refuse(packet, err.rcode)) in (0, 12)
        return
    assert m.reply(question, m.NOERROR)[:2] == packet[:2]


def test_an_answer_is_given_again_until_a_name_changes() -> None:
    names = Names()
    ready = Ready(names)
    one, two = query("web"), query("web", ident=8)
    question = m.parse(one)
    ready.put(one, m.reply(question, m.NOERROR, m.addresses(question, ["172.18.0.2"])))
    assert ready.get(two) == m.reply(m.parse(two), m.NOERROR, m.addresses(question, ["172.18.0.2"]))
    assert ready.get(query("Web")) is None and ready.get(query("web", size=1232)) is None
    names.join(member("e", "n", "s", "172.18.0.3", "other"))
    assert ready.get(two) is None


def test_several_containers_of_a_name_take_turns_all_the_same() -> None:
    ready, one = Ready(Names()), query("web")
    question = m.parse(one)
    ready.put(one, m.reply(question, m.NOERROR, m.addresses(question, ["172.18.0.2", "172.18.0.3"])))
    assert ready.get(one) is None


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("5.0.18.172.in-addr.arpa", "172.18.0.5"), ("5.0.18.in-addr.arpa", ""), ("500.0.18.172.in-addr.arpa", ""),
        ("1." + "0." * 30 + "f.ip6.arpa", "f000::1"), ("example.com", ""),
    ],
)  # fmt: skip
def test_names_of_addresses(name: str, address: str) -> None:
    assert m.address_of_pointer(name) == address


def test_who_is_called_what() -> None:
    names = Names()
    names.join(member("e1", "n1", "s1", "10.0.0.1", "one", "web"))
    names.join(member("e2", "n1", "s2", "10.0.0.2", "Two", "web"))
    names.join(member("e3", "n2", "s3", "10.1.0.3", "three", "web"))
    names.join(member("e4", "n2", "s2", "10.1.0.2", "Two", db="three"))
    found = names.find("s1", "two")
    assert found is not None and [each.ipv4 for each in found] == ["10.0.0.2"]
    assert names.find("s1", "three") is None, "of another network"
    assert names.find("s1", "two.name-of-n1") and not names.find("s1", "two.name-of-n2")
    assert {tuple(each.ipv4 for each in names.find("s1", "web") or ()) for _ in range(4)} == {
        ("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"),
    }  # fmt: skip
    linked = names.find("s2", "db")
    assert linked is not None and linked[0].ipv4 == "10.1.0.3" and names.find("s3", "db") is None
    assert (at := names.at("s1", "10.0.0.2")) is not None and at.names[0] == "Two"
    assert names.leave(["e2", "e4", "unknown"]) == 2
    assert names.find("s1", "two") is None and names.at("s1", "10.0.0.2") is None and len(names) == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 2), st.integers(0, 3)), max_size=40))
def test_names_hold_what_joined_and_did_not_leave(steps: list[tuple[bool, int, int, int]]) -> None:
    names = Names()
    there: dict[str, Member] = {}
    for joins, endpoint, network, name in steps:
        ident = f"e{endpoint}"
        if joins:
            there[ident] = member(ident, f"n{network}", f"s{endpoint}", f"10.0.{network}.{endpoint}", f"name{name}")
            names.join(there[ident])
        else:
            assert names.leave([ident]) == (there.pop(ident, None) is not None)
    assert sorted(names.endpoints()) == sorted(there)
    for one in there.values():
        for wanted in range(4):
            expected = {
                e.endpoint for e in there.values() if e.network == one.network and e.names == (f"name{wanted}",)
            }
            assert {e.endpoint for e in names.find(one.sandbox, f"name{wanted}") or ()} == expected


class Upstream:
    """A resolver on loopback that answers every question with its own words."""

    def __init__(self, rcode: int = m.NOERROR, *, silent: bool = False) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.asked: list[str] = []
        self._rcode = rcode
        self._silent = silent
        for work in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=work, daemon=True).start()

    def _answer(self, packet: bytes) -> bytes:
        question = m.parse(packet)
        self.asked.append(question.name)
        return m.reply(question, self._rcode, m.addresses(question, ["192.0.2.1"]))

    def _serve_udp(self) -> None:
        while True:
            packet, asker = self.udp.recvfrom(4096)
            answer = self._answer(packet)
            if not self._silent:
                self.udp.sendto(m.with_id(answer, 0xDEAD), asker)  # a guess of somebody's: passed over
                self.udp.sendto(answer, asker)

    def _serve_tcp(self) -> None:
        while True:
            client, _address = self.tcp.accept()
            packet = client.recv(4096)
            answer = self._answer(packet[2:])
            client.sendall(len(answer).to_bytes(2, "big") + answer)
            client.close()


def ask(servers: list[Server], *, tcp: bool = False) -> bytes | None:
    loop = Loop()
    found: list[bytes | None] = []

    def done(packet: bytes | None) -> None:
        found.append(packet)
        loop.stop()

    packet = query("example.com", ident=0x1234)
    forward = Forward(loop, servers, m.parse(packet), packet, tcp=tcp, stand=contextlib.nullcontext, done=done)
    if not forward.ended:
        loop.run()
    return found[0]


@pytest.mark.parametrize("tcp", [False, True])
def test_a_question_goes_outside_and_comes_back(tcp: bool) -> None:
    upstream = Upstream()
    answer = ask([Server("127.0.0.1", False, upstream.port)], tcp=tcp)
    assert answer is not None and answer[:2] == b"\x12\x34" and socket.inet_aton("192.0.2.1") in answer


@pytest.mark.parametrize("tcp", [False, True])
def test_the_next_server_is_asked_when_one_is_not_there_or_fails(tcp: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = nobody.getsockname()[1]
    failing, good = Upstream(m.SERVFAIL), Upstream()
    servers = [Server("127.0.0.1", False, port) for port in (dead, failing.port, good.port)]
    answer = ask(servers, tcp=tcp)
    assert answer is not None and m.rcode_of(answer) == m.NOERROR
    assert failing.asked and good.asked
    answer = ask(servers[:2], tcp=tcp)
    assert answer is not None and m.rcode_of(answer) == m.SERVFAIL, "nobody had a better one"
    assert ask([]) is None


def test_a_silent_server_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("berth.netd.dns.forward._TRY_S", 0.2)
    silent, good = Upstream(silent=True), Upstream()
    answer = ask([Server("127.0.0.1", False, silent.port), Server("127.0.0.1", False, good.port)])
    assert answer is not None and silent.asked and good.asked


def test_the_hosts_resolvers_are_those_of_now(tmp_path: object) -> None:
    path = f"{tmp_path}/resolv.conf"
    found = HostResolvers(path)
    assert found.servers() == []
    with open(path, "w", encoding="ascii") as file:
        file.write("# one\nnameserver 192.0.2.1\noptions edns0\nnameserver ::1\n")
    assert found.servers() == ["192.0.2.1", "::1"]
    with open(path, "w", encoding="ascii") as file:
        file.write("nameserver 192.0.2.22\n")
    assert found.servers() == ["192.0.2.22"]
