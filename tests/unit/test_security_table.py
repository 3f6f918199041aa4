"""docs/security.md names every regression test of an attack, and the lines that its tests are tested without are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

TOP = Path(__file__).parents[2]
ATTACKS = {
    path.name for path in (TOP / "tests/regressions").glob("test_*.py") if re.match("test_(cve|ghsa)_", path.name)
}


def test_every_attack_is_in_the_table_once() -> None:
    rows = [line for line in (TOP / "docs/security.md").read_text().splitlines() if line.startswith("|")]
    named = re.findall(r"`(test_(?:cve|ghsa)_\w+\.py)`", "\n".join(rows))
    assert sorted(named) == sorted(ATTACKS)


def test_every_story_says_when_it_fails() -> None:
    for name in ATTACKS:
        assert "\nFails when: " in (TOP / "tests/regressions" / name).read_text(), name


def test_the_lines_that_are_taken_out_are_there() -> None:
    for row in tomllib.loads((TOP / "tests/regressions/mutants.toml").read_text())["mutant"]:
        assert f"test_{row['story']}.py" in ATTACKS
        assert row["line"] in (TOP / "src/berth" / row["file"]).read_text(), row
