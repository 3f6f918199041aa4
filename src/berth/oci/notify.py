"""``seccomp.listenerPath``: the filter's descriptor goes to the agent that answers for SCMP_ACT_NOTIFY.

The socket is connected while the host's paths are there; the descriptor is sent right after the filter was installed, before
any other call that the filter might ask the agent about. Spec: OCI runtime-spec 1.2 config-linux.md "Seccomp".
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument, from_oserror
from berth.oci import hooks

NOTIFY = "SCMP_ACT_NOTIFY"
_NEEDED = ("sendmsg", "close")
"""What is called between the filter and the agent's having it: an answer to these could never come."""


class Listener(NamedTuple):
    sock: socket.socket
    message: bytes


def connect(linux: Mapping[str, Any], request: Mapping[str, Any]) -> Listener:
    """Raises: InvalidArgument (no path, calls that can't be asked about), NotFound and the like from connect."""
    profile = linux["seccomp"]
    for rule in profile.get("syscalls") or ():
        for name in rule.get("names") or ():
            if rule.get("action") == NOTIFY and name in _NEEDED:
                raise InvalidArgument(f"SCMP_ACT_NOTIFY cannot be used for the {name} syscall", op="seccomp")
    if profile.get("defaultAction") == NOTIFY:
        raise InvalidArgument("SCMP_ACT_NOTIFY cannot be used as default action", op="seccomp")
    path = str(profile.get("listenerPath") or "")
    if not path:
        raise InvalidArgument("a seccomp profile with SCMP_ACT_NOTIFY needs a listenerPath", op="seccomp")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.connect(path)
    except OSError as err:
        raise from_oserror(err, f"connect to the seccomp agent at {path}", op="connect", path=path) from err
    message = {
        "ociVersion": hooks.OCI_VERSION, "fds": ["seccompFd"], "pid": request.get("pid") or 0,
        "metadata": str(profile.get("listenerMetadata") or ""),
        "state": hooks.state_of(request, str(request.get("status") or "creating")),
    }  # fmt: skip
    return Listener(sock, json.dumps(message).encode())


def hand_over(listener: Listener, filter_fd: int) -> None:
    """Exactly one message a connection, then it is closed."""
    socket.send_fds(listener.sock, [listener.message], [filter_fd])
    os.close(listener.sock.detach())
    os.close(filter_fd)
