"""CVE-2024-21626: a descriptor of a host directory leaked into the runtime's init, and WORKDIR led to it.

With ``/proc/self/fd/7`` as working directory the container began in the host's tree. The defences, each enough: an init closes
what it inherited before anything else, and a working directory is opened inside the root through no magic link.

Fails when: ``oci/process.py`` ``_enter_cwd`` uses ``os.chdir(cwd)``, or ``oci/init.py`` does not call ``close_all_but``.
"""

from __future__ import annotations

import os

import pytest

from harness.attack import Bundle
from harness.daemon import Daemon

pytestmark = pytest.mark.root
HIGHEST = 255


def where(engine: Daemon, path: str) -> str:
    """The working directory that a container gets for a WORKDIR; "" when it is refused."""
    made = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["pwd"], "WorkingDir": path})
    assert made.status == 201, made
    ident = made.body["Id"]
    try:
        if engine.api("POST", f"/containers/{ident}/start").status != 204:
            return ""
        engine.api("POST", f"/containers/{ident}/wait")
        return engine.docker("logs", ident).out.strip() or "?"
    finally:
        engine.api("DELETE", f"/containers/{ident}?force=1")


def test_workdir(engine: Daemon) -> None:
    for number in (*range(24), 63, 127, HIGHEST):
        assert where(engine, f"/proc/self/fd/{number}") == "", number
    assert where(engine, "/proc/self/fd/8/../../..") == "/proc", "the path is cleaned as text, no link is followed"
    assert where(engine, "/proc/1/root") == ""
    assert where(engine, "/proc/self/cwd") == ""


def test_exec(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    for number in (*range(3, 24), 63, 127, HIGHEST):
        path = f"/proc/self/fd/{number}"
        made = engine.api("POST", "/containers/box/exec", {"Cmd": ["true"], "WorkingDir": path})
        started = engine.api("POST", f"/exec/{made.body['Id']}/start", {"Detach": True})
        assert started.status != 200, (path, started)


def test_an_init_holds_nothing_of_the_hosts() -> None:
    """Everything that a waiting init has open, seen from the host: streams, its channel, the fifo, a procfs of its own."""
    with Bundle() as bundle:
        leak = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)  # the caller of a runtime may be careless
        try:
            bundle.create(pass_fds=[leak])
        finally:
            os.close(leak)
        folder = f"/proc/{bundle.pid}/fd"
        held = {os.readlink(f"{folder}/{n}") for n in os.listdir(folder) if int(n) > 2}
        assert not {h for h in held if os.path.isdir(h) and h != "/"}, held


def test_nothing_but_the_streams_reaches_the_program(engine: Daemon) -> None:
    script = "for n in $(seq 3 255); do [ -e /proc/$$/fd/$n ] && readlink /proc/$$/fd/$n; done; exit 0"
    assert set(engine.docker("run", "--rm", "busybox", "sh", "-c", script).lines) <= {""}
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    assert set(engine.docker("exec", "box", "sh", "-c", script).lines) <= {""}
