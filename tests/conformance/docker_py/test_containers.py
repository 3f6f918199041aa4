"""The container parts of docker-py's client: runs, streams, execs, waits, events, statistics."""

from __future__ import annotations

import io
import socket
import tarfile
import threading
import time

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.models.containers import Container

from harness.eventually import eventually

pytestmark = pytest.mark.root

Client = docker.DockerClient


def sleeper(client: Client, **how: object) -> Container:
    return client.containers.run("busybox", "sleep 1000", detach=True, **how)


def test_run_gives_the_output(client: Client) -> None:
    assert client.containers.run("busybox", "echo words", remove=client.api._version >= "1.25") == b"words\n"


def test_run_that_fails_tells_status_and_stderr(newest: Client) -> None:
    with pytest.raises(ContainerError) as caught:
        newest.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 3"])
    assert caught.value.exit_status == 3 and caught.value.stderr == b"bad\n"


def test_life(client: Client) -> None:
    container = client.containers.create("busybox", ["sh", "-c", "trap 'exit 4' TERM; sleep 1000 & wait"], name="life")
    assert container.status == "created"
    container.start()
    container.reload()
    assert container.status == "running"
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    container.rename("life2")
    assert client.containers.get("life2").id == container.id
    container.restart(timeout=5)
    container.stop(timeout=5)
    assert container.wait()["StatusCode"] == 4
    container.start()
    container.kill()
    assert container.wait()["StatusCode"] == 137
    container.remove()
    with pytest.raises(NotFound) as caught:
        client.containers.get("life2")
    assert caught.value.explanation == "No such container: life2"


def test_list_and_filters(client: Client) -> None:
    one = sleeper(client, name="one1", labels={"a": "b"})
    two = client.containers.create("busybox", "true", name="two2", labels={"a": "c"})
    assert [c.name for c in client.containers.list()] == ["one1"]
    assert {c.name for c in client.containers.list(all=True)} == {"one1", "two2"}
    assert [c.id for c in client.containers.list(all=True, filters={"label": "a=c"})] == [two.id]
    assert [c.id for c in client.containers.list(filters={"status": "running", "name": "one"})] == [one.id]
    assert client.containers.list(all=True, limit=1)[0].id == two.id
    with pytest.raises(APIError) as caught:
        client.containers.list(filters={"nonsense": "1"})
    assert caught.value.status_code == 400


def test_logs(client: Client) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "echo one; echo two >&2; sleep 0.3; echo three"], detach=True
    )
    container.wait()
    assert sorted(container.logs().splitlines()) == [b"one", b"three", b"two"]
    assert container.logs(stderr=False).splitlines() == [b"one", b"three"]
    assert container.logs(stdout=False) == b"two\n"
    assert container.logs(stderr=False, tail=1) == b"three\n"
    assert container.logs(stdout=True, stderr=False, timestamps=True).startswith(b"20")
    assert b"".join(container.logs(stream=True, follow=True, stderr=False)) == b"one\nthree\n"
    assert container.logs(since=int(time.time()) + 1000) == b""


def test_logs_follow_until_the_end(client: Client) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"], detach=True
    )
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"


def test_attach(newest: Client) -> None:
    container = newest.containers.create("busybox", ["sh", "-c", "echo out; echo err >&2"])
    stream = container.attach(stream=True, logs=True, demux=True)
    container.start()
    parts = list(stream)
    assert b"".join(out for out, _ in parts if out) == b"out\n"
    assert b"".join(err for _, err in parts if err) == b"err\n"


def test_the_first_words_of_a_fast_program_are_heard(newest: Client) -> None:
    """docker-py loses what comes in one read with the answer; a start must wait for an attach that was accepted."""
    container = sleeper(newest)
    assert {container.exec_run("echo words").output for _ in range(100)} == {b"words\n"}
    for _ in range(25):
        brief = newest.containers.create("busybox", ["echo", "words"])
        stream = brief.attach(stream=True, logs=True)
        brief.start()
        assert b"".join(stream) == b"words\n"


def test_attach_socket_takes_input(client: Client) -> None:
    container = client.containers.create("busybox", "cat", stdin_open=True, tty=False)
    raw = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    sock = raw._sock
    sock.settimeout(20)
    sock.sendall(b"words\n")
    got = b""
    while len(got) < 14:
        got += sock.recv(100)
    assert got == b"\x01\0\0\0\0\0\0\x06words\n"
    container.kill()
    assert sock.recv(100) == b""
    raw.close()


def test_exec(client: Client) -> None:
    container = sleeper(client)
    result = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 5"])
    assert result.exit_code == 5 and sorted(result.output.splitlines()) == [b"err", b"out"]
    assert container.exec_run("echo words", demux=True).output == (b"words\n", None)
    assert container.exec_run("sh -c 'test -t 0 && echo terminal'", tty=True, stdin=True).output == b"terminal\r\n"
    assert b"".join(container.exec_run("sh -c 'echo 1; sleep 0.1; echo 2'", stream=True).output) == b"1\n2\n"
    assert container.exec_run("id -u", user="1000").output == b"1000\n"
    assert not container.exec_run("true", detach=True).output
    made = client.api.exec_create(container.id, "sleep 1000")
    client.api.exec_start(made["Id"], detach=True)
    eventually(lambda: client.api.exec_inspect(made["Id"])["Running"])
    assert client.api.exec_inspect(made["Id"])["ContainerID"] == container.id


def test_exec_socket(newest: Client) -> None:
    container = sleeper(newest)
    _, raw = container.exec_run("cat", stdin=True, socket=True)
    sock = raw._sock
    sock.settimeout(20)
    sock.sendall(b"in\n")
    sock.shutdown(socket.SHUT_WR)
    got = b""
    while chunk := sock.recv(100):
        got += chunk
    assert got == b"\x01\0\0\0\0\0\0\x03in\n"
    raw.close()


def test_environment_and_directory_of_an_exec(newest: Client) -> None:
    container = sleeper(newest)
    assert container.exec_run(["sh", "-c", "echo $A"], environment={"A": "b"}).output == b"b\n"
    assert container.exec_run("pwd", workdir="/tmp").output == b"/tmp\n"


def test_wait_conditions(newest: Client) -> None:
    container = newest.containers.create("busybox", "sh -c 'exit 6'")
    answers: list[dict[str, object]] = []

    def wait() -> None:
        answers.append(container.wait(condition="next-exit"))

    waiter = threading.Thread(target=wait)
    waiter.start()
    eventually(lambda: container.start() or True)
    waiter.join(20)
    assert answers == [{"StatusCode": 6}]
    with pytest.raises(APIError) as caught:
        container.wait(condition="tomorrow")
    assert caught.value.explanation == 'invalid condition: "tomorrow"'


def test_events(newest: Client) -> None:
    since = time.time()
    container = newest.containers.run("busybox", "true", name="seen", detach=True, labels={"who": "me"})
    container.wait()
    container.remove()

    def actions(**filters: object) -> list[str]:
        found = newest.events(since=since, until=time.time() + 0.5, filters=filters, decode=True)
        return [event["Action"] for event in found]

    assert actions(container="seen") == ["create", "start", "die", "destroy"]
    assert actions(container=container.id, event=["die"]) == ["die"]
    assert actions(label="who=me", type="container", event="start") == ["start"]
    assert actions(type="volume") == []
    died = next(iter(newest.events(since=since, until=time.time(), filters={"event": "die"}, decode=True)))
    assert died["Actor"]["Attributes"]["exitCode"] == "0" and died["Actor"]["Attributes"]["name"] == "seen"
    assert died["timeNano"] // 10**9 == died["time"]


def test_live_events(client: Client) -> None:
    stream = client.events(decode=True, filters={"type": "container"})
    got: list[str] = []

    def read() -> None:
        for event in stream:
            got.append(event["Action"])

    reader = threading.Thread(target=read)
    reader.start()
    container = client.containers.run("busybox", "true", detach=True)
    container.wait()
    eventually(lambda: {"start", "die"} <= set(got))
    stream.close()
    reader.join(20)


def test_stats_top_diff_and_export(client: Client) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo 1 > /file; exec sleep 1000"], detach=True)
    sample = container.stats(stream=False)
    assert sample["memory_stats"]["usage"] > 0 and sample["cpu_stats"]["online_cpus"] > 0
    stream = container.stats(stream=True, decode=True)
    assert next(stream)["id"] == container.id
    stream.close()
    titles = container.top()["Titles"]
    assert "PID" in titles and "CMD" in titles
    assert any("sleep 1000" in " ".join(process) for process in container.top()["Processes"])
    assert {"Path": "/file", "Kind": 1} in container.diff()
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as archive:
        assert "file" in archive.getnames()


def test_update_and_inspect(client: Client) -> None:
    container = sleeper(client, mem_limit="64m", environment={"A": "b"}, ports={"80/tcp": None}, hostname="here")
    container.update(mem_limit="96m", memswap_limit="192m", cpu_shares=512)
    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 96 << 20
    assert container.attrs["HostConfig"]["CpuShares"] == 512
    assert "A=b" in container.attrs["Config"]["Env"]
    assert container.attrs["Config"]["Hostname"] == "here"
    assert container.image.tags == ["busybox:latest"]
    assert container.ports["80/tcp"][0]["HostPort"].isdigit()
    assert container.short_id == container.id[:12]


def test_resize(client: Client) -> None:
    container = client.containers.run(
        "busybox", ["sh", "-c", "while :; do stty size; sleep 0.1; done"], tty=True, detach=True
    )
    container.resize(33, 44)
    eventually(lambda: b"33 44" in container.logs())


def test_prune(newest: Client) -> None:
    ended = newest.containers.run("busybox", "true", detach=True, labels={"prune": "me"})
    ended.wait()
    kept = sleeper(newest)
    pruned = newest.containers.prune(filters={"label": "prune=me"})
    assert pruned["ContainersDeleted"] == [ended.id] and pruned["SpaceReclaimed"] >= 0
    assert [c.id for c in newest.containers.list(all=True)] == [kept.id]


def test_errors(client: Client) -> None:
    with pytest.raises(ImageNotFound):
        client.containers.create("no-such-image", "true")
    container = sleeper(client, name="taken")
    with pytest.raises(APIError) as caught:
        client.containers.create("busybox", name="taken")
    assert caught.value.status_code == 409
    assert caught.value.explanation.startswith('Conflict. The container name "/taken" is already in use by container')
    with pytest.raises(APIError) as caught:
        container.remove()
    assert caught.value.status_code == 409
    container.stop(timeout=0)
    with pytest.raises(APIError) as caught:
        container.kill()
    assert caught.value.status_code == 409 and "is not running" in caught.value.explanation


def test_system(client: Client) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == "1.51"
    assert client.info()["OSType"] == "linux"
    with pytest.raises(APIError) as caught:
        client.swarm.reload()
    assert caught.value.status_code == 503
    assert caught.value.explanation.startswith("This node is not a swarm manager.")
