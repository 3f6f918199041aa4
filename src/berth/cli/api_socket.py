"""``--use-api-socket``: the engine's socket in a container, and the user's logins beside it.

The socket is mounted where clients look for it. The logins are copied to ``/run/secrets/docker/config.json`` before the
start, and ``DOCKER_CONFIG`` says so, unless the container is given a ``DOCKER_CONFIG`` of its own, or nothing is kept.
"""

from __future__ import annotations

from berth.cli import credentials
from berth.cli.command import Failed
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.client.engine import Engine

FOLDER = "/run/secrets/docker"


class ApiSocket:
    """One container's. ``mount`` before its creation, ``log_in`` behind it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._logins: dict[str, credentials.Auth] = {}

    def mount(self, body: dict[str, Any]) -> None:
        """Change what the container is made of. Raises: Failed, Internal when a credential helper fails."""
        host = self._engine.host
        if not host.startswith("unix://"):
            raise Failed(
                f"flag --use-api-socket can only be used with unix sockets: docker endpoint {host} incompatible", 125
            )
        mount = {
            "Type": "bind",
            "Source": host.removeprefix("unix://"),
            "Target": "/var/run/docker.sock",
            "BindOptions": {},
        }
        body["HostConfig"]["Mounts"] = [*body["HostConfig"].get("Mounts", ()), mount]
        if any(entry.startswith("DOCKER_CONFIG=") for entry in body["Env"]):
            return
        self._logins = credentials.all_()
        if self._logins:
            body["Env"] = [*body["Env"], f"DOCKER_CONFIG={FOLDER}"]

    def log_in(self, container_id: str) -> None:
        """Copy the logins into the container. Raises: what the engine says."""
        if self._logins:
            headers = {"Content-Type": "application/x-tar"}
            path = f"/containers/{container_id}/archive" + query(path="/")
            self._engine.send("PUT", path, headers=headers, upload=[self._archive()], fresh=True).read()

    def _archive(self) -> bytes:
        import io
        import json
        import tarfile

        auths = {name: credentials.entry_of(auth) for name, auth in sorted(self._logins.items())}
        content = (json.dumps({"auths": auths}, indent="\t") + "\n").encode()
        entry = tarfile.TarInfo(f"{FOLDER}/config.json".lstrip("/"))
        entry.size, entry.mode = len(content), 0o600
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as archive:
            archive.addfile(entry, io.BytesIO(content))
        return raw.getvalue()
