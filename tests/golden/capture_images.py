"""What a real Docker says of ``IMAGES``, with its graph driver:

BERTH_BENCH_STORE=graph python -m bench.docker -- .venv/bin/python tests/golden/capture_images.py
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from golden.image_cases import seen  # noqa: E402
from harness.reference import ADDRESS, Reference  # noqa: E402


def main() -> int:
    engine = Reference(ADDRESS or os.environ["DOCKER_HOST"])
    version = engine.api("GET", "/version").body
    assert engine.api("GET", "/info").body["Driver"] == "overlay2"
    document = {"engine": f"Docker {version['Version']}", "api": version["ApiVersion"], "images": seen(engine)}
    (HERE / "docker_images.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
