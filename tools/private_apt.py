"""Packages of another Debian suite, fetched and unpacked without installing anything.

A private apt configuration (own sources list, state and cache below one folder) resolves and downloads; ``dpkg-deb -x``
unpacks. The machine's own apt knows nothing of it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_CONFIG = """\
Dir::State "{apt}/state";
Dir::State::status "{apt}/state/status";
Dir::Cache "{apt}/cache";
Dir::Etc "{apt}/etc";
Dir::Etc::sourcelist "{apt}/sources.list";
Dir::Etc::sourceparts "-";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
APT::Sandbox::User "root";
APT::Install-Recommends "0";
"""


class AptFailed(Exception):
    """apt's own words."""


class PrivateApt:
    """apt for ``suite``, everything below ``folder``."""

    def __init__(self, folder: Path, suite: str) -> None:
        self.folder = folder
        for name in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "state" / "status").touch()
        line = f"deb [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main\n"
        (folder / "sources.list").write_text(line)
        (folder / "apt.conf").write_text(_CONFIG.format(apt=folder))

    def unpack(self, packages: list[str], root: Path, *, with_dependencies: bool) -> None:
        """Fetch ``packages`` of the newest state of the suite and unpack them into ``root``. Raises: AptFailed."""
        self._run("apt-get", "update", "-q")
        archives = self.folder / "cache" / "archives"
        for old in archives.glob("*.deb"):
            old.unlink()
        if with_dependencies:
            self._run("apt-get", "install", "-q", "-y", "--download-only", *packages)
        else:
            self._run("apt-get", "download", "-q", *packages, cwd=archives)
        for package in sorted(archives.glob("*.deb")):
            self._run("dpkg-deb", "-x", str(package), str(root))
            package.unlink()

    def _run(self, *command: str, cwd: Path | None = None) -> None:
        environ = {
            **os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive",
        }  # fmt: skip
        done = subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True)
        if done.returncode:
            raise AptFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
