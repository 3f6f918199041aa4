"""The client starts fast: what is imported before the first byte goes out is counted, and the time is held against docker's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from berth.cli import catalog

_SRC = Path(__file__).resolve().parent.parent.parent / "src"
_HEAVY = set(
    """
    typing re json socket enum collections dataclasses asyncio http urllib ssl subprocess contextlib functools shutil tempfile
    datetime hashlib signal threading
    """.split()
)
_BUDGET = 20
"""Modules before the first byte, over those of a bare interpreter. Each costs about 0.2 ms."""

_UNTIL_DIAL = """
import sys
bare = set(sys.modules)
sys.path.insert(0, sys.argv[1])
sys.argv[:2] = ["berth"]
import posix
import berth.client.http
def dial(endpoint):
    names = sorted(set(sys.modules) - bare)
    posix.write(1, repr(names).encode())
    posix._exit(0)
berth.client.http.dial = dial
from berth.cli.main import main
main()
"""


def _isolated(program: str, *words: str) -> str:
    command = [sys.executable, "-I", "-S", "-c", program, str(_SRC), *words]
    environ = {"DOCKER_HOST": "unix:///nobody/there", "DOCKER_CONFIG": "/nobody/there", "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "words", ["run --rm busybox true", "exec a b", "ps", "logs a", "start a", "images", "inspect a", "version"]
)
def test_imports_before_the_first_byte(words: str) -> None:
    names = json.loads(_isolated(_UNTIL_DIAL, *words.split()).replace("'", '"'))
    assert not (_HEAVY | {"os"}) & set(names)
    assert len(names) <= _BUDGET, f"{len(names)} modules: {' '.join(names)}"


def test_no_command_loads_what_it_may_not_need() -> None:
    """Loading every command's module brings none of the heavy ones: they are imported where they are used."""
    modules = sorted({entry[0] for entry in catalog.COMMANDS.values()})
    program = f"""
import sys
sys.path.insert(0, sys.argv[1])
heavy = {{}}
for name in {modules!r}:
    before = set(sys.modules)
    __import__("berth.cli.commands." + name)
    came = (set(sys.modules) - before) & set({sorted(_HEAVY)!r})
    if came:
        heavy[name] = sorted(came)
print(heavy)
"""
    assert _isolated(program).strip() == "{}"


@pytest.mark.long
def test_first_byte_within_one_and_a_half_times_dockers() -> None:
    sys.path.insert(0, str(_SRC.parent))
    from bench.first_byte import measure
    from harness.cli import docker_program

    for row in measure(docker_program(), runs=25):
        assert row.ratio <= 1.5, row
