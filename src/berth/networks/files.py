"""Contents of /etc/hosts, /etc/hostname and /etc/resolv.conf: text in, text out (but for the host's own resolv.conf)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence

from berth.base.errors import InvalidArgument

FALLBACK_DNS = ("8.8.8.8", "8.8.4.4")
"""Where the host names only servers on its own loopback, which a container cannot reach (Docker's choice too)."""

HOST_NAME = "host.docker.internal"
"""What a container may call this host, where its network has an address of it."""

_RESOLV_CONF = "/etc/resolv.conf"
_SYSTEMD_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"
_HOSTS_HEAD = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hostname_file(hostname: str) -> str:
    """``/etc/hostname``."""
    return hostname + "\n"


def hosts_file(
    hostname: str,
    domainname: str,
    addresses: Sequence[str],
    extra_hosts: Sequence[str],
    *,
    host_gateways: Sequence[str] = (),
) -> str:
    """``/etc/hosts``. ``addresses`` are the container's own; ``extra_hosts`` are ``name:address`` (or ``name=address``),
    where ``host-gateway`` stands for ``host_gateways``. Raises: InvalidArgument."""
    lines = [_HOSTS_HEAD]
    for entry in extra_hosts:
        name, address = split_extra_host(entry)
        meant = host_gateways if address == "host-gateway" else [address]
        if not meant:
            raise InvalidArgument("unable to derive the IP value for host-gateway")
        lines += [f"{_clean(found)}\t{_clean(name)}\n" for found in meant]
    lines.append(hosts_lines(host_names(hostname, domainname), addresses))
    return "".join(lines)


def host_names(hostname: str, domainname: str) -> str:
    """What a container calls itself in its ``/etc/hosts``."""
    return f"{hostname}.{domainname} {hostname}" if hostname and domainname else hostname


def hosts_lines(names: str, addresses: Sequence[str]) -> str:
    """Lines of ``/etc/hosts`` for a container's own names."""
    return "".join(f"{address}\t{_clean(names)}\n" for address in addresses if names)


def without_addresses(text: str, addresses: Sequence[str]) -> str:
    """``/etc/hosts`` without the lines of these addresses; every other line stays as somebody wrote it."""
    kept = [line for line in text.splitlines(keepends=True) if line.split(None, 1)[:1] not in [[a] for a in addresses]]
    return "".join(kept)


def with_host_name(text: str, addresses: Sequence[str]) -> str:
    """``/etc/hosts`` where this host is at ``addresses``. A line of its own: others are a user's and stay."""
    kept = [line for line in text.splitlines(keepends=True) if line.split()[1:] != [HOST_NAME]]
    return "".join([*kept, *(f"{address}\t{HOST_NAME}\n" for address in addresses)])


def split_extra_host(entry: str) -> tuple[str, str]:
    """``name:address`` or ``name=address``; IPv6 addresses may stand in brackets. Raises: InvalidArgument."""
    colon, equal = entry.find(":"), entry.find("=")
    at = equal if equal >= 0 and (colon < 0 or equal < colon) else colon
    name, address = (entry[:at], entry[at + 1 :]) if at > 0 else ("", "")
    if not name or not address:
        raise InvalidArgument(f'bad format for add-host: "{entry}"')
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    if bare != "host-gateway":
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise InvalidArgument(f'invalid IP address in add-host: "{address}"') from None
    return name, bare


def host_resolv_conf() -> str:
    """The host's resolv.conf; where it names only systemd-resolved's stub on loopback, that one's list of real servers."""
    text = _read(_RESOLV_CONF)
    return (_read(_SYSTEMD_RESOLV_CONF) or text) if _parse(text)[0] == ["127.0.0.53"] else text


def host_resolv_conf_folders() -> list[str]:
    """Where ``host_resolv_conf`` changes: the file's own folder, that of what it is a link to, systemd-resolved's."""
    found = {os.path.dirname(p) for p in (_RESOLV_CONF, os.path.realpath(_RESOLV_CONF), _SYSTEMD_RESOLV_CONF)}
    return sorted(filter(os.path.isdir, found))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def resolv_conf(
    host: str,
    *,
    dns: Sequence[str] = (),
    local: str = "",
    search: Sequence[str] = (),
    options: Sequence[str] = (),
    keep_loopback: bool = False,
) -> str:
    """``/etc/resolv.conf`` made from the host's text. ``keep_loopback``: the container shares the host's network.

    ``local`` is a resolver of the container's own, which knows where else to ask: the only server then.
    What is given replaces what the host says, part by part; a search of "." is none. The host's servers on loopback are left
    out, and those of IPv6, which the container doesn't speak; where none is left, ``FALLBACK_DNS``.
    """
    servers, found_search, found_options = _parse(host)
    kept = [s for s in servers if keep_loopback or _reachable(s)]
    chosen = [local] if local else [_clean(s) for s in dns] or kept or ([] if keep_loopback else list(FALLBACK_DNS))
    domains = [_clean(s) for s in search if s != "."] if search else found_search
    flags = [_clean(s) for s in options] if options else found_options
    lines = [f"nameserver {server}" for server in chosen]
    if local and not any(flag.startswith("ndots:") for flag in flags):
        flags = [*flags, "ndots:0"]  # a container's bare name is no host name of the search domains
    if domains:
        lines.append("search " + " ".join(domains))
    if flags:
        lines.append("options " + " ".join(flags))
    return "".join(line + "\n" for line in lines)


def _parse(text: str) -> tuple[list[str], list[str], list[str]]:
    """Name servers, search domains (the last line wins, as in resolv.conf(5)), options."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split(";", 1)[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = [word for word in words[1:] if word != "."]
        elif words[0] == "options":
            options += words[1:]
    return servers, search, options


def _reachable(server: str) -> bool:
    try:
        address = ipaddress.IPv4Address(server)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _clean(text: str) -> str:
    """No line break or other control character of a user's ever starts a line of its own. Raises: InvalidArgument."""
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in text):
        raise InvalidArgument(f"control character in {text!r}")
    return text
