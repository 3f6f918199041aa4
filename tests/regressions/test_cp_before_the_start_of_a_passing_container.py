"""A container of ``create --rm`` could not be started once something had been copied into it.

Its overlay is mounted volatile. The kernel marks that in the work directory (``work/incompat/volatile/dirty``) and refuses
the next mount; ``docker cp`` mounts it a first time, the start a second time: "mount the root filesystem: invalid argument".
Compose does just that for ``run --rm`` with configs or secrets.
Fails when: ``_forget_volatile`` in ``oci/rootfs.py`` leaves the file ``dirty``, and with it the folder.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


def test_copied_into_and_started(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "note").write_text("was there before")
    engine.docker("create", "--rm", "--name", "passing", "busybox", "cat", "/deep/note", "/second")
    engine.docker("cp", str(tmp_path / "deep"), "passing:/")
    engine.docker("cp", str(tmp_path / "deep" / "note"), "passing:/second")
    assert engine.docker("start", "-a", "passing").out == "was there before" * 2
