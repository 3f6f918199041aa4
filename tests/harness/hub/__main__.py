"""Serves the images that are named, or all, on loopback until it is interrupted."""

from __future__ import annotations

import signal
import sys

from harness.hub import RECIPES, Hub


def main(names: list[str]) -> int:
    with Hub() as hub:
        for name in names or RECIPES:
            print(f"{name} ...", end="", flush=True)
            hub.offer(name)
            print(" ready", flush=True)
        print(f"berthd --registry-mirror {hub.url}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


sys.exit(main(sys.argv[1:]))
