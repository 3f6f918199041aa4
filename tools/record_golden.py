"""Records what Docker does with the golden command lines.

    .venv/bin/python -m bench.docker -- .venv/bin/python tools/record_golden.py [GROUP...]

Runs every corpus below tests/cli/golden with the CLI of the same Debian suite as the dockerd, and writes one JSON file a corpus,
with the versions on top. Words on the command line choose groups; the others keep what was recorded before.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME / "tests"), str(HOME)]

from harness import cli, golden  # noqa: E402
from harness.images import busybox_archive  # noqa: E402


def client() -> str:
    """The room's own docker CLI where it has been unpacked, else the machine's."""
    from bench import peer

    own = peer.ensure_root() / "usr" / "bin" / "docker"
    return str(own) if own.exists() else cli.docker_program()


def main() -> int:
    docker, host = client(), os.environ["BERTH_TEST_AGAINST"]
    environ = cli.client_environ(host)
    with tempfile.TemporaryDirectory() as folder:
        archive = f"{folder}/busybox.tar"
        busybox_archive(archive)
        cli.run([docker, "load", "-i", archive], env=environ)
    versions = cli.run(
        [docker, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"], env=environ
    ).out.split()
    for name in golden.CORPORA:
        record(name, docker, environ, versions, set(sys.argv[1:]))
    return 0


def record(name: str, docker: str, environ: dict[str, str], versions: list[str], chosen: set[str]) -> None:
    """Run one corpus and write its file."""
    path = golden.FOLDER / name.replace(".toml", ".json")
    before = json.loads(path.read_text(encoding="utf-8"))["outcomes"] if path.exists() else {}
    groups, files = golden.load(name)
    outcomes: dict[str, list[dict[str, object]]] = {}
    for group in groups:
        if chosen and group.name not in chosen:
            outcomes[group.name] = before.get(group.name, [])
            continue
        found = golden.run_group(
            group, files, [docker], environ, lambda line: cli.run([docker, *golden.words(line)], env=environ)
        )
        outcomes[group.name] = [{"run": case.run, **result._asdict()} for case, result in found]
        golden.clean(docker, environ)
    document = {"client": versions[0], "engine": versions[1], "outcomes": outcomes}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.name}: {sum(map(len, outcomes.values()))} outcomes of Docker {versions[1]}")


if __name__ == "__main__":
    sys.exit(main())
