"""The store's client against a real etcd that wants TLS and a client's certificate; one of the members is away."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from berth.base.errors import NotFound, Unavailable
from berth.networks.cluster.etcd import Entry, Etcd, absent, delete, delete_below, older_below, put, unchanged
from berth.networks.cluster.settings import parse_cluster
from harness.certificates import Authority
from harness.eventually import eventually
from harness.ports import free_port
from harness.rooms import end


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The setting and options that reach it."""
    authority = Authority(str(tmp_path / "ca"))
    server, client = authority.issue("server", ["127.0.0.1"]), authority.issue("client")
    port, peers, nobody = free_port(), free_port(), free_port()
    command = [
        "etcd", "--data-dir", str(tmp_path / "d"), "--listen-client-urls", f"https://127.0.0.1:{port}",
        "--advertise-client-urls", f"https://127.0.0.1:{port}", "--listen-peer-urls", f"http://127.0.0.1:{peers}",
        "--cert-file", server[0], "--key-file", server[1], "--client-cert-auth", "--trusted-ca-file", authority.certificate,
        "--log-level", "error",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    options = {"kv.cacertfile": authority.certificate, "kv.certfile": client[0], "kv.keyfile": client[1]}
    yield f"etcd://127.0.0.1:{nobody},127.0.0.1:{port}", options
    end(process)


def client(store: str, options: dict[str, str]) -> Etcd:
    found = parse_cluster(store, "10.0.0.1", options)
    assert found is not None
    return Etcd(found.urls, found.tls)


def test_transactions_leases_and_watches(store: tuple[str, dict[str, str]]) -> None:
    asyncio.run(_ready(*store))

    async def story() -> None:
        etcd = client(*store)
        try:
            assert await etcd.commit([absent("p/a")], [put("p/a", b"1"), put("p/b", b"2")])
            assert not await etcd.commit([absent("p/a")], [put("p/a", b"3")])
            picture = await etcd.read("p/")
            assert [(e.key, e.value) for e in picture.entries] == [("p/a", b"1"), ("p/b", b"2")]
            watch = etcd.watch("p/", picture.revision + 1)
            lease = await etcd.grant(5)
            await etcd.keep(lease)
            assert await etcd.commit([unchanged("p/a", b"1")], [put("p/c", b"\x00\xff", lease), delete("p/b")])
            first = await anext(watch)
            assert sorted((e.key, e.value) for e in first if e.value) == [("p/c", b"\x00\xff")]
            assert ("p/b", None) in [(e.key, e.value) for e in first]
            assert not await etcd.commit([older_below("p/", picture.revision)], [delete_below("p/")])
            await etcd.revoke(lease)
            gone: list[Entry] = await anext(watch)
            assert [(e.key, e.value) for e in gone] == [("p/c", None)]
            with pytest.raises(NotFound):
                await etcd.keep(lease)
            await watch.aclose()  # type: ignore[attr-defined]
        finally:
            await etcd.close()

    asyncio.run(story())


def test_a_client_without_a_certificate_is_refused(store: tuple[str, dict[str, str]]) -> None:
    asyncio.run(_ready(*store))

    async def story() -> None:
        etcd = client(store[0], {"kv.cacertfile": store[1]["kv.cacertfile"]})
        try:
            with pytest.raises(Unavailable, match="does not answer"):
                await etcd.read("p/")
        finally:
            await etcd.close()

    asyncio.run(story())


async def _ready(store: str, options: dict[str, str]) -> None:
    def answers() -> bool:
        async def once() -> None:
            etcd = client(store, options)
            try:
                await etcd.read("p/")
            finally:
                await etcd.close()

        try:
            asyncio.run(once())
        except Unavailable as err:
            raise AssertionError(err) from err
        return True

    await asyncio.to_thread(eventually, answers)
