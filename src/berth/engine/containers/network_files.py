"""``/etc/hosts``, ``/etc/hostname`` and ``/etc/resolv.conf`` of a container, written at each start."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import NamedTuple

from berth.engine.containers.deps import Deps
from berth.engine.containers.links import link_hosts
from berth.engine.containers.record import Container
from berth.engine.containers.runtime_spec import hostname_of
from berth.engine.userns import IdMap
from berth.networks import files, resolver
from berth.networks.records import Endpoint


class NetworkFiles(NamedTuple):
    """Paths on the host; empty where the container keeps the image's own."""

    hostname: str
    hosts: str
    resolv: str


def write_network_files(deps: Deps, container: Container, endpoints: Sequence[Endpoint]) -> NetworkFiles:
    """Write the three files. Raises: OSError (disk full)."""
    mode = container.row.host_config["NetworkMode"]
    if mode.startswith("container:"):
        other = deps.containers.get(mode.partition(":")[2])
        container.row.config["Hostname"] = hostname_of(other.row)  # the name of whose network it is
        return paths(deps, other)
    found = paths(deps, container)
    try:
        os.mkdir(os.path.dirname(found.hosts), 0o755)
    except FileExistsError:
        pass  # of its last start
    row = container.row
    hc = row.host_config
    hostname = hostname_of(row)
    domain = str(row.config.get("Domainname") or "")
    _write(found.hostname, files.hostname_file(hostname))
    at = deps.networks.host_address(endpoints)
    gateways = deps.settings.host_gateways or ((at,) if at else ())
    addresses = [address for e in endpoints for address in e.addresses]
    extra = [str(h) for h in hc.get("ExtraHosts") or []]
    if hc.get("Links"):
        extra += link_hosts(deps, container)
    if mode == "host" and not extra:
        _write(found.hosts, _read("/etc/hosts"))
    else:
        text = files.hosts_file(hostname, domain, addresses, extra, host_gateways=gateways)
        _write(found.hosts, _with_host_name(deps, container, endpoints, text))
    _write(found.resolv, _resolv_conf(deps, container, endpoints))
    return found


def _with_host_name(deps: Deps, container: Container, endpoints: Sequence[Endpoint], text: str) -> str:
    """Unless the user says who ``host.docker.internal`` is, it is this host."""
    extra = [str(h) for h in container.row.host_config.get("ExtraHosts") or []]
    if any(files.split_extra_host(entry)[0] == files.HOST_NAME for entry in extra):
        return text
    address = deps.networks.host_address(endpoints)
    return files.with_host_name(text, (deps.settings.host_gateways or (address,)) if address else ())


def follow_host(deps: Deps, container: Container, before: str, now: str) -> None:
    """The host's resolv.conf was ``before`` and is ``now``; one that is not as we wrote it stays. Raises: OSError."""
    path = paths(deps, container).resolv
    if _read(path) == _resolv_conf(deps, container, container.endpoints, before):
        _write(path, _resolv_conf(deps, container, container.endpoints, now))


def _resolv_conf(deps: Deps, container: Container, endpoints: Sequence[Endpoint], host: str | None = None) -> str:
    hc = container.row.host_config
    return files.resolv_conf(
        files.host_resolv_conf() if host is None else host,
        dns=[str(s) for s in hc.get("Dns") or deps.settings.dns],
        local=resolver.ADDRESS if any(e.names for e in endpoints) else "",
        search=[str(s) for s in hc.get("DnsSearch") or deps.settings.dns_search],
        options=[str(s) for s in hc.get("DnsOptions") or deps.settings.dns_options],
        keep_loopback=hc["NetworkMode"] == "host",
    )


def connected(deps: Deps, container: Container, endpoint: Endpoint) -> None:
    """A running container got an endpoint: its addresses join ``/etc/hosts``; its first network with names is resolved from
    now on. The files are written in place: they are mounted into the container."""
    found = paths(deps, container)
    names = files.host_names(hostname_of(container.row), str(container.row.config.get("Domainname") or ""))
    text = _read(found.hosts) + files.hosts_lines(names, endpoint.addresses)
    _write(found.hosts, _with_host_name(deps, container, container.endpoints, text))
    if endpoint.names and sum(bool(e.names) for e in container.endpoints) == 1:
        _write(found.resolv, _resolv_conf(deps, container, container.endpoints))


def disconnected(deps: Deps, container: Container, endpoint: Endpoint) -> None:
    """A running container lost an endpoint; with its last network with names it lost its resolver."""
    found = paths(deps, container)
    text = files.without_addresses(_read(found.hosts), endpoint.addresses)
    _write(found.hosts, _with_host_name(deps, container, container.endpoints, text))
    if endpoint.names and not any(e.names for e in container.endpoints):
        _write(found.resolv, _resolv_conf(deps, container, container.endpoints))


def give_files(files: NetworkFiles, id_map: IdMap | None) -> None:
    """To the root of a user namespace, who may write them as any container's root may."""
    if id_map is not None:
        for path in files:
            os.chown(path, *id_map.root)


def remove_network_files(deps: Deps, container: Container) -> None:
    """A container that never started has none, one whose start failed may lack some."""
    found = paths(deps, container)
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(os.path.dirname(found.hosts))


def paths(deps: Deps, container: Container) -> NetworkFiles:
    directory = deps.layout.network_files(container.id)
    return NetworkFiles(
        os.path.join(directory, "hostname"), os.path.join(directory, "hosts"), os.path.join(directory, "resolv.conf")
    )


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str:
    """A file of the host's, "" when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
