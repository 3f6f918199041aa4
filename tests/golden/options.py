"""Every option of ``create``, one by one, by one client: what two tests share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from golden.cases import CASES, prepare
from golden.observe import against, creation
from harness.daemon import Daemon

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "docker_create.json").read_text())


@contextmanager
def option_engine() -> Iterator[Daemon]:
    """A daemon of its own: the cases leave named volumes."""
    prepare()
    with Daemon() as daemon:
        daemon.load_busybox()
        yield daemon


def judge(client: Daemon, plain: Any, family: str, differs: Mapping[str, Any]) -> None:
    """Each case of a family is as Docker's, or as ``differs`` says. Raises: AssertionError that tells all that are not."""
    wrong = []
    for case in CASES[family]:
        wanted = differs.get(case) or GOLDEN["create"][family][case]
        found = against(plain, creation(client, case))
        if found != wanted:
            wrong.append(f"{case}\n    docker {wanted}\n    berth  {found}")
    assert not wrong, "\n".join(["", *wrong])
