"""Bad input through the stock CLI: Docker's status, Docker's sentence, nothing half-made."""

from __future__ import annotations

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def nothing_half_made(engine: Daemon) -> object:
    yield
    assert engine.docker("ps", "-aq").out == ""


@pytest.mark.parametrize(
    "verb", ["inspect", "start", "stop", "restart", "kill", "rm", "logs", "wait", "attach", "port"]
)
def test_an_unknown_container(engine: Daemon, verb: str) -> None:
    result = engine.docker(verb, "nobody", check=False)
    assert result.code == 1
    words = "No such object: nobody" if verb == "inspect" else "No such container: nobody"
    assert words.lower() in result.err.lower()


def test_exec_in_an_unknown_container(engine: Daemon) -> None:
    result = engine.docker("exec", "nobody", "true", check=False)
    assert result.code == 1 and "No such container: nobody" in result.err


def test_an_unknown_flag_is_the_clients_matter(engine: Daemon) -> None:
    result = engine.docker("run", "--no-such-flag", "busybox", check=False)
    assert result.code == 125 and "unknown flag: --no-such-flag" in result.err


def test_an_image_that_is_not_here_and_must_not_be_pulled(engine: Daemon) -> None:
    result = engine.docker("run", "--pull", "never", "nothing-like-it", "true", check=False)
    assert result.code == 125 and "No such image: nothing-like-it:latest" in result.err


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["nothing-here"], 127, 'exec: "nothing-here": executable file not found in $PATH'),
        (["/no/such"], 127, "no such file or directory"),
        (["/etc/passwd"], 126, "permission denied"),
        (["/etc"], 126, "is a directory"),
    ],
)
def test_a_command_that_cannot_be_executed(engine: Daemon, command: list[str], code: int, words: str) -> None:
    result = engine.docker("run", "--rm", "busybox", *command, check=False)
    assert (result.code, words in result.err) == (code, True), result


def test_the_container_of_a_failed_start_stays_to_be_looked_at(engine: Daemon) -> None:
    engine.docker("run", "--name", "failed", "busybox", "nothing-here", check=False)
    state = engine.inspect("failed")["State"]
    assert (state["Status"], state["ExitCode"], state["Running"]) == ("created", 127, False)
    assert "executable file not found" in state["Error"]
    engine.docker("rm", "failed")


def test_a_name_in_use(engine: Daemon) -> None:
    ident = engine.docker("create", "--name", "mine", "busybox").out.strip()
    result = engine.docker("create", "--name", "mine", "busybox", check=False)
    assert result.code == 1
    assert f'The container name "/mine" is already in use by container "{ident}"' in result.err
    engine.docker("rm", "mine")


def test_a_name_that_is_none(engine: Daemon) -> None:
    result = engine.docker("create", "--name", "not/a/name", "busybox", check=False)
    assert result.code == 1 and "Invalid container name (not/a/name)" in result.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-u", "nobody-knows"], "unable to find user nobody-knows"),
        (["--network", "no-such-net"], "network no-such-net not found"),  # by start: the CLI pulls after create's 404
        (["--network", "container:no-such"], "No such container: no-such"),
        (["--security-opt", "no-such-option"], "no-such-option"),
        (["--log-driver", "no-such-driver"], "no-such-driver"),
        (["--runtime", "no-such-runtime"], "no-such-runtime"),
        (["-v", "relative/path:/x"], "relative/path"),
        (["--mount", "type=bind,src=/does/not/exist,dst=/x"], "bind source path does not exist: /does/not/exist"),
        (["--cap-add", "NO_SUCH_CAP"], "NO_SUCH_CAP"),
        (["--log-opt", "max-size=nonsense"], "nonsense"),
        (["--log-opt", "no-such-opt=1"], "no-such-opt"),
        (["-w", "not/absolute"], "is invalid, it needs to be an absolute path"),
    ],
)
def test_options_that_cannot_be(engine: Daemon, flags: list[str], words: str) -> None:
    result = engine.docker("run", "--rm", *flags, "busybox", "true", check=False)
    assert result.code in (125, 126), result
    assert words in result.err


def test_an_ambiguous_id(engine: Daemon) -> None:
    idents = [engine.docker("create", "busybox").out.strip() for _ in range(17)]  # two share their first digit
    first = next(i[0] for i in idents if sum(other[0] == i[0] for other in idents) > 1)
    result = engine.docker("start", first, check=False)
    assert result.code == 1 and "multiple IDs found with provided prefix" in result.err.replace("Multiple", "multiple")
    engine.docker("rm", *idents)
