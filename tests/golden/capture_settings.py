"""``.venv/bin/python tests/golden/capture_settings.py``: which flags and keys of daemon.json a real dockerd knows.

Flags and their kinds are those of its ``--help``; keys are those that ``--validate`` does not call unknown, of all the names
that its binary holds as JSON tags.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from bench import peer  # noqa: E402

_FLAG = re.compile(r"^  (?:-(\w), |    )--([a-z0-9-]+)(?: (\S+))?", re.MULTILINE)
_NO_KEYS = {"add-runtime", "config-file", "help", "restart", "validate", "version"}
"""Known to the check, since they are flags; dockerd reads no such key."""


def main() -> int:
    root = peer.ensure_root()
    flags = {
        name: {"short": short, "kind": kind or "bool"} for short, name, kind in _FLAG.findall(_ask(root, "--help"))
    }
    tags = re.findall(rb'json:"([a-z0-9-]+)[",]', (root / "usr/sbin/dockerd").read_bytes())
    names = sorted({tag.decode() for tag in tags} | set(flags) | {"builder", "deprecated-key-path"})
    known = set(names) - _unknown(root, names) - _NO_KEYS
    keys = sorted(key for key in known if key == "host-gateway-ip" or not {f"{key}s", f"{key[:-1]}ies"} & known)
    version = re.search(r"version ([\d.]+)", _ask(root, "--version"))
    assert version is not None
    document = {"engine": f"dockerd {version[1]}", "flags": flags, "keys": keys}
    (HERE / "dockerd_settings.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return 0


def _unknown(root: Path, names: list[str]) -> set[str]:
    file = root / "tmp" / "daemon.json"
    file.write_text(json.dumps(dict.fromkeys(names)))
    try:
        said = _ask(root, "--validate", "--config-file", "/tmp/daemon.json")
    finally:
        file.unlink()
    found = re.search(r"don't match any configuration option: (.*)", said)
    assert found is not None, said
    return set(found[1].split(", "))


def _ask(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["chroot", str(root), "/usr/sbin/dockerd", *words], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
