"""The sentences that clients match on, each once. Docker's words, kept exactly: golden tests hold them.

Functions return the whole sentence; whoever raises puts it into a kind of ``base.errors``.
"""

from __future__ import annotations

from collections.abc import Iterable


def no_such_container(ref: str) -> str:
    return f"No such container: {ref}"


def no_such_image(ref: str) -> str:
    return f"No such image: {ref}"


def no_such_platform(ref: str, platform: str) -> str:
    return f"image with reference {ref} was found but does not provide the specified platform ({platform})"


def no_such_exec(exec_id: str) -> str:
    return f"No such exec instance: {exec_id}"


def no_such_network(ref: str) -> str:
    return f"network {ref} not found"


def active_endpoints(name: str, network_id: str, users: Iterable[tuple[str, str]]) -> str:
    """``users``: names of containers and ids of their endpoints."""
    shown = " ".join(f'name:"{container}" id:"{endpoint[:12]}"' for container, endpoint in users)
    return f"error while removing network: network {name} id {network_id} has active endpoints ({shown})"


def name_in_use(name: str, container_id: str) -> str:
    return (
        f'Conflict. The container name "/{name}" is already in use by container "{container_id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


def bad_name(name: str) -> str:
    return f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"


def not_running(container_id: str) -> str:
    return f"container {container_id} is not running"


def multiple_ids(prefix: str) -> str:
    return f"multiple IDs found with provided prefix: {prefix}"


def page_not_found() -> str:
    return "page not found"


def client_too_new(version: str, highest: str) -> str:
    return f"client version {version} is too new. Maximum supported API version is {highest}"


def client_too_old(version: str, lowest: str) -> str:
    return (
        f"client version {version} is too old. Minimum supported API version is {lowest}, "
        "please upgrade your client to a newer version"
    )


def invalid_signal(text: str) -> str:
    return f"invalid signal: {text}"


def signal_not_supported(text: str) -> str:
    return f"the linux daemon does not support signal {text}"


def checkpoints_not_supported() -> str:
    return "checkpoints are not supported: no container can be frozen to disk; pause keeps one in memory"


def not_a_swarm_manager() -> str:
    return (
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
        "and try again."
    )


def config_empty() -> str:
    return "config cannot be empty in order to create a container"


def invalid_mount(kind: str, why: str) -> str:
    return f'invalid mount config for type "{kind}": {why}'


def mount_path_not_absolute(path: str) -> str:
    return f"invalid mount path: '{path}' mount path must be absolute"


def mount_on_root() -> str:
    return "invalid specification: destination can't be '/'"
