"""The bench's table: each figure beside the other engine's, and whether its goal is reached."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from bench.cases import CASES, Figure
from bench.engines import HOME, Engine

Results = Mapping[str, Mapping[str, Figure]]


def table(results: Results, engines: list[Engine]) -> str:
    """Markdown, so that it can be pasted into docs/benchmarks.md."""
    names = [engine.name for engine in engines]
    head = ["case", *(f"{engine.name} {engine.version}" for engine in engines)]
    if len(names) == 2:
        head += ["factor", "to reach", ""]
    rows = [head, ["---"] * len(head)]
    for case, figures in results.items():
        row = [CASES[case].title, *(show(figures[name]) for name in names)]
        if len(names) == 2:
            first, second = (figures[name] for name in names)
            row += [f"{factor(first, second):.1f}", CASES[case].goal, "yes" if reached(case, first, second) else "no"]
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def show(figure: Figure) -> str:
    digits = 1 if figure.value < 100 else 0
    text = f"{figure.value:.{digits}f} {figure.unit}"
    if figure.n > 1:
        text += f" ({figure.low:.{digits}f}–{figure.high:.{digits}f}, n {figure.n})"
    return text


def factor(first: Figure, second: Figure) -> float:
    """How many times better the first is."""
    better, worse = (first.value, second.value) if first.more_is_better else (second.value, first.value)
    return better / worse if worse else float("inf")


def reached(case: str, first: Figure, second: Figure) -> bool:
    goal = CASES[case].goal
    if goal.startswith("<="):
        return first.value <= float(goal.split()[1])
    wanted = float(goal.split()[0]) if goal.endswith("x") else float(1 / Fraction(goal))
    return factor(first, second) >= wanted


def machine() -> str:
    """One line about where this was measured."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    hierarchy = "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1 or hybrid"
    return (
        f"{os.cpu_count()} × {models[0] if models else platform.machine()}, Linux {platform.release()}, cgroup {hierarchy}, "
        f"Python {platform.python_version()}"
    )


def save(results: Results, engines: list[Engine], client: str) -> Path:
    """The figures as JSON below bench/results."""
    folder = HOME / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "client": client,
        "engines": {engine.name: engine.version for engine in engines},
        "results": {
            case: {name: figure._asdict() for name, figure in figures.items()} for case, figures in results.items()
        },
    }
    path = folder / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime())
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path
