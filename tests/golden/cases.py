"""The corpus: words after ``create``, by family of options. Each is one container, or one refusal.

``{dir}`` stands for ``DIRECTORY``, which ``prepare`` fills; ``IMAGE`` is added where a case does not name its image. Three tests
read it: the engine against Docker's own answers, our command line against Docker's, and ``inspect --as run``'s round trip.
"""

from __future__ import annotations

import os

DIRECTORY = "/tmp/berth-golden"
FILES = {
    "env": "# a comment\nA=1\nB=two words\n\nHOME_IS\n  C= x \n",
    "env-bad": "A B=1\n",
    "env-noname": "=1\n",
    "labels": "one=1\ntwo\n",
    "seccomp.json": '{"defaultAction": "SCMP_ACT_ALLOW"}\n',
    "seccomp-bad.json": "{nonsense\n",
    "cid-taken": "x\n",
}

_HERE = os.path.dirname(os.path.abspath(__file__))


def _lines(name: str) -> list[str]:
    with open(os.path.join(_HERE, name), encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line and not line.startswith("#")]


def _cases() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in _lines("create_cases.txt"):
        if line.startswith("["):
            cases = found.setdefault(line.strip("[]"), [])
        else:
            cases.append("" if line == '""' else line)
    return found


def _bodies() -> list[str]:
    lines = _lines("create_bodies.txt")
    ruler = lines.index("----")
    return [*lines[:ruler], *(f'{{"Image": "busybox", "HostConfig": {text}}}' for text in lines[ruler + 1 :])]


CASES = _cases()
BODIES = _bodies()
VERSIONS = ("1.24", "1.41", "1.51")
VERSION_BODIES = _lines("version_bodies.txt")
NAMES_ITS_IMAGE = ("nobody/nothing", "NOT/VALID", "--pull never ''")


def words_of(case: str, image: str = "busybox") -> list[str]:
    """A case as the words after ``create``, image and a name included."""
    import shlex

    words = shlex.split(case.replace("{dir}", DIRECTORY).replace("{image}", image).replace("{name}", "golden"))
    if case.endswith(NAMES_ITS_IMAGE):
        return words
    at = _first_argument(words)
    return [*words[:at], image, *words[at:]]


_BOOLEAN = frozenset("-t -i -it -P --init --rm --privileged --read-only --oom-kill-disable --no-healthcheck --quiet "
                     "--disable-content-trust --use-api-socket --nonsense -Z".split())  # fmt: skip


def _first_argument(words: list[str]) -> int:
    at = 0
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "--":
            del words[at]
            return at
        at += 1 if ("=" in words[at] and words[at].startswith("--")) or words[at] in _BOOLEAN else 2
    return min(at, len(words))


def prepare() -> None:
    """The files that cases name."""
    os.makedirs(DIRECTORY, exist_ok=True)
    for name, text in FILES.items():
        with open(os.path.join(DIRECTORY, name), "w", encoding="utf-8") as file:
            file.write(text)
