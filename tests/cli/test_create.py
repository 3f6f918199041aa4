"""Every option of ``create``, one by one, on our command line: accepted, refused and understood as by docker's.

The corpus and Docker's answers are those of the engine's own test (``tests/golden``): what inspect says of the container that our
words made is what it says of docker's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from golden.cases import CASES
from golden.observe import creation
from golden.options import judge, option_engine
from golden.purpose import CREATE_DIFFERS
from harness import cli
from harness.daemon import Daemon

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
OURS: dict[str, Any] = {
    # docker's own client takes one letter before a colon for a drive of Windows, and makes a volume at "n:/data"
    "-v n:/data": {"code": 1, "err": "Error response from daemon: create n: volume name is too short, names should be at least "
                   "two alphanumeric characters"},
    # where in the file, in the words of another JSON parser
    "--security-opt seccomp={dir}/seccomp-bad.json": {"code": 125, "err": "docker: compacting json for seccomp profile "
        "(/tmp/berth-golden/seccomp-bad.json) failed: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
        "\n\nRun 'CLI --help' for more information"},
}  # fmt: skip


class _ByOurs:
    """The daemon, with our client in the stock one's place."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.api = daemon.api

    def docker(self, *words: str, check: bool = True) -> cli.Result:
        environ = cli.client_environ(self._daemon.host)
        found = cli.run([*cli.berth_command(), *words], env=environ, check=check)
        return found._replace(err=re.sub(r"(^|Usage:  )berth ?", lambda m: m[0].replace("berth", "docker"), found.err))


@pytest.fixture(scope="module")
def engine() -> Iterator[Daemon]:
    with option_engine() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def plain(engine: Daemon) -> Any:
    return creation(engine, "")["inspect"]


@pytest.mark.parametrize("family", CASES)
def test_options(engine: Daemon, plain: Any, family: str) -> None:
    judge(_ByOurs(engine), plain, family, {**CREATE_DIFFERS, **OURS})  # type: ignore[arg-type]
