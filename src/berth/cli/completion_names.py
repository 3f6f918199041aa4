"""Names of containers, images, networks, volumes and contexts: what the engine is asked for while somebody types."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from berth.cli.flags import Flags
    from berth.client.engine import Engine

    Candidates = list[tuple[str, str]]

PATIENCE_S = 5.0
"""Nobody waits longer than this for a tab."""


def names(noun: str, top: Flags) -> Candidates:
    """Names of one kind of thing. Raises: BerthError when the engine does not answer."""
    if noun == "contexts":
        from berth.cli import contexts

        return [("default", ""), *((context.name, context.description) for context in contexts.list_())]
    from berth.cli.endpoint import resolve
    from berth.client.engine import Engine

    endpoint = resolve(top)
    endpoint.timeout_s = PATIENCE_S
    return sorted((name, "") for name in set(NAMES[noun](Engine(endpoint))))


def _containers(*states: str) -> Callable[[Engine], list[str]]:
    """Containers in these states; in any where none is named."""

    def ask(engine: Engine) -> list[str]:
        rows = [row for row in engine.get("/containers/json?all=1") if not states or row["State"] in states]
        found = [name.lstrip("/") for row in rows for name in row["Names"] if name.count("/") == 1]
        if os.environ.get("DOCKER_COMPLETION_SHOW_CONTAINER_IDS") == "yes":
            found += [row["Id"] for row in rows]
        return found

    return ask


def _images(engine: Engine) -> list[str]:
    return [tag for row in engine.get("/images/json") for tag in row.get("RepoTags") or ()]


def _networks(engine: Engine) -> list[str]:
    return [row["Name"] for row in engine.get("/networks")]


def _own_networks(engine: Engine) -> list[str]:
    return [name for name in _networks(engine) if name not in ("bridge", "host", "none")]


def _volumes(engine: Engine) -> list[str]:
    return [row["Name"] for row in engine.get("/volumes").get("Volumes") or ()]


def _with_colon(engine: Engine) -> list[str]:
    return [f"{name}:" for name in NAMES["containers"](engine)]


def _anything(engine: Engine) -> list[str]:
    return [name for noun in ("containers", "images", "networks", "volumes") for name in NAMES[noun](engine)]


NAMES: dict[str, Callable[[Engine], list[str]]] = {
    "containers": _containers(),
    "live": _containers("running", "paused", "restarting"),
    "running": _containers("running", "restarting"),
    "stopped": _containers("created", "exited", "dead"),
    "paused": _containers("paused"),
    "links": _with_colon,
    "places": _with_colon,
    "images": _images,
    "networks": _networks,
    "own networks": _own_networks,
    "volumes": _volumes,
    "objects": _anything,
}
"""What is completed → how the engine is asked for it."""
