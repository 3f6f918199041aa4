"""Each defence of docs/security.md is taken out of a copy of the source, and its regression test must fail there.

A row of ``mutants.toml``: the story's test, the file below ``src/berth``, the line that goes, what stands there instead, and
which tests of the story it is about where not all of them. A line that is no longer there fails as well (``tests/unit``).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(400)]
TOP = Path(__file__).parents[2]


class Mutant(NamedTuple):
    story: str
    file: str
    line: str
    instead: str
    only: str = ""


MUTANTS = [Mutant(**row) for row in tomllib.loads(Path(__file__).with_name("mutants.toml").read_text())["mutant"]]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("mutants")
    for name in ("src", "tests"):
        shutil.copytree(TOP / name, top / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    shutil.copy(TOP / "pyproject.toml", top)
    return top


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.story}-{m.file}")
def test_without_the_defence_the_test_fails(copy: Path, mutant: Mutant) -> None:
    path = copy / "src/berth" / mutant.file
    source = path.read_text()
    assert mutant.line in source, "the defence is told in other words now"
    path.write_text(source.replace(mutant.line, mutant.instead))
    words = ["-q", "-x", "-p", "no:cacheprovider", f"tests/regressions/test_{mutant.story}.py"]
    command = [sys.executable, "-m", "pytest", *words, *(["-k", mutant.only] if mutant.only else [])]
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": f"{copy}/src"},
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        path.write_text(source)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-3000:]
