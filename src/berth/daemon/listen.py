"""Which sockets the daemon listens on, and who owns them.

Without ``--host``: ``/var/run/docker.sock`` when no engine answers there, so that stock clients find us with no setting;
else ``<run-root>/berth.sock``, and the ``DOCKER_HOST`` line is printed. A dockerd's socket is never taken.
"""

from __future__ import annotations

import grp
import logging
import os
import socket

from berth.base.errors import Conflict, InvalidArgument, from_oserror
from berth.base.layout import Layout

log = logging.getLogger("berth.daemon")

DOCKER_SOCKET = "/var/run/docker.sock"
PROBE_TIMEOUT_S = 2.0


def choose_hosts(asked: list[str], layout: Layout, *, default_places: bool) -> list[str]:
    """The addresses to serve. ``default_places``: this daemon runs with its default roots, so it may take docker.sock."""
    if asked:
        return asked
    if default_places and not answers(DOCKER_SOCKET):
        return [f"unix://{DOCKER_SOCKET}"]
    return [f"unix://{layout.socket}"]


def answers(path: str) -> bool:
    """Whether somebody accepts connections on a unix socket (whoever it is, it is not ours to replace)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True


def bind_unix(path: str) -> socket.socket:
    """A listening socket at ``path``, replacing a dead one. Raises: Conflict when somebody answers there."""
    if len(path.encode()) > 107:
        raise InvalidArgument(f"the socket path {path} is longer than 107 bytes")
    if answers(path):
        raise Conflict(f"can't create unix socket {path}: another engine answers there")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            server.bind(path)
        finally:
            os.umask(before)
    except OSError as err:
        raise from_oserror(err, f"can't create unix socket {path}") from err
    server.listen(1024)
    server.setblocking(False)
    return server


def bind_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises: from_oserror's kinds naming the address."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        server = socket.create_server(found[4][:2], family=found[0], backlog=1024)
    except OSError as err:
        raise InvalidArgument(f"failed to listen on tcp://{host}:{port}: {err.strerror}") from err
    server.setblocking(False)
    return server


def own_by_group(path: str, group: str, *, asked: bool) -> None:
    """Give the socket to ``group`` with mode 0660. A default group that doesn't exist leaves it root's."""
    try:
        gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        if asked:
            raise InvalidArgument(f"--group {group}: there is no such group; make it with: groupadd {group}") from None
        log.warning("there is no group %s: only root may use %s", group, path)
        os.chmod(path, 0o660)
        return
    os.chown(path, 0, gid)
    os.chmod(path, 0o660)
