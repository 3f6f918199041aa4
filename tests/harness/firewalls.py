"""``HostFirewall``: firewalld (with a bus of its own) or ufw of Debian 12, for the network of a room. Nothing is installed.

Both are unpacked once into a cache and run with that as their root, in the room's network and a mount namespace of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness.eventually import eventually
from harness.rooms import Room, end

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools"))

from private_apt import PrivateApt

CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache"))
PACKAGES = ["firewalld", "ufw", "dbus-daemon", "dash", "coreutils", "grep", "sed"]
_PREPARE = """
set -e
mount -t overlay overlay -o lowerdir={lower},upperdir={own}/up,workdir={own}/work {own}/root
mount -t proc proc {own}/root/proc
mount --bind /dev {own}/root/dev
mount -t tmpfs tmpfs {own}/root/run
mkdir -p {own}/root/run/dbus {own}/root/run/lock
exec cat
"""


def unpacked() -> Path:
    """The root with both of them. Raises: AptFailed."""
    root = CACHE / "firewalls"
    if (root / ".complete").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "sbin", "lib", "lib64"):  # usr-merged, as Debian is
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "dev", "run", "tmp", "root"):
        (root / name).mkdir()
    PrivateApt(CACHE / "apt-bookworm", "bookworm").unpack(PACKAGES, root, with_dependencies=True)
    _as_installed(root)
    (root / ".complete").touch()
    return root


def _as_installed(root: Path) -> None:
    """What the packages' scripts would do."""
    etc, sbin = root / "etc", root / "usr" / "sbin"
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\n")
    (etc / "group").write_text("root:x:0:\nmessagebus:x:100:\n")
    (etc / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    for link, target in (("bin/python3", "python3.11"), ("bin/sh", "dash")):
        if not (root / "usr" / link).exists():
            (root / "usr" / link).symlink_to(target)
    for version in ("", "6"):
        for tail in ("", "-save", "-restore"):
            if not (sbin / f"ip{version}tables{tail}").exists():
                (sbin / f"ip{version}tables{tail}").symlink_to("xtables-nft-multi")
    share = root / "usr" / "share" / "ufw"
    (etc / "ufw").mkdir(exist_ok=True)
    for file in [share / "ufw.conf", *share.glob("*.rules"), *(share / "iptables").glob("*.rules")]:
        shutil.copy(file, etc / "ufw" / file.name)
    defaults = etc / "default" / "ufw"
    if not defaults.exists():
        defaults.parent.mkdir(exist_ok=True)
        defaults.write_text(
            'IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\nDEFAULT_OUTPUT_POLICY="ACCEPT"\nDEFAULT_FORWARD_POLICY="DROP"\n'
            'DEFAULT_APPLICATION_POLICY="SKIP"\nMANAGE_BUILTINS=no\nIPT_SYSCTL=/dev/null\nIPT_MODULES=""\n'
        )


class HostFirewall:
    def __init__(self, room: Room, folder: Path) -> None:
        for name in ("up", "work", "root"):
            (folder / name).mkdir()
        self._root = folder / "root"
        self._daemons: list[subprocess.Popen[str]] = []
        script = _PREPARE.format(lower=unpacked(), own=folder)
        command = ["nsenter", "-t", str(room.pid), "-n", "--", "unshare", "-m", "sh", "-c", script]
        self._space = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        comm = f"/proc/{self._space.pid}/comm"
        eventually(lambda: open(comm).read() == "cat\n", why="the firewall's root is mounted")  # noqa: SIM115

    def __enter__(self) -> HostFirewall:
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in [*reversed(self._daemons), self._space]:
            end(process)

    def _command(self, *words: str) -> list[str]:
        inside = ["nsenter", "-t", str(self._space.pid), "-n", "-m", "--", "chroot", str(self._root)]
        return [*inside, "/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *words]

    def run(self, *words: str, check: bool = True) -> str:
        """firewall-cmd, ufw, ..."""
        done = subprocess.run(
            self._command(*words), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
        )
        assert not check or done.returncode == 0, f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def firewalld(self) -> None:
        """Start a bus and firewalld on it."""
        for words in (("dbus-daemon", "--system", "--nofork", "--nopidfile"), ("firewalld", "--nofork", "--nopid")):
            self._daemons.append(
                subprocess.Popen(
                    self._command(*words),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            if words[0] == "dbus-daemon":
                eventually(lambda: "bus" in self.run("ls", "/run/dbus", check=False), why="the bus listens")
        eventually(lambda: self.run("firewall-cmd", "--state", check=False) == "running\n", why="firewalld runs")
