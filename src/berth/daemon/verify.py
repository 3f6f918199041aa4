"""``berth system verify``: checks an engine's image store, and with --repair puts it right. Needs no daemon.

    python -m berth.daemon.verify [--data-root DIR] [--deep] [--repair]

Beside a running daemon it only reads; --repair needs the data-root for itself.
Exit status: 0 when all is well (or was put right), 1 with problems, 2 when it cannot look.
"""

from __future__ import annotations

import argparse
import os
import sys

from berth.base.errors import BerthError, Conflict
from berth.base.layout import Layout
from berth.daemon import host
from berth.engine.images.verify import check, repair


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="berth system verify", description="Check the image store")
    parser.add_argument("--data-root", default="/var/lib/berth")
    parser.add_argument("--deep", action="store_true", help="compare every layer's files with its blob")
    parser.add_argument("--repair", action="store_true", help="put right what can be; the daemon must be stopped")
    args = parser.parse_args(argv)
    layout = Layout(os.path.abspath(args.data_root), "/nonexistent")
    try:
        return _verify(layout, deep=args.deep, mend=args.repair)
    except (BerthError, OSError) as err:
        print(f"berth system verify: {err}", file=sys.stderr)
        return 2


def _verify(layout: Layout, *, deep: bool, mend: bool) -> int:
    if not os.path.isdir(layout.data_root):
        raise Conflict(f"there is no data-root {layout.data_root}")
    try:
        lock_fd = host.lock(layout)
    except Conflict:
        if mend:
            raise
        lock_fd = -1
    try:
        problems = list(check(layout, deep=deep, exclusive=lock_fd >= 0))
        for problem in problems:
            print(problem)
        if problems and mend:
            repair(layout, problems, print)
            problems = list(check(layout, deep=deep, exclusive=True))
            for problem in problems:
                print(f"still: {problem}")
    finally:
        if lock_fd >= 0:
            os.close(lock_fd)
    serious = [problem for problem in problems if not problem.harmless]
    print(
        "the store is whole" if not problems else f"{len(serious)} problems, {len(problems) - len(serious)} leftovers"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
