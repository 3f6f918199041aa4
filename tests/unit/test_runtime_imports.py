"""What each verb of ``berth-runtime`` imports: the program starts anew for every call that podman or containerd makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import berth

HOME = str(Path(berth.__file__).parent.parent)
LIGHT = ("start", "state", "kill", "delete", "list", "pause", "resume")
HEAVY = ("berth.oci.launch", "berth.oci.init", "berth.kernel.seccomp", "subprocess", "threading", "asyncio", "argparse")


def imported(verb: str) -> set[str]:
    name = f"{verb}_" if verb in ("exec", "list") else verb
    code = (f"import sys; sys.path.insert(0, {HOME!r}); import berth.oci.dispatch, berth.oci.verbs.{name}; "
            "print(*sys.modules)")  # fmt: skip
    return set(
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


@pytest.mark.parametrize("verb", LIGHT)
def test_a_verb_that_makes_no_process_imports_nothing_for_it(verb: str) -> None:
    assert imported(verb).isdisjoint(HEAVY)


@pytest.mark.parametrize("verb", ["create", "run", "exec"])
def test_a_verb_that_makes_one_imports_no_more_than_that(verb: str) -> None:
    assert imported(verb).isdisjoint(
        {"subprocess", "threading", "asyncio", "argparse", "shutil", "traceback", "logging"}
    )
