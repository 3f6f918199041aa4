"""The units of ``packaging/systemd`` under a real systemd: started by its socket, ready, reloaded, restarted below a container.

In the virtual machine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.eventually import eventually
from harness.reference import Reference

pytestmark = [pytest.mark.vm, pytest.mark.root]

PACKAGING = Path(__file__).resolve().parents[2] / "packaging" / "systemd"
UNITS = Path("/run/systemd/system")


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"systemctl {' '.join(words)}: {done.stderr}{_journal()}"
    return done.stdout


def _journal() -> str:
    return subprocess.run(["journalctl", "-u", "berth", "-n", "40"], capture_output=True, text=True, check=False).stdout


@pytest.fixture
def engine_of_systemd(tmp_path: Path) -> Iterator[Reference]:
    """The units with this checkout's program and places of the test's own."""
    root = "/tmp/bsys"
    Path(root).mkdir()
    (tmp_path / "daemon.json").write_text('{"labels": ["stage=one"]}')
    program = (
        f"{sys.executable} -m berth.daemon.main --data-root {root}/d --exec-root {root}/r --pidfile {root}/pid "
        f"--bridge bsys --bip 10.231.250.1/24 --config-file {tmp_path}/daemon.json"
    )
    paths = f"Environment=PYTHONPATH={':'.join(filter(None, sys.path))}"
    service = (PACKAGING / "berth.service").read_text().replace("/usr/bin/berthd", program)
    socket = (PACKAGING / "berth.socket").read_text().replace("/run/docker.sock", f"{root}/s")
    (UNITS / "berth.service").write_text(service.replace("[Service]", f"[Service]\n{paths}"))
    (UNITS / "berth.socket").write_text(socket.replace("SocketGroup=docker", "SocketGroup=root"))
    try:
        systemctl("daemon-reload")
        systemctl("start", "berth.socket")
        yield Reference(f"unix://{root}/s")
    finally:
        systemctl("stop", "berth.socket", "berth.service")
        for unit in ("berth.service", "berth.socket"):
            (UNITS / unit).unlink()
        systemctl("daemon-reload")


def test_a_life_under_systemd(engine_of_systemd: Reference, tmp_path: Path) -> None:
    engine = engine_of_systemd
    assert systemctl("show", "-p", "SubState", "berth.service").strip() == "SubState=dead"
    assert engine.api("GET", "/_ping", timeout_s=60).status == 200  # the first request starts it
    eventually(lambda: systemctl("show", "-p", "SubState", "berth.service").strip() == "SubState=running", 60)
    engine.load_busybox()
    engine.docker("run", "-d", "--name", "c1", "busybox", "sleep", "1000", timeout_s=300)
    (tmp_path / "daemon.json").write_text('{"labels": ["stage=two"]}')
    systemctl("reload", "berth.service")
    eventually(lambda: engine.api("GET", "/info").body["Labels"] == ["stage=two"], 60)
    before = engine.inspect("c1")["State"]
    systemctl("restart", "berth.service")
    assert engine.inspect("c1")["State"] == before and before["Running"]
    engine.docker("rm", "-f", "c1", timeout_s=300)
    engine.close()
