"""Rebuild ``src/berth/oci/small_init.py``'s binaries from ``small_init.c`` and print them as base64.

Needs gcc, and gcc-aarch64-linux-gnu for the other machine (Debian packages of these names).
"""

from __future__ import annotations

import base64
import pathlib
import subprocess
import tempfile
import zlib

FLAGS = (
    "-Os -nostdlib -static -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pic -no-pie "
    "-Wl,--build-id=none -Wl,-N -Wl,-z,noexecstack -s"
).split()
SOURCE = pathlib.Path(__file__).parent.parent / "src/berth/oci/small_init.c"


def main() -> None:
    for machine, prefix in (("x86_64", ""), ("aarch64", "aarch64-linux-gnu-")):
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/init"
            subprocess.run([prefix + "gcc", *FLAGS, "-o", out, str(SOURCE)], check=True)
            subprocess.run([prefix + "strip", "-R", ".comment", out], check=True)
            raw = pathlib.Path(out).read_bytes()
        print(machine, len(raw), base64.b64encode(zlib.compress(raw, 9)).decode())


if __name__ == "__main__":
    main()
