"""CVE-2026-41579 (runc), CVE-2026-47766 (crun): an image whose ``/dev`` is a link sent device setup to the host.

The same for every folder that a runtime fills: each as an absolute, a relative and a looping link, and as one that leaves by
"..". The defence: targets are resolved inside the root; /dev, /proc and /sys may be no links at all.

Fails when: ``kernel/files.py`` ``openat2_in_root`` passes 0 for ``resolve`` and ``_system_place`` uses it.
"""

from __future__ import annotations

import pytest

from harness import attack
from harness.daemon import Daemon
from harness.images import Entry

pytestmark = pytest.mark.root
FOLDERS = ["dev", "proc", "sys", "etc", "run", "tmp"]
REFUSED = {"dev", "proc", "sys"}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("how", ["absolute", "relative", "leaving", "looping"])
def test_a_link_in_its_place(engine: Daemon, folder: str, how: str) -> None:
    with attack.canary() as host:
        inside = f"in/{folder}"
        target = {"absolute": host, "relative": inside, "leaving": f"../../..{host}", "looping": folder}[how]
        entries = [Entry(folder, kind="symlink", target=target), Entry("in/", kind="dir", mode=0o755)]
        entries += [Entry(f"{inside}/", kind="dir", mode=0o755)] if how == "relative" else []
        with attack.image(engine, entries) as tag:
            flags = ["--device", "/dev/null:/run/node", "--tmpfs", "/tmp/t", "-v", "/etc/hostname:/run/bound/deep"]
            result = engine.docker("run", "--rm", *flags, tag, "true", check=False)
            assert result.code in (0, 125, 126, 127, 128), result
            if folder in REFUSED:
                assert result.code == 125 and f'"/{folder}"' in result.err, result
            elif how == "relative":
                assert result.code == 0, result
