"""``python -m bench.docker -- .venv/bin/python tests/golden/capture_lives.py``: what a real Docker says of ``LIVES``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from golden.lives import LIVES, live  # noqa: E402
from harness.reference import ADDRESS, Reference  # noqa: E402


def main() -> int:
    engine = Reference(ADDRESS or os.environ["DOCKER_HOST"])
    engine.load_busybox()
    version = engine.api("GET", "/version").body
    document = {
        "engine": f"Docker {version['Version']}", "api": version["ApiVersion"],
        "lives": {life: live(engine, life) for life in LIVES},
    }  # fmt: skip
    (HERE / "docker_lives.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
