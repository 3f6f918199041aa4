"""Every section of the runtime-spec has a test that names it (``@pytest.mark.spec``), or a reason why it has none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def sections() -> dict[str, str]:
    """Section → the reason why it needs no test, "" where it does."""
    lines = (TESTS / "harness/spec_sections.txt").read_text().splitlines()
    parts = (line.partition(" -- ")[::2] for line in lines if line and not line.startswith("#"))
    return {name.strip(): reason.strip() for name, reason in parts}


def named_by_tests() -> Iterator[tuple[str, str]]:
    """(section, the test that names it)."""
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.spec":
                        yield from ((ast.literal_eval(word), f"{path.name}::{node.name}") for word in mark.args)


def test_every_section_has_a_test_or_a_reason() -> None:
    named = {section for section, _ in named_by_tests()}
    assert [s for s, reason in sections().items() if not reason and s not in named] == []
    assert [s for s, reason in sections().items() if reason and s in named] == []


def test_tests_name_sections_that_there_are() -> None:
    known = sections()
    assert [(section, test) for section, test in named_by_tests() if section not in known] == []


def test_tests_of_the_runtime_name_their_section() -> None:
    """Those of ``berth-runtime`` by the specification; its command line is runc's."""
    named = {test for _, test in named_by_tests()}
    missing = [
        f"{path.name}::{node.name}"
        for path in (TESTS / "kernel").glob("test_oci_*.py")
        if path.name != "test_oci_program.py"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert [test for test in missing if test not in named] == []
