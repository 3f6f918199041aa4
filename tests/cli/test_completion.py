"""Completion: names that the engine is asked for, by the protocol and in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
    assert _candidates(populated, "rm", "") == ["alpha", "beta", ":4"]
    assert _candidates(populated, "rm", "b") == ["beta", ":4"]
    assert _candidates(populated, "container", "st") == ["start", "stats", "stop", ":4"]
    assert "busybox:latest" in _candidates(populated, "run", "busy")
    assert _candidates(populated, "run", "--network", "bri") == ["bridge", ":4"]
    assert "--volume" in _candidates(populated, "run", "--vol")
    assert _candidates(populated, "run", "--restart", "un") == ["unless-stopped", ":4"]
    assert _candidates(populated, "inspect", "--as", "") == ["run", ":4"]


def _shell_answers(engine: Daemon, tmp_path: Path, line: str) -> list[str]:
    """What bash offers at the end of ``line``."""
    (tmp_path / "berth").write_text(f'#!/bin/sh\nexec {sys.executable} -m berth.cli.main "$@"\n')
    (tmp_path / "berth").chmod(0o755)
    script = f"""
    source <(berth completion bash)
    COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}
    COMP_WORDS=({line}); [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
    $(complete -p berth | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environ = cli.client_environ(engine.host, {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    done = subprocess.run(["bash", "--norc", "-c", script], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_in_bash(populated: Daemon, tmp_path: Path) -> None:
    assert _shell_answers(populated, tmp_path, "berth rm ") == ["alpha", "beta"]
    assert _shell_answers(populated, tmp_path, "berth stop al") == ["alpha"]
    assert _shell_answers(populated, tmp_path, "berth volume pr") == ["prune"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells(engine: Daemon, shell: str) -> None:
    """The script asks the program; where the shell is there, it also finds no fault with it."""
    script = engine.berth("completion", shell).out
    assert "__complete" in script
    program = shutil.which(shell)
    if program:
        done = subprocess.run([program, "-n"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
