"""Legacy links of the default bridge: lines in /etc/hosts and variables in the environment.

On a network of a user's own, links are names that its DNS knows: see ``networks``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from berth.base.errors import BerthError, Conflict, InvalidArgument, NotFound
from berth.engine.containers.deps import Deps, log
from berth.engine.containers.record import Container
from berth.engine.containers.runtime_spec import hostname_of

_NOT_HANDED_ON = ("PATH", "HOME", "HOSTNAME", "TERM")


class Link(NamedTuple):
    """``child`` as ``alias``."""

    child: Container
    alias: str


def parse_link(text: str) -> tuple[str, str]:
    """``name[:alias]``. Raises: InvalidArgument."""
    if not text:
        raise InvalidArgument("empty string specified for links")
    parts = text.split(":")
    if len(parts) > 2:
        raise InvalidArgument(f"bad format for links: {text}")
    name, alias = parts[0], parts[-1]
    return name.removeprefix("/"), alias.rpartition("/")[2]


def check_links(deps: Deps, hc: dict[str, Any]) -> None:
    """Raises: InvalidArgument for a link that is none, or to a container that is not there."""
    for text in hc.get("Links") or []:
        name, _ = parse_link(str(text))
        try:
            deps.containers.get(name)
        except NotFound as err:
            raise InvalidArgument(f"could not get container for {name}: {err.message}") from err


def links_of(deps: Deps, container: Container) -> Iterator[Link]:
    """The links whose containers are still there, on the default bridge only."""
    if container.network_mode != "bridge":
        return
    for text in container.row.host_config.get("Links") or ():
        name, alias = parse_link(str(text))
        child = deps.containers.find(name)
        if child is not None:
            yield Link(child, alias)


def remember_links(deps: Deps, container: Container) -> None:
    """So that the linked containers' next start finds who has to know. After: the container is in the index."""
    for link in links_of(deps, container):
        deps.containers.linked.setdefault(link.child.id, set()).add(container.id)


def refresh_parents(deps: Deps, child: Container) -> None:
    """``child`` was started, perhaps with another address: new hosts files for who links to it and runs."""
    from berth.engine.containers.network_files import write_network_files

    for parent_id in deps.containers.linked.get(child.id, ()):
        parent = deps.containers.find(parent_id)
        if parent is not None and parent.running:
            try:
                write_network_files(deps, parent, parent.endpoints)
            except (BerthError, OSError) as err:
                log.warning("hosts file of %s, which links to %s: %s", parent.name, child.name, err)


def shown_links(deps: Deps, container: Container) -> list[str] | None:
    """As inspect shows them."""
    shown = [f"/{link.child.name}:/{container.name}/{link.alias}" for link in links_of(deps, container)]
    return shown or None


def link_hosts(deps: Deps, container: Container) -> list[str]:
    """``names:address`` of every link. Raises: Conflict for one whose container does not run."""
    lines = []
    for child, alias in links_of(deps, container):
        address = _address(child)
        if not child.running or not address:
            raise Conflict(f"Cannot link to a non running container: /{child.name} AS /{container.name}/{alias}")
        names = [alias, hostname_of(child.row), *([child.name] if child.name != alias else [])]
        lines.append(f"{' '.join(names)}:{address}")
    return lines


def link_env(deps: Deps, container: Container) -> list[str]:
    """``ALIAS_NAME``, ``ALIAS_PORT...`` and ``ALIAS_ENV_...`` of every link."""
    env: list[str] = []
    for child, alias in links_of(deps, container):
        address = _address(child)
        if not address:
            continue
        word = alias.replace("-", "_").upper()
        env.append(f"{word}_NAME=/{container.name}/{alias}")
        ports = sorted((proto, int(n)) for n, _, proto in (p.partition("/") for p in _exposed(child)))
        if ports:  # tcp comes first
            env.append(f"{word}_PORT={ports[0][0]}://{address}:{ports[0][1]}")
        for proto, number in ports:
            at = f"{word}_PORT_{number}_{proto.upper()}"
            env += [f"{at}={proto}://{address}:{number}", f"{at}_ADDR={address}", f"{at}_PORT={number}",
                    f"{at}_PROTO={proto}"]  # fmt: skip
        for entry in child.row.config.get("Env") or ():
            key, eq, value = str(entry).partition("=")
            if eq and key not in _NOT_HANDED_ON:
                env.append(f"{word}_ENV_{key}={value}")
    return env


def _exposed(child: Container) -> list[str]:
    return [*(child.row.config.get("ExposedPorts") or ())]


def _address(child: Container) -> str:
    """On the default bridge, "" when it has none."""
    return next((str(e.ipv4) for e in child.endpoints if e.network_name == "bridge"), "")
