"""Bad input to the API of containers: each is a 4xx with a sentence, nothing is half-made, and the engine goes on."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, get_origin, get_type_hints, is_typeddict

import pytest

from berth.api import codec
from berth.api.openapi import build
from berth.spec.api import host_config
from harness.daemon import Answer, Daemon

pytestmark = pytest.mark.root

WRONG: dict[Any, tuple[Any, ...]] = {
    str: (7, [], {}, True), int: ("x", [], {}, 1.5, 2**70), bool: ("x", 1, []), float: ("x", []),
    list: ("x", 7, {"a": 1}), dict: ("x", 7, ["a"]),
}  # fmt: skip


def create(engine: Daemon, **body: Any) -> Answer:
    return engine.api("POST", "/v1.51/containers/create", {"Image": "busybox", **body})


def wrong_values(kind: Any) -> list[tuple[str, Any]]:
    """(key, a value of another type) for every key of a TypedDict."""
    build([], "1.51")  # the modules of the types name each other's there
    found = []
    for key, hint in get_type_hints(kind, vars(host_config)).items():
        base = dict if is_typeddict(hint) else get_origin(hint) or hint
        found += [(key, value) for value in WRONG.get(base, ())]
    return found


def none_made(engine: Daemon) -> None:
    assert engine.docker("ps", "-aq").out == ""


@pytest.mark.parametrize("part", ["Config", "HostConfig"])
def test_every_key_with_another_type(engine: Daemon, part: str) -> None:
    kind = codec.CreateBody if part == "Config" else host_config.HostConfig
    values = wrong_values(kind)
    assert len(values) > 60
    for key, value in values:
        if part == "Config" and key == "Image":
            continue
        answer = create(engine, **({key: value} if part == "Config" else {"HostConfig": {key: value}}))
        if answer.status == 201:  # what Go takes as well: one word for a list of words
            assert key in ("Cmd", "Entrypoint"), (key, value)
            engine.api("DELETE", f"/containers/{answer.body['Id']}")
            continue
        assert answer.status == 400 and answer.body["message"], (key, value, answer)
    none_made(engine)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"RestartPolicy": {"Name": "sometimes"}}, "invalid restart policy: unknown policy 'sometimes'"),
        ({"IpcMode": "x"}, "invalid IPC mode: x"),
        ({"PidMode": "x"}, "invalid PID mode: x"),
        ({"UTSMode": "x"}, "invalid UTS mode: x"),
        ({"CgroupnsMode": "x"}, "invalid cgroup namespace mode: x"),
        ({"Isolation": "hyperv"}, "invalid isolation"),
        ({"CapAdd": ["NOPE"]}, 'invalid CapAdd: unknown capability: "CAP_NOPE"'),
        ({"SecurityOpt": ["nope=1"]}, 'invalid --security-opt 2: "nope=1"'),
        ({"Mounts": [{"Type": "nope", "Target": "/x"}]}, "mount type unknown"),
        ({"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": {"Propagation": "nope"}}]},
         "invalid propagation mode: nope"),
        ({"Mounts": [{"Type": "bind", "Source": "tmp", "Target": "/x"}]}, "mount path must be absolute"),
        ({"Binds": ["/tmp:/a:nope"]}, "invalid mode: nope"),
        ({"Binds": ["/tmp:/a", "/tmp:/a"]}, "Duplicate mount point: /a"),
        ({"LogConfig": {"Type": "nope"}}, "nope"),
        ({"PortBindings": {"x/tcp": [{}]}}, "invalid port specification"),
        ({"PortBindings": {"80/nope": [{}]}}, "nope"),
        ({"PortBindings": {"80/tcp": [{"HostPort": "70000"}]}}, "invalid port specification"),
        ({"NetworkMode": "container:"}, "invalid container format container:<name|id>"),
        ({"DeviceCgroupRules": ["nope"]}, "invalid device cgroup rule format: 'nope'"),
        ({"Sysctls": {"nope": "1"}}, "nope"),
        ({"OomScoreAdj": 5000}, "range for oom score adj is [-1000, 1000]"),
        ({"BlkioWeight": 5}, ""),
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
        ({"ConsoleSize": [1, 99999]}, "ConsoleSize"),
        ({"Memory": 1}, "Minimum memory limit allowed is 6MB"),
        ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, "can't create 'AutoRemove' container with restart policy"),
        ({"NanoCpus": 10**9, "CpuQuota": 5000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        ({"Memory": 100 << 20, "MemorySwap": 50 << 20}, "Minimum memoryswap limit should be larger than memory limit"),
        ({"MemorySwap": 50 << 20}, "You should always set the Memory limit when using Memoryswap limit"),
        ({"NetworkMode": "host", "Links": ["x:y"]}, "host type networking can't be used with links"),
        ({"NetworkMode": "container:x", "Dns": ["1.1.1.1"]}, "conflicting options: dns and the network mode"),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, "maximum retry count can only be used with 'on-failure'"),
    ],
    ids=lambda part: str(part)[:40],
)  # fmt: skip
def test_values_that_are_none_and_options_that_conflict(engine: Daemon, host: dict[str, Any], words: str) -> None:
    """At create, or at the start where Docker finds it then: never a container that runs with something else."""
    answer = create(engine, Cmd=["true"], HostConfig=host)
    if answer.status == 201:
        started = engine.api("POST", f"/containers/{answer.body['Id']}/start")
        assert started.status == 204 if not words else started.status in (400, 404, 409, 500), (answer, started)
        message = str(started.body)
        engine.api("DELETE", f"/containers/{answer.body['Id']}?force=1&v=1")
    else:
        assert answer.status in (400, 404, 409), answer
        message = answer.body["message"]
    assert words in message and "internal error" not in message
    none_made(engine)


def test_an_id_that_fits_several(engine: Daemon) -> None:
    ids = [create(engine).body["Id"] for _ in range(17)]
    prefix, count = Counter(ident[0] for ident in ids).most_common(1)[0]
    assert count > 1
    for method, path in (
        ("GET", "json"),
        ("POST", "start"),
        ("POST", "stop"),
        ("GET", "logs?stdout=1"),
        ("POST", "wait"),
    ):
        answer = engine.api(method, f"/containers/{prefix}/{path}")
        assert (answer.status, answer.body["message"]) == (400, f"multiple IDs found with provided prefix: {prefix}")
    assert engine.api("DELETE", f"/containers/{prefix}").status == 400
    assert len(engine.docker("ps", "-aq").lines) == 17


def test_one_name_for_many_at_once(engine: Daemon) -> None:
    answers: list[Answer] = []

    def make() -> None:
        answers.append(engine.api("POST", "/containers/create?name=wanted", {"Image": "busybox"}))

    threads = [threading.Thread(target=make) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answer.status for answer in answers) == {201: 1, 409: 11}
    (winner,) = (answer.body["Id"] for answer in answers if answer.status == 201)
    assert all(f'is already in use by container "{winner}"' in a.body["message"] for a in answers if a.status == 409)
    assert engine.docker("ps", "-aq", "--no-trunc").lines == [winner]


@pytest.mark.parametrize("name", ["a", "-a", ".a", "a b", "a/b", "a\u00e4", "a\n", "x" * 5000, "%2e%2e", "a:b"])
def test_names_that_are_none(engine: Daemon, name: str) -> None:
    from urllib.parse import quote

    for path in (f"/containers/create?name={quote(name)}",):
        answer = engine.api("POST", path, {"Image": "busybox"})
        if answer.status != 201:
            assert answer.status == 400 and "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed" in answer.body["message"]
            continue
        assert len(name) == 5000  # a name may be long, as in Docker
        engine.api("DELETE", f"/containers/{answer.body['Id']}")
    none_made(engine)


@pytest.mark.parametrize("kind", ["Env", "Cmd", "Labels", "Binds"])
def test_very_many_of_something(engine: Daemon, kind: str) -> None:
    """15 MB of one list: made or refused with a sentence, and the engine answers others meanwhile."""
    many: Any = [f"K{n}={'v' * 1000}" for n in range(14_000)]
    body: dict[str, Any] = {kind: many}
    if kind == "Labels":
        body = {kind: {f"k{n}": "v" * 1000 for n in range(14_000)}}
    elif kind == "Binds":
        body = {"HostConfig": {"Binds": [f"/tmp:/m{n}" for n in range(14_000)]}}
    answer = create(engine, **body)
    assert answer.status in (201, 400), answer
    assert engine.api("GET", "/_ping", timeout_s=5).status == 200
    if answer.status == 201:
        assert engine.api("DELETE", f"/containers/{answer.body['Id']}").status == 204
    none_made(engine)
