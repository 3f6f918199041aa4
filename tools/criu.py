"""Finds or fetches a CRIU that gets on with this kernel, for the tests of checkpoint and restore."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from private_apt import AptFailed, PrivateApt

CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache"))
_LAUNCHER = """\
#!/bin/sh
exec {root}/usr/lib64/ld-linux-x86-64.so.2 --library-path {root}/usr/lib/x86_64-linux-gnu {root}/usr/sbin/criu "$@"
"""


def ensure() -> str:
    """A CRIU: ``BERTH_TEST_CRIU``, the PATH's where it fits, else Debian's newest with its libraries, unpacked into a cache.

    "" where none fits: the kernel lacks what CRIU needs, or there is no package for this machine.
    """
    kept = CACHE / "criu" / "bin" / "criu"
    for program in (os.environ.get("BERTH_TEST_CRIU"), shutil.which("criu"), str(kept)):
        if program and fits(program):
            return program
    if kept.exists() or os.uname().machine != "x86_64":
        return ""
    print("dev: fetching CRIU of Debian sid (unpacked into a cache, with its libraries)", flush=True)
    try:
        PrivateApt(CACHE / "apt", "sid").unpack(["criu"], CACHE / "criu", with_dependencies=True)
    except (AptFailed, OSError) as err:
        print(f"dev: CRIU cannot be fetched, its tests are skipped: {err}", flush=True)
        return ""
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(_LAUNCHER.format(root=CACHE / "criu"))
    kept.chmod(0o755)
    return str(kept) if fits(str(kept)) else ""


def fits(program: str) -> bool:
    """Whether it runs, and finds what it needs in this kernel."""
    try:
        return subprocess.run([program, "check"], capture_output=True).returncode == 0
    except OSError:
        return False
