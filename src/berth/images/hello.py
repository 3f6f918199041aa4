"""The hello-world image: a static program of a few instructions, written here, and the config around it.

The program is write(1, text, length) and exit(0), as machine code; it needs nothing of an operating system but the kernel. The
image's digest is the same everywhere, since nothing in it depends on when or where it is made.
"""

from __future__ import annotations

import hashlib
import json
import struct

from berth.base.errors import Unsupported
from berth.images.compose import tar_file

NAME = "docker.io/library/hello-world"

TEXT = """
Hello from Berth!
This message shows that your installation appears to be working correctly.

To generate this message, Berth took the following steps:
 1. The client (docker or berth) contacted the Berth daemon over its socket.
 2. The daemon could not reach Docker Hub, so it built the "hello-world" image
    itself: a program of a few instructions and a config around it.
 3. The daemon made a new container from that image: namespaces, cgroups, an
    overlay filesystem and a seccomp filter, around the program that writes this.
 4. The container's shim sent the output to your client, and the daemon told it
    how the program ended.

To try something more ambitious, make an image of your own, or load one:
 $ docker load -i busybox.tar && docker run -it busybox sh
"""

_BASE = 0x400000
_HEADERS = 64 + 56


def program(machine: str) -> bytes:
    """The ELF file for ``amd64`` or ``arm64``. Raises: Unsupported."""
    text = TEXT.encode()
    if machine == "amd64":
        code_size, number = 33, 62
    elif machine == "arm64":
        code_size, number = 40, 183
    else:
        raise Unsupported(f"there is no built-in hello-world image for {machine}")
    address = _BASE + _HEADERS + code_size
    if machine == "amd64":
        code = b"".join((
            b"\xb8\x01\x00\x00\x00",  # mov eax, 1        write
            b"\xbf\x01\x00\x00\x00",  # mov edi, 1
            b"\xbe" + struct.pack("<I", address),  # mov esi, text
            b"\xba" + struct.pack("<I", len(text)),  # mov edx, length
            b"\x0f\x05",  # syscall
            b"\xb8\x3c\x00\x00\x00",  # mov eax, 60       exit
            b"\x31\xff",  # xor edi, edi
            b"\x0f\x05",  # syscall
        ))  # fmt: skip
        code = code.ljust(code_size, b"\x90")
    else:
        code = struct.pack(
            "<10I",
            0xD2800020,  # mov x0, #1
            0xD2800001 | (address & 0xFFFF) << 5,  # movz x1, low
            0xF2A00001 | (address >> 16) << 5,  # movk x1, high, lsl 16
            0xD2800002 | len(text) << 5,  # mov x2, length
            0xD2800808,  # mov x8, #64   write
            0xD4000001,  # svc 0
            0xD2800000,  # mov x0, #0
            0xD2800BA8,  # mov x8, #93   exit
            0xD4000001,  # svc 0
            0xD503201F,  # nop
        )
    size = _HEADERS + len(code) + len(text)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01" + bytes(9),
        2,
        number,
        1,
        _BASE + _HEADERS,
        64,
        0,
        0,
        64,
        56,
        1,
        0,
        0,
        0,
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code + text


def build(architecture: str) -> tuple[bytes, bytes]:
    """(config, layer) of the image for ``amd64`` or ``arm64``. Raises: Unsupported."""
    layer = tar_file("hello", program(architecture), 0o755)
    config = {
        "architecture": architecture,
        "config": {"Cmd": ["/hello"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "created": "2026-01-01T00:00:00Z",
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "berth: the built-in hello-world"}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode(), layer
