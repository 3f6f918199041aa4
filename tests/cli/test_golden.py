"""The same command lines give what Docker gave: output, error text, exit status.

The corpora and the outcomes recorded from Docker lie in ``golden/``; ``tools/record_golden.py`` records them anew. A case whose
outcome is meant to differ, or does so far, is listed in ``golden/differences.toml`` with the reason.
"""

from __future__ import annotations

import json
import tomllib
import warnings
from collections.abc import Iterator

import pytest

from harness import cli, golden
from harness.daemon import Daemon

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_GROUPS = [(name, group.name) for name in ("corpus.toml", "templates.toml") for group in golden.load(name)[0]]


def _differences() -> dict[str, str]:
    document = tomllib.loads((golden.FOLDER / "differences.toml").read_text(encoding="utf-8"))
    return {f"{entry['group']}: {run}": entry["why"] for entry in document["difference"] for run in entry["run"]}


@pytest.fixture(scope="module")
def golden_engine() -> Iterator[Daemon]:
    """An engine of this file's own: what its cases leave (volumes, tags) ends with it."""
    with Daemon() as daemon:
        daemon.load_busybox()
        yield daemon


@pytest.mark.parametrize(("corpus", "name"), _GROUPS)
def test_as_docker(golden_engine: Daemon, corpus: str, name: str) -> None:
    groups, files = golden.load(corpus)
    group = next(g for g in groups if g.name == name)
    recorded = json.loads((golden.FOLDER / corpus.replace(".toml", ".json")).read_text(encoding="utf-8"))
    expected = {
        entry["run"] + f"#{n}": golden.Outcome(entry["code"], entry["out"], entry["err"])
        for n, entry in enumerate(recorded["outcomes"][name])
    }
    known = _differences()
    wrong: list[str] = []
    differing: set[str] = set()
    environ = cli.client_environ(golden_engine.host)
    prepare = lambda line: golden_engine.docker(*golden.words(line))  # noqa: E731
    found = golden.run_group(group, files, cli.berth_command(), environ, prepare)
    for n, (case, outcome) in enumerate(found):
        if outcome != expected[case.run + f"#{n}"]:
            differing.add(case.run)
            if f"{name}: {case.run}" not in known:
                wrong.append(f"$ berth {case.run}\n{_both(expected[case.run + f'#{n}'], outcome)}")
    golden_engine.remove_all()
    fixed = [case.run for case in group.cases if f"{name}: {case.run}" in known and case.run not in differing]
    assert not wrong, f"{len(wrong)} of {len(group.cases)} differ from Docker:\n\n" + "\n".join(wrong)
    if fixed:  # nobody's fault: whoever keeps the list takes them out
        warnings.warn("as Docker's now, to be taken out of differences.toml: " + "; ".join(fixed), stacklevel=1)


def _both(docker: golden.Outcome, ours: golden.Outcome) -> str:
    return f"Docker: {docker.text()}\nBerth:  {ours.text()}\n"
