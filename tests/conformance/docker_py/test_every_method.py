"""Every method that docker-py 7.1 has for containers and execs, called by its own low-level client and judged by its effect.

``USED`` is what the tests below call; a method of docker-py's that is not among them fails ``test_none_is_left_out``.
"""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.api.container import ContainerApiMixin
from docker.api.exec_api import ExecApiMixin
from docker.errors import APIError, InvalidVersion, NotFound
from docker.types import Healthcheck, LogConfig, Mount, Ulimit

pytestmark = pytest.mark.root

USED: set[str] = set()


class Recorder:
    """docker-py's low-level client, and a note of what was called."""

    def __init__(self, api: docker.APIClient) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        USED.add(name)
        return getattr(self._api, name)


@pytest.fixture
def api(client: docker.DockerClient) -> Recorder:
    return Recorder(client.api)


def run(api: Recorder, command: Any = "sleep 1000", **how: Any) -> str:
    ident = str(api.create_container("busybox", command, **how)["Id"])
    api.start(ident)
    return ident


def tar_of(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def since(api: Recorder, version: str) -> bool:
    return bool(docker.utils.version_gte(api._version, version))


def test_create_with_everything(api: Recorder) -> None:
    host = {
        "binds": ["/tmp:/host:ro"], "port_bindings": {"80/tcp": ("127.0.0.1", None)}, "privileged": False, "dns": ["10.9.8.7"],
        "cap_add": ["NET_ADMIN"], "cap_drop": ["MKNOD"], "extra_hosts": {"other": "10.1.2.3"}, "read_only": True,
        "tmpfs": {"/scratch": "size=1m"}, "ulimits": [Ulimit(name="nofile", soft=100, hard=200)], "mem_limit": "64m",
        "log_config": LogConfig(type="json-file", config={"max-size": "1m"}), "cpu_shares": 100, "pids_limit": 50,
        "shm_size": "8m", "sysctls": {"net.ipv4.ip_forward": "0"}, "oom_score_adj": 100, "group_add": ["1234"],
        "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 2}, "security_opt": ["no-new-privileges"],
        "mounts": [Mount("/mounted", "/tmp", type="bind")], "init": True, "ipc_mode": "private",
    }  # fmt: skip
    if not since(api, "1.30"):
        host.pop("mounts")
    if not since(api, "1.25"):
        host.pop("init")
    config = api.create_container_config(
        "busybox", ["sleep", "1000"], hostname="named", user="1000:50", environment={"A": "1"}, labels={"x": "y"},
        working_dir="/tmp", stop_signal="SIGINT", ports=[80], tty=False, stdin_open=False,
        healthcheck=Healthcheck(test=["CMD", "true"], interval=10**9) if since(api, "1.29") else None,
        host_config=api.create_host_config(**host),
        networking_config=api.create_networking_config({"bridge": api.create_endpoint_config()}),
    )  # fmt: skip
    ident = api.create_container_from_config(config, name="every")["Id"]
    try:
        api.start(ident)
        made = api.exec_create(
            ident, ["sh", "-c", "id -u; id -g; hostname; pwd; echo $A; ulimit -n; grep other /etc/hosts"]
        )
        lines = api.exec_start(made["Id"]).decode().split("\n")
        assert lines[:6] == ["1000", "50", "named", "/tmp", "1", "100"]
        assert lines[6].split() == ["10.1.2.3", "other"]
        found = api.inspect_container("every")
        assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
        assert found["HostConfig"]["ReadonlyRootfs"] and found["HostConfig"]["Memory"] == 64 << 20
        assert {m["Destination"] for m in found["Mounts"]} >= (
            {"/host", "/mounted"} if since(api, "1.30") else {"/host"}
        )
        (binding,) = api.port(ident, 80)
        assert binding["HostIp"] == "127.0.0.1" and int(binding["HostPort"]) > 0
    finally:
        api.remove_container(ident, force=True, v=True)


def test_a_life(api: Recorder) -> None:
    ident = run(api, ["sh", "-c", "trap 'exit 4' TERM; sleep 1000 & wait"], name="life")
    api.pause(ident)
    assert api.inspect_container(ident)["State"]["Paused"]
    api.unpause(ident)
    api.rename(ident, "second")
    assert [c["Names"] for c in api.containers(filters={"name": "second"})] == [["/second"]]
    api.update_container(ident, cpu_shares=77, restart_policy={"Name": "no"} if since(api, "1.23") else None)
    assert api.inspect_container(ident)["HostConfig"]["CpuShares"] == 77
    assert "PID" in api.top(ident)["Titles"]
    assert next(api.stats(ident, decode=True))["memory_stats"]
    assert api.stats(ident, stream=False)["pids_stats"]
    api.restart(ident, timeout=5)
    api.stop(ident, timeout=5)
    assert api.wait(ident)["StatusCode"] == 4
    api.start(ident)
    api.kill(ident, "KILL")
    assert api.wait(ident)["StatusCode"] == 137
    api.remove_container(ident)
    with pytest.raises(NotFound):
        api.inspect_container(ident)


def test_streams(api: Recorder) -> None:
    ident = str(api.create_container("busybox", "cat", stdin_open=True, tty=True)["Id"])
    socket = api.attach_socket(ident, {"stdin": 1, "stdout": 1, "stream": 1})
    api.start(ident)
    api.resize(ident, 30, 90)
    made = api.exec_create(ident, "sleep 5", tty=True)
    output = api.exec_start(made["Id"], tty=True, socket=True)
    api.exec_resize(made["Id"], 33, 99)
    output.close()
    raw = getattr(socket, "_sock", socket)
    raw.sendall(b"typed\n")
    seen = b""
    while seen.count(b"typed") < 2:  # the terminal's echo, and cat's
        seen += raw.recv(1000)
    socket.close()
    assert b"typed" in api.logs(ident)
    api.kill(ident)
    api.remove_container(ident, force=True)


def test_attach(api: Recorder) -> None:
    """Before the start: of what comes together with the headers docker-py loses the beginning, from any engine."""
    ident = str(api.create_container("busybox", "echo words")["Id"])
    output = api.attach(ident, stream=True)
    api.start(ident)
    assert b"".join(output) == b"words\n"


def test_execs(api: Recorder) -> None:
    ident = run(api)
    made = api.exec_create(ident, ["sh", "-c", "echo out; echo err >&2; exit 3"])["Id"]
    assert api.exec_start(made, demux=True) == (b"out\n", b"err\n")
    found = api.exec_inspect(made)
    assert (found["ExitCode"], found["Running"], found["ContainerID"]) == (3, False, ident)
    with pytest.raises(APIError) as caught:
        api.exec_start(made)
    assert caught.value.status_code == 409


def test_files_in_and_out(api: Recorder) -> None:
    ident = run(api)
    assert api.put_archive(ident, "/tmp", tar_of("note", b"words"))
    chunks, status = api.get_archive(ident, "/tmp/note", encode_stream=False)
    assert (status["name"], status["size"]) == ("note", 5)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        member = tar.extractfile("note")
        assert member is not None and member.read() == b"words"
    assert {"Path": "/tmp/note", "Kind": 1} in api.diff(ident)
    with tarfile.open(fileobj=io.BytesIO(b"".join(api.export(ident)))) as tar:
        assert "tmp/note" in tar.getnames()
    for path in ("/nope", "/nope/deep"):
        with pytest.raises(NotFound):
            api.get_archive(ident, path)
    with pytest.raises(APIError) as caught:
        api.put_archive(ident, "/etc/passwd", tar_of("x", b""))
    assert caught.value.status_code == 400


@pytest.fixture
def repository(client: docker.DockerClient) -> Iterator[str]:
    name = f"made{uuid.uuid4().hex[:8]}"
    yield name
    for container in client.containers.list(all=True):
        container.remove(force=True)
    client.images.remove(name, force=True)


def test_commit(api: Recorder, repository: str) -> None:
    ident = run(api, ["sh", "-c", "echo kept >/kept; sleep 1000"])
    made = api.exec_create(ident, ["sh", "-c", "until [ -s /kept ]; do true; done"])["Id"]
    api.exec_start(made)
    image = api.commit(ident, repository, "latest", "words", "Me", changes=["CMD cat /kept"])["Id"]
    other = api.create_container(image)["Id"]
    api.start(other)
    assert api.wait(other)["StatusCode"] == 0
    assert api.logs(other) == b"kept\n"
    found = api.inspect_image(repository)
    assert (found["Author"], found["Comment"]) == ("Me", "words")


def test_prune(api: Recorder) -> None:
    if not since(api, "1.25"):
        with pytest.raises(InvalidVersion):
            api.prune_containers()
        return
    ident = run(api, "true")
    api.wait(ident)
    assert api.prune_containers()["ContainersDeleted"] == [ident]


def test_none_is_left_out() -> None:
    """Runs last: the tests above have noted what they called."""
    methods = {name for mixin in (ContainerApiMixin, ExecApiMixin) for name in vars(mixin) if not name.startswith("_")}
    assert methods - USED == set()
