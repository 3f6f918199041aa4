"""``container prune --filter labels=keep`` (for ``label``) removed every stopped container: a filter that prune did not know was
passed over. It is refused, and nothing is removed.
"""

from __future__ import annotations

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


def test_it_is_refused(engine: Daemon) -> None:
    engine.docker("create", "--name", "kept", "busybox")
    found = engine.docker("container", "prune", "-f", "--filter", "labels=keep", check=False)
    assert (found.code, found.err) == (1, "Error response from daemon: invalid filter 'labels'\n")
    assert engine.inspect("kept")["State"]["Status"] == "created"
