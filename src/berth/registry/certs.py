"""Certificates per registry, from Docker's folder and our own.

    <certs_dir>/<host>[:<port>]/*.crt      authorities that this registry's certificate may come from, beside the system's
                                *.cert     a client certificate, with ...
                                *.key      ... the key of the same name

Contexts are made at the first exchange with a host and kept; the folders are looked at again when they change.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from berth.base.errors import InvalidArgument


class HostFiles(NamedTuple):
    """What a host's folder has: authorities, and pairs of client certificate and key."""

    authorities: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()


def find_files(certs_dirs: tuple[str, ...], netloc: str) -> HostFiles:
    """The files for ``host[:port]`` in the first folder that has any.

    Raises: InvalidArgument for a certificate without its key, or the other way round, in Docker's words.
    """
    if "/" in netloc or netloc.startswith("."):
        return HostFiles()
    for parent in certs_dirs:
        folder = os.path.join(parent, netloc)
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        return _read(folder, names)
    return HostFiles()


def _read(folder: str, names: list[str]) -> HostFiles:
    pairs = []
    for name in names:
        stem, extension = os.path.splitext(name)
        if extension == ".cert":
            if f"{stem}.key" not in names:
                raise InvalidArgument(
                    f"missing key {stem}.key for client certificate {name}. CA certificates must use the extension .crt"
                )
            pairs.append((os.path.join(folder, name), os.path.join(folder, f"{stem}.key")))
        elif extension == ".key" and f"{stem}.cert" not in names:
            raise InvalidArgument(f"missing client certificate {stem}.cert for key {name}")
    authorities = tuple(os.path.join(folder, name) for name in names if name.endswith(".crt"))
    return HostFiles(authorities, tuple(pairs))


class Contexts:
    """TLS contexts by host: one for all hosts without files of their own."""

    def __init__(self, certs_dirs: tuple[str, ...]) -> None:
        self._dirs = certs_dirs
        self._kept: dict[tuple[str, bool], tuple[object, ssl.SSLContext]] = {}

    def context(self, url: str, *, verified: bool) -> ssl.SSLContext:
        """The context for ``url``'s host. Raises: InvalidArgument when the host's files are no certificates."""
        netloc = urlsplit(url).netloc.rpartition("@")[2]
        files = find_files(self._dirs, netloc)
        key = (netloc if files != HostFiles() else "", verified)
        state = (files, _stamps(files))
        kept = self._kept.get(key)
        if kept is None or kept[0] != state:
            kept = state, _make(files, verified=verified)
            self._kept[key] = kept
        return kept[1]


def _stamps(files: HostFiles) -> tuple[int, ...]:
    paths = [*files.authorities, *(path for pair in files.pairs for path in pair)]
    return tuple(os.stat(path).st_mtime_ns for path in paths)


def _make(files: HostFiles, *, verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for path in files.authorities:
        _load(path, context.load_verify_locations, path)
    for certificate, key in files.pairs:
        _load(certificate, context.load_cert_chain, certificate, key)
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load(path: str, load: Callable[..., None], *arguments: str) -> None:
    try:
        load(*arguments)
    except (OSError, ssl.SSLError) as err:
        raise InvalidArgument(f"cannot use {path} for TLS: {err}") from err
