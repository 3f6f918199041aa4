"""CVE-2019-14271, CVE-2026-41567: ``docker cp`` ran what the container had put in its way, as root of the host.

The first loaded the container's own nsswitch libraries after it had entered its root, the second looked for ``xz`` and
``unpigz`` there. The defence: decompression and tar are the daemon's own code, the thread that enters a mount namespace ends
before anything of the container's is read, and nothing is executed.

Fails when: ``engine/containers/view.py`` runs the copying in the thread of ``_enter``.
"""

from __future__ import annotations

import io
import lzma
import tarfile

import pytest

from harness.attack import canary, image
from harness.daemon import Daemon
from harness.images import Entry

pytestmark = pytest.mark.root

_PROGRAMS = ("xz", "unxz", "gzip", "unpigz", "pigz", "zstd", "bzip2", "tar", "python3")
_MODULES = ("lzma", "zstandard", "isal", "encodings/idna", "bz2", "tarfile")


def traps(host: str) -> list[Entry]:
    """Programs and modules that write to the host's folder when somebody uses them."""
    script = f"#!/bin/sh\necho ran > {host}/ran\n".encode()
    module = f"open('{host}/ran', 'w')\n".encode()
    places = ("bin", "usr/bin", "usr/local/bin")
    libraries = ("usr/lib/python3", "usr/lib/python3.11", "usr/local/lib/python3.11")
    return [
        *(Entry(f"{place}/{name}", script, mode=0o755) for place in places for name in _PROGRAMS),
        *(Entry(f"{place}/{name}.py", module) for place in libraries for name in _MODULES),
        Entry("etc/nsswitch.conf", b"passwd: evil\n"), Entry("lib/libnss_evil.so.2", b"\x7fELF"),
    ]  # fmt: skip


@pytest.mark.parametrize("running", [True, False])
def test_traps_are_not_touched(engine: Daemon, running: bool) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("came")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"here"))
    packed = lzma.compress(out.getvalue())
    with canary() as host, image(engine, traps(host)) as tag:
        verb = ("run", "-d") if running else ("create",)
        engine.docker(*verb, "--name", "box", "-u", "1000", tag, "busybox", "sleep", "1000")
        for query in ("", "&copyUIDGID=1"):
            assert engine.api("PUT", f"/containers/box/archive?path=/tmp{query}", packed).status == 200
        assert "here" in engine.api("GET", "/containers/box/archive?path=/tmp/came").body
        engine.docker("rm", "-f", "box")
