"""Docker to compare with, from Debian's newest suite, unpacked into a root of its own: nothing is installed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from private_apt import PrivateApt

CACHE = Path(os.environ.get("BERTH_BENCH_CACHE", "/var/tmp/berth-bench"))
SUITE = os.environ.get("BERTH_BENCH_SUITE", "sid")


def ensure_root() -> Path:
    """The unpacked root with dockerd, containerd, runc and the libraries they need. Raises: AptFailed."""
    root = CACHE / f"docker-{SUITE}"
    if (root / ".complete").exists():
        return root
    print(f"bench: fetching docker.io of Debian {SUITE} into {CACHE} (about 70 MB, once)", flush=True)
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "sbin", "lib", "lib64"):  # usr-merged, as Debian is
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "sys", "dev", "run", "tmp", "etc", "root", "var"):
        (root / name).mkdir(exist_ok=True)
    (root / "var" / "run").symlink_to("/run")
    PrivateApt(CACHE / "apt", SUITE).unpack(["docker.io", "docker-cli"], root, with_dependencies=True)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\ndocker:x:999:\n")
    for tool in ("iptables", "ip6tables", "iptables-save", "iptables-restore"):
        link = root / "usr" / "sbin" / tool
        link.unlink(missing_ok=True)
        link.symlink_to("xtables-nft-multi")
    (root / ".complete").touch()
    return root


def ensure_program(package: str) -> list[str]:
    """A program of the same suite, unpacked with its libraries: what to run. Raises: AptFailed."""
    root = CACHE / f"{package}-{SUITE}"
    if not (root / ".complete").exists():
        print(f"bench: fetching {package} of Debian {SUITE} into {CACHE} (once)", flush=True)
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        PrivateApt(CACHE / "apt", SUITE).unpack([package], root, with_dependencies=True)
        (root / ".complete").touch()
    loader = next(root.glob("**/ld-linux-*.so.*"))
    folders = {str(library.parent) for library in root.glob("**/*.so.*")}
    return [str(loader), "--library-path", ":".join(sorted(folders)), str(root / "usr" / "bin" / package)]
