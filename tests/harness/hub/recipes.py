"""What each image is made of. ``RECIPES`` maps a name of Docker Hub's library to its ``Recipe``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_BIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Recipe(NamedTuple):
    """``packages`` of Debian over the base; ``files``: path in the image → file in ``files/`` (executable).

    ``setup``: a script of ``files/`` that is run inside, last. ``npm``: packages of the npm registry, unpacked below
    /usr/local/lib/node_modules. ``config``: the image config's own ``config`` object.
    """

    packages: tuple[str, ...] = ()
    config: Mapping[str, Any] = {}
    files: Mapping[str, str] = {}
    setup: str = ""
    npm: Mapping[str, str] = {}


def _config(
    command: list[str], *, entry: list[str] | None = None, env: Mapping[str, str] | None = None, **more: Any
) -> Any:
    path = {"PATH": _BIN, **(env or {})}
    found: dict[str, Any] = {"Cmd": command, "Env": [f"{key}={value}" for key, value in path.items()], **more}
    if entry:
        found["Entrypoint"] = entry
    for name in ("ExposedPorts", "Volumes"):
        if name in found:
            found[name] = {key: {} for key in found[name]}
    return found


_NGINX = Recipe(
    ("nginx-light", "gettext-base", "curl", "ca-certificates"),
    _config(
        ["nginx", "-g", "daemon off;"], entry=["/docker-entrypoint.sh"], env={"NGINX_VERSION": "1.22.1"},
        ExposedPorts=["80/tcp"], StopSignal="SIGQUIT",
        Labels={"maintainer": "the tests of Berth"},
    ),
    {"docker-entrypoint.sh": "nginx-entrypoint.sh"},
    "nginx.setup",
)  # fmt: skip

_HTTPD = Recipe(
    ("apache2-bin", "ca-certificates"),
    _config(
        ["httpd-foreground"],
        env={"PATH": f"/usr/local/apache2/bin:{_BIN}", "HTTPD_PREFIX": "/usr/local/apache2", "HTTPD_VERSION": "2.4"},
        ExposedPorts=["80/tcp"], StopSignal="SIGWINCH", WorkingDir="/usr/local/apache2",
    ),
    {"usr/local/bin/httpd-foreground": "httpd-foreground"},
    "httpd.setup",
)  # fmt: skip

_REDIS = Recipe(
    ("redis-server",),
    _config(
        ["redis-server"], entry=["docker-entrypoint.sh"], env={"REDIS_VERSION": "7.0.15"},
        ExposedPorts=["6379/tcp"], Volumes=["/data"], WorkingDir="/data",
    ),
    {"usr/local/bin/docker-entrypoint.sh": "redis-entrypoint.sh"},
    "redis.setup",
)  # fmt: skip

_PYTHON = Recipe(
    ("python3", "python3-pip", "python3-venv", "ca-certificates"),
    _config(["python3"], env={"LANG": "C.UTF-8", "PYTHON_VERSION": "3.11.2"}),
    setup="python.setup",
)

_NODE = Recipe(
    ("nodejs", "ca-certificates"),
    _config(["node"], entry=["docker-entrypoint.sh"], env={"NODE_VERSION": "18.20.4"}),
    {"usr/local/bin/docker-entrypoint.sh": "node-entrypoint.sh"},
    "node.setup",
    {"npm": "10.8.2", "yarn": "1.22.22"},
)

_POSTGRES = Recipe(
    ("postgresql-15",),
    _config(
        ["postgres"], entry=["docker-entrypoint.sh"],
        env={
            "PATH": f"{_BIN}:/usr/lib/postgresql/15/bin", "LANG": "C.UTF-8", "PG_MAJOR": "15",
            "PGDATA": "/var/lib/postgresql/data",
        },
        ExposedPorts=["5432/tcp"], Volumes=["/var/lib/postgresql/data"], StopSignal="SIGINT",
    ),
    {"usr/local/bin/docker-entrypoint.sh": "postgres-entrypoint.sh"},
    "postgres.setup",
)  # fmt: skip

_MARIADB = Recipe(
    ("mariadb-server",),
    _config(
        ["mariadbd"], entry=["docker-entrypoint.sh"], env={"LANG": "C.UTF-8", "MARIADB_VERSION": "10.11"},
        ExposedPorts=["3306/tcp"], Volumes=["/var/lib/mysql"],
    ),
    {"usr/local/bin/docker-entrypoint.sh": "mariadb-entrypoint.sh"},
    "mariadb.setup",
)  # fmt: skip

_MYSQL = _MARIADB._replace(
    config={**_MARIADB.config, "Cmd": ["mysqld"], "ExposedPorts": {"3306/tcp": {}, "33060/tcp": {}}}
)

_REGISTRY = Recipe(
    ("docker-registry",),
    _config(
        ["/etc/docker/registry/config.yml"], entry=["/entrypoint.sh"], env={"OTEL_TRACES_EXPORTER": "none"},
        ExposedPorts=["5000/tcp"], Volumes=["/var/lib/registry"],
    ),
    {"entrypoint.sh": "registry-entrypoint.sh"},
    "registry.setup",
)  # fmt: skip

_DEBIAN = Recipe(config=_config(["bash"]))

RECIPES: Mapping[str, Recipe] = {
    "debian": _DEBIAN,
    "ubuntu": _DEBIAN._replace(config=_config(["/bin/bash"])),
    "nginx": _NGINX,
    "httpd": _HTTPD,
    "redis": _REDIS,
    "python": _PYTHON,
    "node": _NODE,
    "postgres": _POSTGRES,
    "mariadb": _MARIADB,
    "mysql": _MYSQL,
    "registry": _REGISTRY,
}
"""``busybox`` and ``hello-world``, which ``Hub`` has as well, need no packages."""
