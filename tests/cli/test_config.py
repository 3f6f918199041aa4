"""``config.json`` and ``DOCKER_*``, read as docker reads them."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.daemon import Daemon

pytestmark = pytest.mark.root


class Home:
    """A configuration folder of the test's own."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.environ = cli.client_environ(host, {"DOCKER_CONFIG": str(folder)})

    def settings(self, **settings: Any) -> None:
        (self.folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")

    def berth(self, *words: str, check: bool = True, **more: str) -> cli.Result:
        return cli.run([*cli.berth_command(), *words], env={**self.environ, **more}, check=check)

    def program(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
        path.chmod(0o755)
        return path


@pytest.fixture
def home(engine: Daemon, tmp_path: Path) -> Home:
    return Home(tmp_path, engine.host)


def test_formats(engine: Daemon, home: Home) -> None:
    home.settings(
        psFormat="{{.Names}}!", imagesFormat="{{.Repository}}?", networksFormat="{{.Name}}#", volumesFormat="{{.Name}}$",
        statsFormat="{{.Name}}%",
    )  # fmt: skip
    engine.docker("run", "-d", "--name", "formatted", "-v", "formats:/v", "busybox", "sleep", "1000")
    assert home.berth("ps").out == "formatted!\n"
    assert home.berth("ps", "--format", "{{.Names}}").out == "formatted\n"
    assert "busybox?\n" in home.berth("images").out
    assert "bridge#\n" in home.berth("network", "ls").out
    assert home.berth("volume", "ls").out == "formats$\n"
    assert home.berth("stats", "--no-stream").out == "formatted%\n"
    engine.docker("rm", "-fv", "formatted")
    engine.docker("volume", "rm", "formats")


def test_detach_keys(engine: Daemon, home: Home) -> None:
    home.settings(detachKeys="ctrl-x,x")
    with cli.Pty([*cli.berth_command(), "run", "-it", "--name", "left", "busybox", "cat"], env=home.environ) as pty:
        pty.send("here\n")
        pty.expect("here.*here")
        pty.send("\x18x")
        assert pty.wait() == 0
    assert engine.inspect("left")["State"]["Running"]


def test_proxies_become_variables(home: Home) -> None:
    home.settings(proxies={"default": {"httpProxy": "http://p:1", "noProxy": "example.org"}})
    found = home.berth("run", "--rm", "-e", "no_proxy=mine", "busybox", "env").out.splitlines()
    assert {"HTTP_PROXY=http://p:1", "http_proxy=http://p:1", "NO_PROXY=example.org", "no_proxy=mine"} <= set(found)


def test_headers_are_sent(home: Home) -> None:
    home.settings(HttpHeaders={"X-Meta": "from the settings"})
    server = socket.create_server(("127.0.0.1", 0))
    heads: list[bytes] = []

    def once() -> None:
        client, _ = server.accept()
        heads.append(client.recv(65536))
        client.close()

    thread = threading.Thread(target=once)
    thread.start()
    home.berth("-H", f"tcp://127.0.0.1:{server.getsockname()[1]}", "ps", check=False)
    thread.join()
    server.close()
    assert b"\r\nX-Meta: from the settings\r\n" in heads[0]


def test_aliases(home: Home) -> None:
    home.settings(aliases={"list": "container ls --all"})
    assert home.berth("list", "-q").out == ""
    assert "unknown command: berth list2" in home.berth("list2", check=False).err


def test_a_broken_file_is_told_and_not_used(home: Home) -> None:
    (home.folder / "config.json").write_text("{", encoding="utf-8")
    found = home.berth("ps", "-q")
    assert found.out == ""
    assert f"WARNING: Error parsing config file ({home.folder}/config.json)" in found.err


_METADATA = """if [ "$1" = docker-cli-plugin-metadata ]; then
echo '{"SchemaVersion": "0.1.0", "Vendor": "V", "Version": "1.0", "ShortDescription": "greets"}'; exit; fi
"""


def test_plugins(home: Home, tmp_path: Path) -> None:
    home.program("cli-plugins/docker-hello", _METADATA + 'echo "hello $*"; exit 7\n')
    home.program("more/docker-extra", _METADATA + 'echo "extra $*"\n')
    home.program("cli-plugins/docker-nothing", "exit 1\n")
    home.settings(cliPluginsExtraDirs=[str(home.folder / "more")])
    found = home.berth("hello", "world", "--flag", check=False)
    assert (found.code, found.out) == (7, "hello hello world --flag\n")
    assert home.berth("extra").out == "extra extra\n"
    help_ = home.berth("--help").out
    assert "  hello*      greets\n" in help_
    assert "Invalid Plugins:\n  nothing     failed to fetch metadata: exit status 1\n" in help_
    assert home.berth("nothing", check=False).code == 1


def test_what_plugins_say_afterwards(home: Home) -> None:
    """At a terminal, as docker's client: the same words to the plugin and to the user."""
    log = home.folder / "asked"
    answer = """{"Type":0,"Template":"{{.Name}} {{flag . \\\"quiet\\\"}} {{arg . 0}}."}"""
    home.program("cli-plugins/docker-hinty", f"{_METADATA}echo \"$@\" >> {log}\necho '{answer}'\n")
    for name, answers in (("broken", "no json"), ("odd", '{"Type":0,"Template":"{{"}')):
        home.program(f"cli-plugins/docker-{name}", f"{_METADATA}echo '{answers}'\n")
    hooks = {name: {"hooks": "images,volume ls"} for name in ("hinty", "broken", "odd", "absent")}
    said: dict[str, list[str]] = {}
    for enabled in ("true", "false"):
        home.settings(features={"hooks": enabled}, plugins=hooks)
        for program in ([cli.docker_program()], cli.berth_command()):
            for words in (("images", "-q", "nothing"), ("volume", "ls", "--filter", "name=nothing"), ("ps", "-q")):
                with cli.Pty([*program, *words], env={**home.environ, "DOCKER_CLI_HINTS": ""}) as terminal:
                    assert terminal.wait() == 0
                    said.setdefault(f"{enabled} {words}", []).append(terminal.seen.decode())
    assert all(theirs == ours for theirs, ours in said.values()), said
    assert "What's next:" in said["true ('images', '-q', 'nothing')"][0]
    asked = log.read_text().splitlines()
    assert asked[:2] == asked[2:] and len(asked) == 4, asked
    assert "What's next" not in home.berth("images").err  # no terminal


def test_a_plugin_completes_its_own_words(home: Home) -> None:
    answer = """[ "$1" = __complete ] && { shift; printf '%s\\tsaid\\n' "$@"; echo :6; }\n"""
    home.program("cli-plugins/docker-hello", _METADATA + answer)
    home.program("cli-plugins/docker-silent", _METADATA)
    assert home.berth("__complete", "hello", "up", "").out == "hello\tsaid\nup\tsaid\n\tsaid\n:6\n"
    assert home.berth("__complete", "silent", "").out == ":1\n"
    assert home.berth("__complete", "hel").out == "hello\tgreets\n:4\n"


def test_credentials_by_a_helper(home: Home) -> None:
    log = home.folder / "asked"
    helper = f'echo "$1 $(cat)" >> {log}\n[ "$1" = get ] && echo \'{{"Username": "u", "Secret": "s"}}\' || true\n'
    home.program("bin/docker-credential-test", helper)
    home.settings(credHelpers={"127.0.0.1:1": "test"})
    path = f"{home.folder}/bin:{os.environ['PATH']}"
    home.berth("pull", "127.0.0.1:1/x", check=False, PATH=path)
    assert "get 127.0.0.1:1" in log.read_text(encoding="utf-8")
    home.berth("logout", "127.0.0.1:1", PATH=path)
    assert "erase 127.0.0.1:1" in log.read_text(encoding="utf-8")


_KEEPS_TWO = """case "$1" in
  list) echo '{"https://index.docker.io/v1/": "hubber", "token.example.com": "<token>"}' ;;
  get) case "$(cat)" in
    *index*) echo '{"Username": "hubber", "Secret": "s"}' ;;
    token*) echo '{"Username": "<token>", "Secret": "t"}' ;;
    own*) echo '{"Username": "own", "Secret": "o"}' ;;
  esac ;;
esac
"""


def _logins(home: Home, *flags: str, **more: str) -> dict[str, Any]:
    """What the logins are for a client in a container."""
    script = 'cat "$DOCKER_CONFIG/config.json"; stat -c %a:%u "$DOCKER_CONFIG/config.json" >&2'
    found = home.berth("run", "--rm", "--use-api-socket", *flags, "busybox", "sh", "-c", script, **more)
    assert found.err == "600:0\n"
    document: dict[str, Any] = json.loads(found.out)
    assert set(document) == {"auths"}
    return document["auths"]  # type: ignore[no-any-return]


def test_logins_in_a_container(home: Home) -> None:
    """``--use-api-socket`` gives the container the engine and what its user may pull, wherever that is kept."""
    kept = {
        "registry.example.com:5000": {"auth": "dTpw"},
        "https://index.docker.io/v1/": {"auth": "aDpw", "email": "x"},
    }
    home.settings(auths=kept, psFormat="never copied")
    assert _logins(home) == {
        "registry.example.com:5000": {"auth": "dTpw"},
        "https://index.docker.io/v1/": {"auth": "aDpw"},
    }
    home.program("bin/docker-credential-test", _KEEPS_TWO)
    home.settings(auths={"stale.example.com": {}}, credsStore="test", credHelpers={"own.example.com": "test"})
    path = {"PATH": f"{home.folder}/bin:{os.environ['PATH']}"}
    assert _logins(home, **path) == {
        "https://index.docker.io/v1/": {"auth": "aHViYmVyOnM="}, "own.example.com": {"auth": "b3duOm8="},
        "token.example.com": {"auth": "Og==", "identitytoken": "t"},
    }  # fmt: skip
    job = json.dumps({"auths": {"job.example.com": {"auth": "ajpw"}}})
    assert _logins(home, DOCKER_AUTH_CONFIG=job, **path) == {"job.example.com": {"auth": "ajpw"}}


def test_no_logins_in_a_container(engine: Daemon, home: Home) -> None:
    show = ("busybox", "sh", "-c", "echo ${DOCKER_CONFIG:-none}; ls -d /run/secrets || test -S /var/run/docker.sock")
    assert home.berth("run", "--rm", "--use-api-socket", *show).out == "none\n"
    home.settings(auths={"registry.example.com": {"auth": "dTpw"}})
    given = home.berth("run", "--rm", "--use-api-socket", "-e", "DOCKER_CONFIG=/mine", *show)
    assert given.out == "/mine\n"
    home.settings(credsStore="nope")
    failed = home.berth("run", "--rm", "--use-api-socket", *show, check=False)
    assert failed.code == 125 and 'exec: "docker-credential-nope": executable file not found in $PATH' in failed.err
    assert engine.docker("ps", "-aq").out == ""
    far = home.berth("-H", "tcp://127.0.0.1:1", "run", "--use-api-socket", "busybox", check=False)
    assert far.code == 125 and "can only be used with unix sockets" in far.err


def test_what_comes_later_says_what_to_do(home: Home) -> None:
    found = home.berth("compose", "up", check=False)
    assert (found.code, found.out) == (1, "")
    assert (
        found.err
        == "berth: there is no 'berth compose' here: install the docker-compose plugin: it works with this engine\n"
    )
    assert "in no swarm" in home.berth("swarm", "init", check=False).err
