"""Legacy links of the default bridge."""

from __future__ import annotations

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


def server(engine: Daemon) -> str:
    return engine.docker(
        "run", "-d", "--name", "db", "-h", "dbhost", "--expose", "5432", "--expose", "53/udp", "-e", "USER_NAME=me", "busybox",
        "sleep", "1000",
    ).out.strip()  # fmt: skip


def test_hosts_and_environment(engine: Daemon) -> None:
    server(engine)
    address = engine.inspect("db")["NetworkSettings"]["IPAddress"]
    found = engine.docker(
        "run", "--rm", "--name", "web", "--link", "db:store", "busybox", "sh", "-c", "cat /etc/hosts; env"
    ).out
    assert f"{address}\tstore dbhost db\n" in found
    for line in ("STORE_NAME=/web/store", f"STORE_PORT=tcp://{address}:5432", f"STORE_PORT_5432_TCP=tcp://{address}:5432",
                 f"STORE_PORT_5432_TCP_ADDR={address}", "STORE_PORT_5432_TCP_PORT=5432", "STORE_PORT_5432_TCP_PROTO=tcp",
                 f"STORE_PORT_53_UDP=udp://{address}:53", "STORE_ENV_USER_NAME=me"):  # fmt: skip
        assert line in found.splitlines(), found


def test_inspect_shows_them_and_ps_does_not_mind(engine: Daemon) -> None:
    server(engine)
    engine.docker("create", "--name", "web", "--link", "db", "busybox")
    assert engine.inspect("web")["HostConfig"]["Links"] == ["/db:/web/db"]


def test_only_to_what_runs(engine: Daemon) -> None:
    engine.docker("create", "--name", "db", "busybox")
    engine.docker("create", "--name", "web", "--link", "db:store", "busybox")
    result = engine.docker("start", "web", check=False)
    assert result.code == 1 and "Cannot link to a non running container: /db AS /web/store" in result.err


def test_a_linked_container_that_comes_back_is_found_again(engine: Daemon) -> None:
    server(engine)
    engine.docker("run", "-d", "--name", "web", "--link", "db", "busybox", "sleep", "1000")
    engine.docker("stop", "db")
    engine.docker("run", "-d", "busybox", "sleep", "1000")
    engine.docker("start", "db")
    address = engine.inspect("db")["NetworkSettings"]["IPAddress"]
    assert f"{address}\tdb dbhost" in engine.docker("exec", "web", "cat", "/etc/hosts").out
