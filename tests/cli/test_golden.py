"""The same command lines give what Docker gave: output, error text, exit status.

The corpora and the outcomes recorded from Docker lie in ``golden/``; ``tools/record_golden.py`` records them anew. Where ours is
meant to differ, ``golden/differences.toml`` says why and what ours is instead, and that is asserted as strictly.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from harness import cli, golden
from harness.daemon import Daemon

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_GROUPS = [(name, group.name) for name in golden.CORPORA for group in golden.load(name)[0]]


def _differences() -> dict[str, dict[str, Any]]:
    """``group: command line`` → what of the outcome is ours."""
    document = tomllib.loads((golden.FOLDER / "differences.toml").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = {}
    for entry in document["difference"]:
        assert entry["why"].strip()
        for case in entry["cases"]:
            ours = {key: case[key] for key in ("code", "out", "err") if key in case}
            assert ours, f"{case['run']}: a difference says what ours is"
            found[f"{case['group']}: {case['run']}"] = ours
    return found


@pytest.fixture(scope="module")
def golden_engine() -> Iterator[Daemon]:
    """An engine of this file's own: what its cases leave ends with it."""
    with Daemon() as daemon:
        daemon.load_busybox()
        yield daemon


@pytest.mark.parametrize(("corpus", "name"), _GROUPS)
def test_as_docker(golden_engine: Daemon, corpus: str, name: str) -> None:
    groups, files = golden.load(corpus)
    group = next(g for g in groups if g.name == name)
    recorded = json.loads((golden.FOLDER / corpus.replace(".toml", ".json")).read_text(encoding="utf-8"))
    docker = [golden.Outcome(e["code"], e["out"], e["err"]) for e in recorded["outcomes"][name]]
    ours = _differences()
    wrong: list[str] = []
    environ = cli.client_environ(golden_engine.host)
    prepare = lambda line: golden_engine.docker(*golden.words(line))  # noqa: E731
    found = golden.run_group(group, files, cli.berth_command(), environ, prepare)
    for (case, outcome), theirs in zip(found, docker, strict=True):
        expected = theirs._replace(**ours.get(f"{name}: {case.run}", {}))
        if outcome != expected:
            wrong.append(f"$ berth {case.run}\nexpected: {expected.text()}\nfound: {outcome.text()}\n")
    golden.clean(cli.docker_program(), environ)
    assert not wrong, f"{len(wrong)} of {len(group.cases)} are not as expected:\n\n" + "\n".join(wrong)


def test_every_difference_is_of_a_case() -> None:
    """A difference whose case is gone, or is Docker's now, has to go too."""
    known: dict[str, list[golden.Outcome]] = {}
    for corpus in golden.CORPORA:
        recorded = json.loads((golden.FOLDER / corpus.replace(".toml", ".json")).read_text(encoding="utf-8"))
        for group, entries in recorded["outcomes"].items():
            for e in entries:
                known.setdefault(f"{group}: {e['run']}", []).append(golden.Outcome(e["code"], e["out"], e["err"]))
    for name, ours in _differences().items():
        assert name in known, name
        assert any(theirs._replace(**ours) != theirs for theirs in known[name]), f"{name} is Docker's"
