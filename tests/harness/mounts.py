"""Mounts of a bundle's config: putting them there, seeing them from outside, trees of the host's to bind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.attack import Bundle


def mounted(bundle: Bundle, place: str) -> list[str]:
    """mountinfo's fields of what stands at ``place``, seen from outside."""
    for line in reversed(Path(f"/proc/{bundle.pid}/mountinfo").read_text().splitlines()):
        if line.split()[4] == place:
            return line.split()
    raise AssertionError(f"nothing is mounted at {place}")


def add(bundle: Bundle, place: str, kind: str, source: str, *options: str, **more: Any) -> None:
    bundle.config["mounts"].append(
        {"destination": place, "type": kind, "source": source, "options": list(options), **more}
    )


@contextmanager
def host_tree(bundle: Bundle, propagation: str = "private", options: str = "") -> Iterator[str]:
    """A folder of the host's that is a mount, with another mount below it; ``options``: of both, at last."""
    top = f"{bundle.home}/tree"
    os.mkdir(top)
    subprocess.run(["mount", "-t", "tmpfs", "tree", top], check=True)
    subprocess.run(["mount", f"--make-{propagation}", top], check=True)
    os.mkdir(f"{top}/below")
    subprocess.run(["mount", "-t", "tmpfs", "below", f"{top}/below"], check=True)
    for place in (f"{top}/below", top) if options else ():
        subprocess.run(["mount", "-o", f"remount,bind,{options}", place], check=True)
    try:
        yield top
    finally:
        subprocess.run(["umount", "-R", "-l", top], check=True)
