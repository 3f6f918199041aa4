"""Finds or fetches the stock docker CLI that tests and bench drive: version 28 or newer, the client alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from private_apt import AptFailed, PrivateApt

CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache"))
OLDEST = 28


class Unavailable(Exception):
    """A sentence that says what was tried."""


def ensure() -> str:
    """A docker CLI: ``BERTH_TEST_DOCKER``, the PATH's when it is new enough, else Debian's newest, unpacked into a cache.

    Debian 12's own (20.10) speaks an API too old for what is tested. Raises: Unavailable.
    """
    kept = CACHE / "docker-cli" / "usr" / "bin" / "docker"
    for program in (os.environ.get("BERTH_TEST_DOCKER"), shutil.which("docker"), str(kept)):
        if program and major(program) >= OLDEST:
            return program
    print("dev: fetching the docker CLI of Debian sid (the client alone, unpacked into a cache)", flush=True)
    try:
        PrivateApt(CACHE / "apt", "sid").unpack(["docker-cli"], CACHE / "docker-cli", with_dependencies=False)
    except (AptFailed, OSError) as err:
        raise Unavailable(f"the stock docker CLI {OLDEST} cannot be fetched: {err}") from err
    if major(str(kept)) < OLDEST:
        raise Unavailable(f"{kept} does not run here")
    return str(kept)


def major(program: str) -> int:
    """The major version of a docker CLI, 0 when it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True)
    except OSError:
        return 0
    found = re.search(r"version (\d+)\.", done.stdout)
    return int(found.group(1)) if found else 0
