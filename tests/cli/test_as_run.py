"""``inspect --as run``: the command that it prints makes the same container again, for every option of ``create``."""

from __future__ import annotations

import contextlib
import io
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from berth.cli.main import main
from golden.cases import CASES, prepare, words_of
from golden.observe import changes, normal
from harness import cli
from harness.daemon import Daemon

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
_NOT_KEPT = ("ConsoleSize", "ContainerIDFile")
"""Of the moment of the creation, not of the container."""


def berth(*words: str) -> tuple[int, str, str]:
    """Our client, in this process: exit status, output, errors."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(words))
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def engine() -> Iterator[Daemon]:
    prepare()
    with Daemon() as daemon, pytest.MonkeyPatch.context() as patch:
        for name, value in cli.client_environ(daemon.host).items():
            if name.startswith("DOCKER_"):
                patch.setenv(name, value)
        daemon.load_busybox()
        yield daemon


def _seen(engine: Daemon, ident: str) -> dict[str, Any]:
    """What of a container is its making."""
    found = engine.api("GET", f"/containers/{ident}/json").body
    kept = {key: found[key] for key in ("Name", "Path", "Args", "Config", "HostConfig", "NetworkSettings")}
    for key in _NOT_KEPT:
        kept["HostConfig"].pop(key, None)
    kept["Config"]["Env"] = list({entry.partition("=")[0]: entry for entry in kept["Config"]["Env"]}.values())
    for mount in kept["HostConfig"].get("Mounts") or ():
        if mount.get("BindOptions") == {}:
            del mount["BindOptions"]  # says nothing
    kept["Mounts"] = [mount for mount in found["Mounts"] if len(mount.get("Name", "")) != 64]
    return normal(kept, short=found["Id"][:12], name=found["Name"][1:])  # type: ignore[no-any-return]


@pytest.mark.parametrize("family", CASES)
def test_round_trip(engine: Daemon, family: str) -> None:
    wrong = []
    for case in CASES[family]:
        status, out, _ = berth("create", *words_of(case))
        if status:
            continue
        ident = out.strip()
        first = _seen(engine, ident)
        status, printed, err = berth("inspect", "--as", "run", ident)
        assert status == 0, f"{case}: {err}"
        engine.api("DELETE", f"/containers/{ident}?force=1")
        words = [word for word in shlex.split(printed)[2:] if word != "-d"]
        status, out, err = berth("create", *words)
        if status:
            wrong.append(f"{case}\n    {printed}    {err}")
            continue
        found = changes(first, _seen(engine, out.strip()))
        engine.api("DELETE", f"/containers/{out.strip()}?force=1")
        if found:
            wrong.append(f"{case}\n    {printed}    {found}")
    assert not wrong, "\n".join(["", *wrong])


def test_networks_and_a_running_container(engine: Daemon) -> None:
    """Addresses that the engine gave are not told, those that were asked for are."""
    for name, subnet in (("one", "10.231.90.0/24"), ("two", "10.231.91.0/24")):
        engine.docker("network", "create", "--subnet", subnet, name)
    asked = [
        "--network",
        "name=one,ip=10.231.90.7,alias=web",
        "--network",
        "two",
        "-e",
        "A=it's",
        "-p",
        "127.0.0.1::80",
    ]
    engine.docker("run", "-d", "--name", "netted", *asked, "busybox", "sleep", "1000")
    status, printed, _ = berth("inspect", "--as", "run", "netted")
    assert status == 0
    words = shlex.split(printed)
    assert words[1:3] == ["run", "-d"]
    assert words[words.index("--network") + 1] == "name=one,ip=10.231.90.7,alias=web"
    assert words[-7:] == ["--network", "two", "--publish", "127.0.0.1::80", "busybox", "sleep", "1000"]
    assert "A=it's" in words
    engine.docker("rm", "-f", "netted")
    engine.docker("network", "rm", "one", "two")


def test_it_says_what_it_cannot(engine: Daemon) -> None:
    assert berth("inspect", "--as", "compose", "x") == (
        1, "", 'invalid --as "compose": containers can be told as "run"\n')  # fmt: skip
    assert berth("inspect", "--as", "run", "nope") == (1, "", "Error response from daemon: No such container: nope\n")
