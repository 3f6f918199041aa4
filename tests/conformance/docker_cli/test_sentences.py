"""What the stock CLI shows for verbs that cannot be done: every line was taken from Docker 28.5.2.

Held against Docker itself by ``python -m bench.docker -- pytest tests/conformance/docker_cli/test_sentences.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root

IN_USE = (
    'Conflict. The container name "/made" is already in use by container "ID". You have to remove (or rename) that '
)


@pytest.fixture(scope="module")
def box(shared_daemon: Daemon) -> Iterator[Daemon]:
    """``runs`` runs (with published ports), ``made`` never did, ``goes`` has --rm."""
    ports = ("-p", "127.0.0.1:28431:8000", "-p", "127.0.0.1:28432:81/udp", "--expose", "90")
    shared_daemon.docker("run", "-d", "--name", "runs", *ports, "-l", "a=b", "-v", "/vol", "busybox", "sleep", "1000")
    shared_daemon.docker("create", "--name", "made", "busybox", "true")
    shared_daemon.docker("run", "-d", "--rm", "--name", "goes", "busybox", "sleep", "1000")
    yield shared_daemon
    shared_daemon.remove_all()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("kill made", "cannot kill container: made: container ID is not running"),
        ("kill nobody", "cannot kill container: nobody: No such container: nobody"),
        ("kill -s NOPE runs", "cannot kill container: runs: invalid signal: NOPE"),
        ("pause made", "container ID is not running"),
        ("unpause runs", "Container ID is not paused"),
        ("rename runs made", f"Error when allocating new name: {IN_USE}"),
        ("rename runs runs", "Renaming a container with the same name as its current name"),
        ("rename nobody other", "No such container: nobody"),
        ("update -m 100m runs", "Cannot update container ID: Memory limit should be smaller than already set memoryswap limit, "
                                "update the memoryswap at the same time"),
        ("update -m 1m runs", "Minimum memory limit allowed is 6MB"),
        ("update --restart nonsense runs", "invalid restart policy: unknown policy 'nonsense'"),
        ("update --restart always goes", "Cannot update container ID: Restart policy cannot be updated because AutoRemove is "
                                         "enabled for the container"),
        ("exec made true", "container ID is not running"),
        ("attach made", "cannot attach to a stopped container"),
        ("top made", "container ID is not running"),
        ("rm runs", 'cannot remove container "runs": container is running: stop the container before removing or force remove'),
        ("run --rm --network container:nobody busybox true", "joining network namespace of container: No such container: nobody"),
        ("run --rm --network container:made busybox true", "cannot join network namespace of a non running container: "
                                                           "container made is created"),
        ("run --rm --pid container:made busybox true", "failed to join PID namespace: container ID is not running"),
        ("run --rm --ipc container:runs busybox true", "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"),
        ("run --rm --name runs busybox true", 'The container name "/runs" is already in use by container "ID"'),
        ("run --rm --gpus all busybox true", 'could not select device driver "" with capabilities: [[gpu]]'),
        ("run --rm --runtime nope busybox true", "unknown or invalid runtime name: nope"),
        ("ps --filter is-task=x", "invalid filter 'is-task=[x]'"),
        ("ps --filter health=x", "invalid value for health (x): must be one of none, starting, healthy, unhealthy"),
        ("ps --filter status=x", "invalid value for state (x): must be one of created, running, paused, restarting, removing, "
                                 "exited, dead"),
        ("ps --filter exited=x", "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax"),
        ("ps --filter expose=x", 'error while looking up for expose x: strconv.ParseUint: parsing "x": invalid syntax'),
        ("ps --filter publish=x", 'error while looking up for publish x: strconv.ParseUint: parsing "x": invalid syntax'),
        ("ps --filter nope=1", "invalid filter 'nope'"),
        ("events --since 10 --until 5", "`since` time (10) cannot be after `until` time (5)"),
    ],
)  # fmt: skip
def test_what_cannot_be_done(box: Daemon, command: str, words: str) -> None:
    result = box.docker(*command.split(), check=False)
    assert result.code in (1, 125, 126, 127)
    assert words in re.sub(r"\b[0-9a-f]{64}\b", "ID", result.err)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("publish=28431", {"runs"}), ("publish=28431/tcp", {"runs"}), ("publish=28431/udp", set()),
        ("publish=28432/udp", {"runs"}),
        ("publish=28400-28500", {"runs"}), ("publish=8000", set()), ("expose=8000", {"runs"}),
        ("publish=90", set()), ("expose=90", {"runs"}), ("expose=90/udp", set()),
        ("is-task=true", set()), ("is-task=false", {"runs", "made", "goes"}), ("volume=/vol", {"runs"}), ("volume=/x", set()),
        ("network=none", set()), ("network=bridge", {"runs", "made", "goes"}), ("ancestor=busybox", {"runs", "made", "goes"}),
        ("ancestor=nope", set()), ("health=none", {"runs", "made", "goes"}), ("health=healthy", set()),
        ("status=created", {"made"}), ("exited=0", set()), ("before=made", {"runs"}), ("since=made", {"goes"}),
        ("name=^/runs$", {"runs"}), ("name=s", {"runs", "goes"}), ("label=a", {"runs"}), ("label=a=c", set()), ("id=zz", set()),
    ],
)  # fmt: skip
def test_filters(box: Daemon, given: str, found: set[str]) -> None:
    assert set(box.docker("ps", "-a", "--filter", given, "--format", "{{.Names}}").lines) == found


def test_past_events_end_at_once(box: Daemon) -> None:
    for flags in (("--until", "0"), ("--since", "0", "--until", "0")):
        seen = box.docker(
            "events", *flags, "--filter", "event=start", "--format", "{{.Actor.Attributes.name}}", timeout_s=20
        )
        assert "runs" in seen.lines
    assert box.docker("events", "--since", "0", "--until", "1", timeout_s=20).out == ""


def test_an_update_within_the_swap_limit_is_no_conflict(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "box", "-m", "64m", "busybox", "sleep", "1000")
    engine.docker("update", "-m", "100m", "box")
    assert "memoryswap limit" in engine.docker("update", "-m", "200m", "box", check=False).err
    engine.docker("update", "-m", "200m", "--memory-swap", "300m", "box")
    host = engine.inspect("box")["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (200 << 20, 300 << 20)
    for config, words in (
        ({"CpuQuota": 5000, "NanoCpus": 10**9}, "Nano CPUs"),
        ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}}, "cannot be negative"),
    ):
        answer = engine.api("POST", "/containers/box/update", config)
        assert answer.status == 400 and words in answer.body["message"]
    engine.docker("update", "--cpus", "1", "box")
    answer = engine.api("POST", "/containers/box/update", {"CpuQuota": 5000})
    assert answer.status == 409
    assert "CPU Quota cannot be updated as NanoCPUs has already been set" in answer.body["message"]
