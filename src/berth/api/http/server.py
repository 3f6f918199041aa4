"""Listening sockets and their connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from berth.api.http.protocol import Handler, HttpProtocol
from berth.api.http.tls import TlsConnection

_KEEPALIVE_S = 60


class Server:
    """One listening socket and its connections."""

    def __init__(self, listener: asyncio.AbstractServer, connections: set[HttpProtocol], address: Any) -> None:
        self._listener = listener
        self.connections = connections
        self.address = address

    async def close(self, grace_s: float) -> None:
        """Stop accepting, let answers under way end (streams are cut), at most ``grace_s``."""
        self._listener.close()
        tasks = []
        for connection in tuple(self.connections):
            connection.stop()
            if connection.task is not None and not connection.task.done():
                tasks.append(connection.task)
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)


async def serve(
    sock: socket.socket, handler: Handler, common_headers: str, context: ssl.SSLContext | None = None
) -> Server:
    """Serve a listening socket of any family; with a ``context`` its connections speak TLS."""
    connections: set[HttpProtocol] = set()
    loop = asyncio.get_running_loop()
    if sock.family == socket.AF_UNIX:
        unix = await loop.create_unix_server(lambda: HttpProtocol(handler, common_headers, connections), sock=sock)
        return Server(unix, connections, sock.getsockname())

    def http() -> HttpProtocol:
        return HttpProtocol(handler, common_headers, connections, local=False)

    _keep_alive(sock)
    tcp = await loop.create_server(http if context is None else lambda: TlsConnection(context, http), sock=sock)
    return Server(tcp, connections, sock.getsockname())


def _keep_alive(sock: socket.socket) -> None:
    """Peers that vanished without a word are noticed (accepted sockets inherit this): three minutes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S // 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
