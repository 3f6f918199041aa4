"""Completion: names that the engine is asked for, by the protocol and at the prompts of bash, zsh and fish."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import cli
from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.fixture
def populated(engine: Daemon) -> Daemon:
    engine.docker("run", "-d", "--name", "alpha", "busybox", "sleep", "1000")
    engine.docker("create", "--name", "beta", "busybox")
    return engine


def _candidates(engine: Daemon, *words: str) -> list[str]:
    return engine.berth("__completeNoDesc", *words).lines


def test_by_the_protocol(populated: Daemon) -> None:
    assert _candidates(populated, "rm", "") == ["beta", ":4"]
    assert _candidates(populated, "rm", "-f", "") == ["alpha", "beta", ":4"]
    assert _candidates(populated, "stop", "") == ["alpha", ":4"]
    assert _candidates(populated, "pause", "") == ["alpha", ":4"]
    assert _candidates(populated, "unpause", "") == [":4"]
    assert _candidates(populated, "run", "--link", "a") == ["alpha:", ":6"]
    assert _candidates(populated, "run", "--network=br") == ["bridge", ":4"]
    assert _candidates(populated, "cp", "./") == [":0"]
    assert _candidates(populated, "events", "--filter", "ty") == ["type=", ":6"]
    assert _candidates(populated, "events", "--filter", "type=c") == ["type=container", ":4"]
    assert _candidates(populated, "inspect", "--type", "image", "") == ["busybox:latest", ":4"]
    assert _candidates(populated, "rm", "b") == ["beta", ":4"]
    assert _candidates(populated, "container", "st") == ["start", "stats", "stop", ":4"]
    assert "busybox:latest" in _candidates(populated, "run", "busy")
    assert _candidates(populated, "run", "--network", "bri") == ["bridge", ":4"]
    assert "--volume" in _candidates(populated, "run", "--vol")
    assert _candidates(populated, "run", "--restart", "un") == ["unless-stopped", ":4"]
    assert _candidates(populated, "inspect", "--as", "") == ["run", ":4"]


LINES = {
    "rm b": "rm beta",
    "stop al": "stop alpha",
    "volume rm my": "volume rm my-volume",
    "network connect my-network be": "network connect my-network beta",
    "run --net my": "run --net my-network",
    "run --network=my": "run --network=my-network",
    "run -v my": "run -v my-volume",
    "run busy": "run busybox:latest",
    "run busybox:l": "run busybox:latest",
    "start be": "start beta",
    "events --filter container=al": "events --filter container=alpha",
    "inspect my-v": "inspect my-volume",
    "inspect --type net": "inspect --type network",
    "volume pr": "volume prune",
    "run --env-file /etc/hostn": "run --env-file /etc/hostname",
    "run --restart un": "run --restart unless-stopped",
}
"""What is typed, and what a tab makes of it."""
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
LOAD = {
    "bash": "bind 'set bell-style none'; source <(berth completion bash)\n",
    "zsh": "unsetopt beep; autoload -Uz compinit; compinit -u -D; source <(berth completion zsh)\n",
}


@pytest.fixture
def environ(populated: Daemon, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a shell that finds ``berth``."""
    populated.docker("network", "create", "my-network")
    populated.docker("volume", "create", "my-volume")
    program = tmp_path / "berth"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m berth.cli.main "$@"\n')
    program.chmod(0o755)
    more = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "> ", "HOME": str(tmp_path)}
    yield cli.client_environ(populated.host, more)
    populated.docker("network", "rm", "my-network")
    populated.docker("volume", "rm", "my-volume")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_at_the_prompt(shell: str, environ: dict[str, str]) -> None:
    """Keys are typed at a terminal: the line, a tab, and then, at its beginning, a word that prints the line."""
    with cli.Pty(START[shell], env=environ, cols=200) as terminal:
        terminal.send(LOAD[shell])
        for typed, whole in LINES.items():
            terminal.send(f"berth {typed}\t\x01echo = \n")
            terminal.expect(rf"[\r\n]+= berth {re.escape(whole)} ?\r")
        terminal.send("berth inspect \t\t")
        found = terminal.expect("my-volume")
        assert "alpha" in found and "busybox:latest" in found and "my-network" in found
        terminal.send("\x15exit\n")
        assert terminal.wait() == 0


def test_in_fish(environ: dict[str, str]) -> None:
    asked = "; ".join(f"echo (complete -C 'berth {typed}')" for typed in LINES)
    found = cli.run(["fish", "--no-config", "-c", f"berth completion fish | source; {asked}"], env=environ).lines
    assert [line.partition("\t")[0] for line in found] == [whole.split(" ")[-1] for whole in LINES.values()]
