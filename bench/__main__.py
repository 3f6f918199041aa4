"""``python -m bench [--only ENGINE] [CASE...]``: run the cases on both engines and print the table."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile

from bench import cases, load, report
from bench.engines import ENGINES, HOME, Engine

sys.path[:0] = [str(HOME / "tests"), str(HOME / "tools")]

import docker_cli  # noqa: E402
from harness.images import busybox_archive  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench", description="Berth beside Docker: same machine, same run, same client."
    )
    parser.add_argument("case", nargs="*", help=f"cases to run (all): {', '.join(cases.CASES)}")
    parser.add_argument("--only", choices=list(ENGINES), help="one engine alone")
    args = parser.parse_args()
    unknown = set(args.case) - set(cases.CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    with contextlib.ExitStack() as stack:
        config = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench"))
        client = cases.Client(docker_cli.ensure(), config)
        engines = [ready(kind(), stack, client, config) for name, kind in ENGINES.items() if args.only in (None, name)]
        spoken = subprocess.run([client.program, "--version"], capture_output=True, text=True).stdout.strip()
        print(f"{report.machine()}\nclient: {spoken}\n", flush=True)
        results = {}
        for name in args.case or cases.CASES:
            print(f"bench: {cases.CASES[name].title} ...", flush=True)
            results[name] = cases.CASES[name].measure(engines, client)
            print("       " + "; ".join(f"{who} {report.show(f)}" for who, f in results[name].items()), flush=True)
        print("\n" + report.table(results, engines))
        print(f"\nsaved as {report.save(results, engines, spoken)}")
    return 0


def ready(engine: Engine, stack: contextlib.ExitStack, client: cases.Client, folder: str) -> Engine:
    """Start an engine, give it busybox, and run it warm once."""
    stack.callback(engine.close)
    engine.start()
    engine.version = load.ask(engine.socket, "GET", "/version")["Version"]
    busybox_archive(f"{folder}/busybox.tar")
    client.run(engine, "load", "-q", "-i", f"{folder}/busybox.tar")
    client.run(engine, "run", "--rm", "busybox", "true")
    return engine


if __name__ == "__main__":
    sys.exit(main())
