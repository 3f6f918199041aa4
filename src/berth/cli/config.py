"""docker's ``config.json``: read as docker reads it, shared with it, written here for logins and the current context.

Its folder is ``--config``, else ``DOCKER_CONFIG``, else ``~/.docker``.
"""

from __future__ import annotations

import sys

from berth.client import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_loaded: dict[str, dict[str, Any]] = {}


def directory() -> str:
    """The folder of the configuration, contexts and plugins."""
    return environment.get("DOCKER_CONFIG") or environment.home() + "/.docker"


def load() -> dict[str, Any]:
    """The file's settings; {} when there is none. One that is broken is told and not used."""
    path = directory() + "/config.json"
    if path not in _loaded:
        _loaded[path] = _read(path)
    return _loaded[path]


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as err:
        import os

        print(
            f"WARNING: Error loading config file: open {path}: {os.strerror(err.errno or 0).lower()}", file=sys.stderr
        )
        return {}
    from berth.client import quick_json

    try:
        found = quick_json.loads(raw) if raw.strip() else {}
    except ValueError as err:
        print(f"WARNING: Error parsing config file ({path}): {err}", file=sys.stderr)
        return {}
    wrong = _misfit(found)
    if wrong:
        print(f"WARNING: Error parsing config file ({path}): json: cannot unmarshal {wrong}", file=sys.stderr)
    return found if isinstance(found, dict) else {}


_WORDS = "map[string]string"
_TYPES = {
    **dict.fromkeys(
        "psFormat imagesFormat networksFormat pluginsFormat volumesFormat statsFormat detachKeys credsStore servicesFormat "
        "tasksFormat secretFormat configFormat nodesFormat currentContext serviceInspectFormat".split(), "string",
    ),
    **dict.fromkeys(("HttpHeaders", "credHelpers", "aliases"), _WORDS), "auths": "map[string]types.AuthConfig",
    "proxies": "map[string]configfile.ProxyConfig", "plugins": "map[string]map[string]string",
    "cliPluginsExtraDirs": "[]string", "pruneFilters": "[]string",
}  # fmt: skip
"""A setting → its type, as docker tells it."""


def _misfit(found: Any) -> str:
    """What does not have the type that it should have, in the words of Go's decoder; "" for nothing."""
    if not isinstance(found, dict):
        return f"{_kind(found)} into Go value of type configfile.ConfigFile"
    for name, value in found.items():
        wanted = _TYPES.get(name)
        if wanted and value is not None and _kind(value) != {"s": "string", "m": "object", "[": "array"}[wanted[0]]:
            return f"{_kind(value)} into Go struct field ConfigFile.{name} of type {wanted}"
    return ""


def _kind(value: Any) -> str:
    """What JSON calls a value."""
    kinds: dict[type, str] = {bool: "bool", str: "string", dict: "object", list: "array"}
    return kinds.get(type(value), "number")


def text(name: str) -> str:
    """A setting that is a word; "" when it isn't there."""
    value = load().get(name)
    return value if isinstance(value, str) else ""


def words(name: str) -> dict[str, str]:
    """A setting that maps words to words."""
    value = load().get(name)
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def detach_keys(given: str) -> str:
    """The keys that detach: what a flag gave, else the setting."""
    return given or text("detachKeys")


def set_text(name: str, value: str) -> None:
    """Write one setting back and leave the others; "" takes it out. Raises: OSError."""

    def change(settings: dict[str, Any]) -> None:
        settings.pop(name, None)
        if value:
            settings[name] = value

    update(change)


def update(change: Callable[[dict[str, Any]], None]) -> str:
    """Read the settings anew, change them, replace the file whole; returns its path. Raises: OSError."""
    import json
    import os

    path = os.path.realpath(os.path.join(directory(), "config.json"))
    settings = dict(_read(path))
    change(settings)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    partial = f"{path}.{os.getpid()}.tmp"
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(settings, file, indent="\t", ensure_ascii=False)
    os.replace(partial, path)
    _loaded.clear()
    return path


def proxy_environment(host: str) -> dict[str, str]:
    """``proxies`` for an engine's address as variables of new containers, each in upper and lower case."""
    proxies = load().get("proxies")
    if not isinstance(proxies, dict):
        return {}
    chosen = proxies.get(host) or proxies.get("default") or {}
    names = {"httpProxy": "HTTP_PROXY", "httpsProxy": "HTTPS_PROXY", "noProxy": "NO_PROXY", "ftpProxy": "FTP_PROXY",
             "allProxy": "ALL_PROXY"}  # fmt: skip
    found: dict[str, str] = {}
    for key, name in names.items():
        if chosen.get(key):
            found[name] = found[name.lower()] = str(chosen[key])
    return found
