"""Opens what the settings say the API listens on."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from typing import TYPE_CHECKING

from berth.base.errors import InvalidArgument
from berth.base.layout import Layout
from berth.daemon import listen, systemd
from berth.daemon.settings import Settings

if TYPE_CHECKING:
    from berth.api.app import App
    from berth.api.http.server import Server

log = logging.getLogger("berth.daemon")


async def open_doors(app: App, settings: Settings, layout: Layout, servers: list[Server]) -> None:
    """Every one that opens joins ``servers``, also when a later one fails; ``served`` of the settings names them.

    Raises: InvalidArgument, Conflict.
    """
    default_places = "data-root" not in settings.given and "exec-root" not in settings.given
    addresses = listen.choose_hosts(settings["host"], layout, default_places=default_places)
    settings["served"] = []
    tls = tls_context(settings)
    passed: list[socket.socket] | None = None
    for address in addresses:
        scheme, _, rest = address.partition("://")
        if scheme == "unix":
            sock = listen.bind_unix(rest)
            listen.own_by_group(rest, settings["group"], asked="group" in settings.given)
            servers.append(await app.serve(sock))
        elif scheme == "tcp":
            host, port = tcp_address(rest, tls is not None)
            if tls is None:
                log.warning("the API on %s has no TLS: whoever reaches it is root on this machine", address)
            servers.append(await app.serve(listen.bind_tcp(host, port), tls))
        else:
            passed = systemd.take_sockets() if passed is None else passed
            for sock in systemd.choose(passed, rest):
                servers.append(await app.serve(sock, None if sock.family == socket.AF_UNIX else tls))
        settings["served"].append(address)
        log.info("API listens on %s", address)
    if addresses == [f"unix://{layout.socket}"]:
        print(f"DOCKER_HOST=unix://{layout.socket}", flush=True)


def tcp_address(text: str, tls: bool) -> tuple[str, int]:
    """``:2376``, ``[::1]:2376``, ``name``: without a port Docker's, 2376 with TLS and 2375 without."""
    text = text.rstrip("/")
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, ""
    number = int(port) if port else (2376 if tls else 2375)
    if number > 65535:
        raise InvalidArgument(f"invalid port in tcp://{text}")
    return host.strip("[]") or "127.0.0.1", number


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """For TCP. Raises: InvalidArgument naming the file that cannot be used."""
    if not settings["tls"]:
        return None
    from berth.api.http.tls import server_context

    paths = {flag: os.path.expanduser(settings[flag]) for flag in ("tlscert", "tlskey", "tlscacert")}
    verify = settings["tlsverify"]
    for flag, path in paths.items():
        if flag == "tlscacert" and not verify:
            continue
        try:
            with open(path, "rb"):
                pass
        except OSError as err:
            raise InvalidArgument(f"could not read --{flag} {path}: {err.strerror}") from err
    try:
        return server_context(paths["tlscert"], paths["tlskey"], paths["tlscacert"], verify=verify)
    except (ssl.SSLError, OSError) as err:
        raise InvalidArgument(
            f"could not load X509 key pair (cert: {paths['tlscert']}, key: {paths['tlskey']}"
            + (f", ca: {paths['tlscacert']}" if verify else "")
            + f"): {getattr(err, 'reason', None) or err}"
        ) from err
