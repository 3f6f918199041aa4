"""Docker's filters for lists of containers and for prune."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from berth.base.errors import InvalidArgument
from berth.engine.containers.index import ContainerIndex
from berth.engine.containers.record import Container
from berth.engine.containers.state import PHASES
from berth.spec.moment import parse_moment_ns

KNOWN = frozenset(
    "ancestor before exited expose health id is-task isolation label name network publish since status volume label!".split()
)
HEALTH = ("none", "starting", "healthy", "unhealthy")
_STATES = "created, running, paused, restarting, removing, exited, dead"
_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


def check(filters: Mapping[str, list[str]], index: ContainerIndex) -> None:
    """Raises: InvalidArgument for a filter or value that Docker does not know; NotFound for a container that is not."""
    for name, values in filters.items():
        if name not in KNOWN:
            raise InvalidArgument(f"invalid filter '{name}'")
        if name == "status":
            for value in values:
                if value not in PHASES:
                    raise _invalid(name, value, f"invalid value for state ({value}): must be one of {_STATES}")
        for value in values if name == "exited" else ():
            if not re.fullmatch(r"[+-]?\d{1,9}", value):
                raise _invalid(name, value, f'strconv.Atoi: parsing "{value}": invalid syntax')
        for value in values if name == "health" else ():
            if value not in HEALTH:
                raise _invalid(name, value, f"invalid value for health ({value}): must be one of {', '.join(HEALTH)}")
        for value in values if name in ("publish", "expose") else ():
            _port_fits(name, value, {})
        for value in values if name in ("before", "since") else ():
            index.get(value)
        if name == "is-task" and (len(values) != 1 or values[0].lower() not in _BOOLEANS):
            raise InvalidArgument(f"invalid filter 'is-task=[{' '.join(values)}]'")


def _invalid(name: str, value: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"invalid filter '{name}={value}': {why}")


def narrows_to_stopped(filters: Mapping[str, list[str]]) -> bool:
    """True when the filters ask for phases, so that "running only" does not apply."""
    return bool(filters.get("status") or filters.get("exited"))


def fits(
    container: Container,
    filters: Mapping[str, list[str]],
    index: ContainerIndex,
    ancestors: Callable[[str], Iterable[str]],
) -> bool:
    """Whether a container passes every filter (values of one filter are alternatives, but labels must all hold)."""
    row = container.row
    for name, values in filters.items():
        if not values:
            continue
        if name == "id":
            ok = any(row.id.startswith(v) for v in values)
        elif name == "name":
            ok = any(_matches(v, row.name) for v in values)
        elif name == "label":
            ok = all(has_label(row.config.get("Labels") or {}, v) for v in values)
        elif name == "label!":
            ok = not any(has_label(row.config.get("Labels") or {}, v) for v in values)
        elif name == "status":
            ok = row.phase in values
        elif name == "exited":
            ok = row.phase == "exited" and str(row.exit_code) in values
        elif name == "ancestor":
            ok = any(row.image_ref == v or row.image_id in ancestors(v) for v in values)
        elif name == "network":
            ok = container.network_mode in values or any(
                v in container.row.endpoints or any(e.network_id.startswith(v) for e in container.endpoints)
                for v in values
            )
        elif name == "volume":
            ok = any(v in (m.name, m.destination, m.source) for m in row.mounts for v in values)
        elif name == "before":
            ok = all(row.created_ns < index.get(v).row.created_ns for v in values)
        elif name == "since":
            ok = all(row.created_ns > index.get(v).row.created_ns for v in values)
        elif name in ("publish", "expose"):
            ports = _published(container) if name == "publish" else row.config.get("ExposedPorts") or {}
            ok = any(_port_fits(name, v, ports) for v in values)
        elif name == "health":
            ok = health_of(row.health) in values
        elif name == "is-task":
            ok = not _BOOLEANS[values[0].lower()]  # none of them is a swarm's
        else:
            ok = True
        if not ok:
            return False
    return True


def health_of(health: Mapping[str, object] | None) -> str:
    return str(health["Status"]) if health else "none"


def prune_until_ns(filters: Mapping[str, list[str]]) -> int | None:
    """The ``until`` of a prune. Raises: InvalidArgument."""
    values = filters.get("until") or []
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    return parse_moment_ns(values[0]) if values else None


def prune_fits(container: Container, filters: Mapping[str, list[str]], until_ns: int | None) -> bool:
    """Whether prune may take it: labels hold, none of those that must not, made before ``until_ns``."""
    labels = container.row.config.get("Labels") or {}
    if not all(has_label(labels, v) for v in filters.get("label") or []):
        return False
    if any(has_label(labels, v) for v in filters.get("label!") or []):
        return False
    return until_ns is None or container.row.created_ns < until_ns


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, eq, value = wanted.partition("=")
    return key in labels and (not eq or labels[key] == value)


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern.removeprefix("/"), name) is not None or re.search(pattern, "/" + name) is not None
    except re.error:
        raise InvalidArgument(f"invalid filter 'name={pattern}': not a regular expression") from None


def _published(container: Container) -> dict[str, object]:
    """Ports of the host that lead to it now: ``8080/tcp``."""
    return {
        f"{binding['HostPort']}/{key.partition('/')[2]}": None
        for key, bindings in container.ports.items()
        for binding in bindings or ()
    }


def _port_fits(name: str, wanted: str, ports: Mapping[str, object]) -> bool:
    number, _, proto = wanted.partition("/")
    low, _, high = number.partition("-")
    try:
        span = range(int(low), int(high or low) + 1)
    except ValueError:
        wrong = low if not low.isdigit() else high
        raise InvalidArgument(
            f'error while looking up for {name} {wanted}: strconv.ParseUint: parsing "{wrong}": invalid syntax'
        ) from None
    return any(f"{n}/{proto or 'tcp'}" in ports for n in span)
