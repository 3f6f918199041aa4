"""``docker commit``: files, config, history, parent; what runs stands still meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root

CHANGE = (
    "echo new >/new; mkdir /empty; rm /etc/group; chown 5:6 /etc/passwd; echo v >/vol/file; ln /new /twin; touch /ready"
)


@pytest.fixture
def box(engine: Daemon) -> Iterator[Daemon]:
    flags = ("-e", "A=1", "-l", "x=y", "-p", "80", "-w", "/tmp", "-v", "/vol", "--stop-signal", "INT")
    engine.docker("run", "-d", "--name", "box", *flags, "busybox", "sh", "-c", f"{CHANGE}; exec sleep 1000")
    engine.docker("exec", "box", "sh", "-c", "until [ -e /ready ]; do true; done")
    yield engine
    engine.remove_all()
    made = [i for i in engine.docker("images", "-q").lines if i != image(engine, "busybox")["Id"][7:19]]
    if made:
        engine.docker("rmi", "-f", *made)


def image(engine: Daemon, ref: str) -> dict[str, Any]:
    return dict(json.loads(engine.docker("image", "inspect", ref).out)[0])


def test_files_are_what_they_were(box: Daemon) -> None:
    ident = box.docker("commit", "box").out.strip()
    script = "cat /new /twin; stat -c '%u:%g %h' /etc/passwd /new; ls /etc/group /vol/file; ls -d /empty"
    result = box.docker("run", "--rm", "--entrypoint", "sh", ident, "-c", script, check=False)
    assert result.lines == ["new", "new", "5:6 1", "0:0 2", "/empty"]
    assert "/etc/group: No such file" in result.err and "/vol/file: No such file" in result.err


def test_what_it_says_of_itself(box: Daemon) -> None:
    changes = ('CMD ["ls"]', "ENV B=2 A=3", "LABEL q=1", "EXPOSE 81 90-91/udp", "ENTRYPOINT top", "VOLUME /v2", "USER u",
               "WORKDIR rel", "STOPSIGNAL 9", "HEALTHCHECK --interval=3s --retries=2 CMD true", "ONBUILD RUN x")  # fmt: skip
    flags = [word for change in changes for word in ("-c", change)]
    ident = box.docker("commit", "-a", "Me", "-m", "words", *flags, "box", "made:one").out.strip()
    found = image(box, "made:one")
    assert (found["Id"], found["Author"], found["Comment"]) == (ident, "Me", "words")
    assert found["Parent"] == image(box, "busybox")["Id"]
    assert found["RootFS"]["Layers"][:-1] == image(box, "busybox")["RootFS"]["Layers"]
    config = found["Config"]
    assert config["Cmd"] == ["ls"] and config["Entrypoint"] == ["/bin/sh", "-c", "top"]
    assert {"A=3", "B=2"} <= set(config["Env"])
    assert config["Labels"] == {"x": "y", "q": "1"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "81/tcp", "90/udp", "91/udp"}
    assert set(config["Volumes"]) == {"/vol", "/v2"}
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("u", "/tmp/rel", "9")
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 3_000_000_000, "Retries": 2}
    assert config["OnBuild"] == ["RUN x"]
    step = json.loads(box.docker("history", "--no-trunc", "--format", "{{json .}}", "made:one").lines[0])
    assert step["CreatedBy"].startswith("sh -c echo new") and step["Comment"] == "words"


def test_the_config_of_the_request_goes_before_the_containers(box: Daemon) -> None:
    answer = box.api("POST", "/v1.51/commit?container=box&repo=made&tag=two", {"Env": ["Z=1"], "Cmd": ["own"]})
    assert answer.status == 201
    config = image(box, "made:two")["Config"]
    assert config["Cmd"] == ["own"] and config["Env"][:2] == ["Z=1", "A=1"] and config["WorkingDir"] == "/tmp"


def test_events_tell_the_pause(box: Daemon) -> None:
    def actions(*flags: str) -> list[str]:
        now = ("info", "-f", "{{.SystemTime}}")
        before = box.docker(*now).out.strip()
        box.docker("commit", *flags, "box", "made:three")
        span = ("--since", before, "--until", box.docker(*now).out.strip())
        return box.docker("events", *span, "--format", "{{.Type}} {{.Action}}").lines

    made = ["image create", "image tag", "container commit"]
    assert actions() == ["container pause", *made, "container unpause"]
    assert actions("--pause=false") == made


@pytest.mark.parametrize("state", ["pause", "stop"])
def test_what_does_not_run_stays_so(box: Daemon, state: str) -> None:
    box.docker(state, "box")
    before = box.inspect("box")["State"]
    box.docker("commit", "box", "made:four")
    assert box.inspect("box")["State"] == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("nobody",), "No such container: nobody"),
        (("-c", "RUN x", "box"), "RUN is not a valid change command"),
        (("-c", "EXPOSE x", "box"), "Invalid containerPort: x"),
        (("-c", "ENV", "box"), "ENV requires at least one argument"),
        (("-c", "HEALTHCHECK x", "box"), 'Unknown type "X" in HEALTHCHECK (try CMD)'),
    ],
)
def test_bad_input_makes_nothing(box: Daemon, flags: tuple[str, ...], words: str) -> None:
    before = box.docker("images", "-aq").lines
    result = box.docker("commit", *flags, check=False)
    assert result.code == 1 and words in result.err
    assert box.docker("images", "-aq").lines == before
    assert box.inspect("box")["State"]["Status"] == "running"


def test_an_image_of_an_image_can_be_saved_and_loaded(box: Daemon, tmp_path: Any) -> None:
    box.docker("commit", "box", "made:five")
    box.docker("run", "--name", "second", "made:five", "sh", "-c", "echo again >/again")
    box.docker("commit", "second", "made:six")
    box.docker("rm", "-v", "second")
    box.docker("save", "-o", f"{tmp_path}/six.tar", "made:six")
    box.docker("rmi", "made:six")
    box.docker("load", "-i", f"{tmp_path}/six.tar")
    assert box.docker("run", "--rm", "made:six", "cat", "/new", "/again").lines == ["new", "again"]


def test_where_layers_are_copies(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon("--storage-driver=vfs")
    daemon.docker("run", "--name", "box", "busybox", "sh", "-c", "echo new >/new; rm /etc/group")
    ident = daemon.docker("commit", "box").out.strip()
    result = daemon.docker("run", "--rm", ident, "sh", "-c", "cat /new; ls /etc/group", check=False)
    assert result.out == "new\n" and "No such file" in result.err
