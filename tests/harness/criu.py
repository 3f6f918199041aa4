"""The CRIU that the tests use: ``BERTH_TEST_CRIU``, which ``./dev setup`` finds or fetches, else ``criu`` of the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

CRIU = os.environ.get("BERTH_TEST_CRIU") or shutil.which("criu") or ""


def _fits() -> bool:
    return bool(CRIU) and subprocess.run([CRIU, "check"], capture_output=True).returncode == 0


needs_criu = pytest.mark.skipif(not _fits(), reason="no CRIU here gets on with this kernel")
