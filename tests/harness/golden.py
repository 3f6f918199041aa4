"""Golden command lines: what a client prints for a corpus, made comparable between engines and machines.

``run_group`` prepares what a group needs, runs its cases and cleans up; ``Outcome.normal`` replaces what differs from run to run
(ids, ages, times, addresses, sizes) by words. The recorded outcomes are Docker's; ``python tools/record_golden.py`` makes them.
"""

from __future__ import annotations

import re
import shlex
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from harness import cli
from harness.search_index import SearchIndex

CORPORA = ("corpus.toml", "templates.toml", "settings.toml")
FOLDER = Path(__file__).resolve().parent.parent / "cli" / "golden"


class Case(NamedTuple):
    """One command line of a corpus."""

    group: str
    run: str
    stdin: str | None = None
    compare: str = "all"
    env: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> list[str]:
        return shlex.split(self.run)


class Group(NamedTuple):
    """Cases that share a setup."""

    name: str
    setup: tuple[str, ...]
    cases: tuple[Case, ...]
    searches: bool = False
    """Whether its cases search: there is a stand-in of the hub's index then."""


class Outcome(NamedTuple):
    """What a command did, as compared."""

    code: int
    out: str
    err: str

    def text(self) -> str:
        return f"exit status {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


def load(name: str) -> tuple[list[Group], dict[str, str]]:
    """The groups of a corpus file, and the files its cases see."""
    document = tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))
    groups = []
    for entry in document["group"]:
        default = entry.get("compare", "all")
        cases = tuple(_case(entry["name"], case, default) for case in entry["cases"])
        groups.append(Group(entry["name"], tuple(entry.get("setup", ())), cases, entry.get("searches", False)))
    return groups, document.get("files", {})


def _case(group: str, case: Any, compare: str) -> Case:
    if isinstance(case, str):
        return Case(group, case, None, compare)
    env = tuple(sorted(case.get("env", {}).items()))
    return Case(group, case["run"], case.get("stdin"), case.get("compare", compare), env)


def run_group(
    group: Group, files: Mapping[str, str], client: Sequence[str], environ: Mapping[str, str],
    prepare: Callable[[str], object],
) -> Iterator[tuple[Case, Outcome]]:  # fmt: skip
    """Each case with its outcome. ``prepare`` runs one line of the setup by the stock client."""
    for line in group.setup:
        prepare(line)
    with tempfile.TemporaryDirectory(prefix="golden") as folder, SearchIndex() if group.searches else nullcontext():
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            path.chmod(0o755 if content.startswith("#!") else 0o644)
        for case in group.cases:
            env = {**environ, **dict(case.env)}
            found = cli.run([*client, *case.words], env=env, stdin=case.stdin, check=False, cwd=folder)
            yield case, outcome(case, found, environ)


def outcome(case: Case, found: cli.Result, environ: Mapping[str, str]) -> Outcome:
    """A result made comparable."""
    if case.compare == "code":
        return Outcome(found.code, "", "")
    if case.compare == "shape":
        return Outcome(found.code, _shape(_words(found.out)), _shape(_words(found.err)))
    replace = {environ.get("DOCKER_HOST", "?"): "<HOST>", environ.get("DOCKER_CONFIG", "?"): "<CONFIG>"}
    out, err = (_NOISE.sub("", normal(text, replace)) for text in (found.out, found.err))
    if case.compare == "sorted":
        out = "".join(sorted(out.splitlines(keepends=True)))
    return Outcome(found.code, out, err)


def _words(text: str) -> str:
    """The client's own name as docker's."""
    return re.sub(r"\bberth\b", "docker", text).replace("\r\n", "\n")


_AGE = r"(?:Less than a second|About an? (?:minute|hour)|\d+ (?:second|minute|hour|day|week|month|year)s?|1 second)"
_NOISE = re.compile(r'time="<TIME>" level=error msg="[^\n]*\n')
"""What docker's own tar writer says besides: when it is stopped."""
_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"(?:sha256:)?\b[0-9a-f]{64}\b", "<ID>"),
    (r"\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{12}\b", "<SHORTID>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", "<TIME>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [+-]\d{4} [A-Z]+", "<TIME>"),
    (r"/tmp/golden\w+", "<DIR>"),
    (r"/[^ \",]*/volumes/", "<VOLUMES>/"),
    (_AGE, "<AGE>"),
    (r"\b(?:172\.17|10\.231)\.\d+\.\d+\b", "<IP>"),
    (r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<MAC>"),
    (r"\b\d+(?:\.\d+)?(?:B|kB|MB|GB|KiB|MiB|GiB)\b", "<SIZE>"),
    (r"\b\d+\.\d\d%", "<PERCENT>"),
    (r"\[::1\]:\d{5}->", "[::1]:<PORT>->"),
    (r"SRun '", "Run '"),  # a slip of the pen in Docker 28
    (r" {2,}", "  "),
    (r" +\n", "\n"),
)


def normal(text: str, replace: Mapping[str, str]) -> str:
    """``text`` without what differs from run to run; runs of blanks become two."""
    for what, word in replace.items():
        text = text.replace(what, word)
    text = _words(text)
    for pattern, word in _PATTERNS:
        text = re.sub(pattern, word, text)
    return text


def _shape(text: str) -> str:
    """Of a help text: the usage lines, the other names, the headings, and the first column of what stands below them."""
    kept, heading = [], ""
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z][A-Za-z ]*:", line):
            heading = line
            kept.append(line)
        elif line.startswith(("Usage:", "\t")) or (heading == "Aliases:" and line.startswith("  ")):
            kept.append(line)
        elif heading.endswith("Options:") and re.match(r"  (-\w, |    )--", line):
            kept.append(re.split(r"  +", line.strip())[0])
        elif heading.endswith("Commands:") and re.match(r"  \w", line):
            kept.append(line.split()[0])
        elif not line.startswith(" ") and line:
            heading = ""
    return "".join(line + "\n" for line in kept)


def clean(docker: str, environ: Mapping[str, str]) -> None:
    """Remove what a group left: containers, volumes, networks; tags are its own to take back."""
    for listing, removal in (
        ("ps -aq", "rm -fv"),
        ("volume ls -q", "volume rm -f"),
        ("network ls -q --filter type=custom", "network rm"),
    ):
        ids = cli.run([docker, *listing.split()], env=environ, check=False).out.split()
        if ids:
            cli.run([docker, *removal.split(), *ids], env=environ, check=False)


def words(line: str) -> list[str]:
    return shlex.split(line)
