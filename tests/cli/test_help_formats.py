"""What ``--help`` says of ``--format``: the stock CLI's words, however the lines are broken."""

from __future__ import annotations

import re

import pytest

from harness import cli

COMMANDS = (
    "ps", "container ls", "images", "image ls", "image inspect", "history", "inspect", "container inspect",
    "volume ls", "volume inspect", "network ls", "network inspect", "stats", "system df", "info", "version", "events",
    "context ls", "context inspect", "search",
)  # fmt: skip
_TEXT = re.compile(r"--format string +(.*?)\n(?: +(?:-\w, +| {4})--\w|\n|\Z)", re.DOTALL)


def said(command: list[str], words: str) -> str:
    out = cli.run([*command, *words.split(), "--help"], env=cli.client_environ("unix:///nonexistent/s")).out
    found = _TEXT.search(out)
    assert found is not None, out
    return " ".join(found.group(1).split())


@pytest.mark.parametrize("words", COMMANDS)
def test_the_format_is_explained_as_by_docker(words: str) -> None:
    assert said(cli.berth_command(), words) == said([cli.docker_program()], words)
