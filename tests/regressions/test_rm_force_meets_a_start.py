"""``docker rm -f`` of a container that somebody was just starting waited for the start, found the container running and refused:
"stop the container before removing or force remove".
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.daemon import Daemon, UnixConnection

pytestmark = pytest.mark.root


def test_it_is_killed_then(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(env={"BERTH_FAILPOINTS": "start.claimed=sleep:0.5"})
    daemon.docker("create", "--name", "young", "busybox", "sleep", "1000")
    start, remove = UnixConnection(daemon.socket), UnixConnection(daemon.socket)
    start.request("POST", "/containers/young/start")
    remove.request("DELETE", "/containers/young?force=1")
    assert remove.getresponse().status == 204
    start.getresponse()
    assert daemon.docker("ps", "-aq").out == ""
    start.close()
    remove.close()
