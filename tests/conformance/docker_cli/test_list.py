"""``docker ps``, ``inspect``, ``version``, ``info``, ``events`` and the images' verbs as the stock CLI prints them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def test_ps_shows_running_ones_and_with_a_all(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "up", "busybox", "sleep", "1000")
    engine.docker("run", "--name", "done", "busybox", "sh", "-c", "exit 3", check=False)
    line = engine.docker("ps", "--format", "{{.Names}}|{{.Image}}|{{.Command}}|{{.Status}}").out.strip()
    assert re.fullmatch(r'up\|busybox\|"sleep 1000"\|Up (Less than a second|\d+ seconds?)', line)
    every = engine.docker("ps", "-a", "--format", "{{.Names}}|{{.Status}}").lines
    assert every[0].startswith("done|Exited (3) ") and every[1].startswith("up|Up ")


def test_ps_filters(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "up", "-l", "colour=blue", "busybox", "sleep", "1000")
    engine.docker("run", "--name", "done", "-l", "colour=red", "busybox", "true")

    def names(*filters: str) -> list[str]:
        flags = [word for f in filters for word in ("--filter", f)]
        return sorted(engine.docker("ps", "-a", "--format", "{{.Names}}", *flags).lines)

    assert names("status=exited") == ["done"]
    assert names("label=colour") == ["done", "up"]
    assert names("label=colour=blue") == ["up"]
    assert names("name=on") == ["done"]
    assert names("exited=0") == ["done"]
    assert names("ancestor=busybox") == ["done", "up"]
    assert engine.docker("ps", "-a", "--filter", "nonsense=1", check=False).code == 1


def test_inspect_has_what_was_asked_for(engine: Daemon) -> None:
    engine.docker(
        "create", "--name", "cc", "-e", "A=b", "-w", "/w", "--restart", "always", "-p", "80", "busybox", "echo", "x"
    )
    document = json.loads(engine.docker("inspect", "cc").out)[0]
    assert document["Name"] == "/cc" and document["Path"] == "echo" and document["Args"] == ["x"]
    assert "A=b" in document["Config"]["Env"] and document["Config"]["WorkingDir"] == "/w"
    assert document["HostConfig"]["RestartPolicy"] == {"Name": "always", "MaximumRetryCount": 0}
    assert document["State"]["Status"] == "created"
    assert document["State"]["StartedAt"] == "0001-01-01T00:00:00Z"


def test_size(engine: Daemon) -> None:
    engine.docker("run", "--name", "grown", "busybox", "sh", "-c", "head -c 3000000 /dev/zero > /f")
    assert re.search(r"3(\.0\d)?MB \(virtual", engine.docker("ps", "-as").out)


def test_version_and_info(engine: Daemon) -> None:
    assert engine.docker("version", "--format", "{{.Server.APIVersion}}").out.strip()
    document = json.loads(engine.docker("info", "--format", "{{json .}}").out)
    assert document["OSType"] == "linux" and document["Driver"] and document["Images"] >= 1


def test_events_tell_a_life_in_order(engine: Daemon) -> None:
    since = ("--since", f"{time.time():.6f}")  # it may be accepted later than the first event
    process = engine.docker_popen("events", *since, "--format", "{{.Type}} {{.Action}}", "--filter", "container=seen")
    try:
        engine.docker("run", "--rm", "--name", "seen", "busybox", "true")
        assert process.stdout is not None
        wanted = ["create", "attach", "start", "die", "destroy"]
        seen: list[str] = []
        while "destroy" not in seen:
            seen.append(process.stdout.readline().decode().split()[1])
        assert [word for word in seen if word in wanted] in (wanted, ["attach", *wanted[:1], *wanted[2:]])
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_past_events_can_be_asked_for(engine: Daemon) -> None:
    engine.docker("run", "--rm", "--name", "past", "busybox", "true")
    since, until = str(int(time.time()) - 60), str(int(time.time()) + 1)
    lines = engine.docker("events", "--since", since, "--until", until, "--filter", "container=past").lines
    assert any(" container die " in line for line in lines)


def test_tag_list_inspect_remove(engine: Daemon) -> None:
    engine.docker("tag", "busybox", "other:v1")
    lines = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").lines
    assert {"busybox:latest", "other:v1"} <= set(lines)
    first, second = (engine.docker("inspect", "-f", "{{.Id}}", name).out for name in ("busybox", "other:v1"))
    assert first == second
    assert engine.docker("rmi", "other:v1").out == "Untagged: other:v1\n"


def test_an_image_in_use_is_not_removed(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "uses", "busybox", "sleep", "1000")
    result = engine.docker("rmi", "busybox", check=False)
    assert result.code == 1 and "conflict" in result.err and "uses" not in result.out


def test_import_a_filesystem(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "mark").write_text("imported\n")
    tar = subprocess.run(["tar", "-C", str(tmp_path), "-c", "etc"], capture_output=True, check=True).stdout
    ident = engine.docker("import", "-c", 'CMD ["x"]', "-", "imported:v1", stdin=tar).out.strip()
    try:
        document = json.loads(engine.docker("inspect", "imported:v1").out)[0]
        assert document["Id"] == ident and document["Config"]["Cmd"] == ["x"]
    finally:
        engine.docker("rmi", "imported:v1")


def test_images_that_are_not_there(engine: Daemon) -> None:
    for command in (["rmi", "nope"], ["tag", "nope", "x"], ["inspect", "--type", "image", "nope"]):
        result = engine.docker(*command, check=False)
        assert result.code == 1 and "o such image" in result.err


def test_health_of_the_list_after_many_lives(engine: Daemon) -> None:
    for n in range(5):
        engine.docker("run", "-d", "--name", f"n{n}", "busybox", "true")
    eventually(lambda: len(engine.docker("ps", "-aq", "--filter", "status=exited").lines) == 5)
    engine.docker("container", "prune", "-f")
    assert engine.docker("ps", "-aq").out == ""
