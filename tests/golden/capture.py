"""``python -m bench.docker -- .venv/bin/python tests/golden/capture.py``: ask a real Docker, write what it says beside this file.

The answers are committed; the version of the Docker that gave them is in the file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from golden.cases import BODIES, CASES, VERSION_BODIES, VERSIONS, prepare  # noqa: E402
from golden.observe import against, creation, posted  # noqa: E402
from harness.reference import ADDRESS, Reference  # noqa: E402


def main() -> int:
    prepare()
    engine = Reference(ADDRESS or os.environ["DOCKER_HOST"])
    engine.load_busybox()
    version = engine.api("GET", "/version").body
    plain = creation(engine, "")["inspect"]
    found = {
        family: {case: against(plain, creation(engine, case)) for case in cases} for family, cases in CASES.items()
    }
    bare = posted(engine, '{"Image": "busybox"}')["inspect"]
    bodies = {text: against(bare, posted(engine, text)) for text in BODIES}
    versions = {}
    for number in VERSIONS:
        own = posted(engine, '{"Image": "busybox"}', number)["inspect"]
        versions[number] = {text: against(own, posted(engine, text, number)) for text in VERSION_BODIES}
    document = {
        "bare": bare, "bodies": bodies,
        "engine": f"Docker {version['Version']}", "api": version["ApiVersion"], "plain": plain, "create": found,
        "versions": versions,
    }  # fmt: skip
    (HERE / "docker_create.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
