"""docker's CLI plugins: programs named ``docker-NAME`` that tell who they are and take over ``berth NAME ...``.

A plugin is asked with ``docker-cli-plugin-metadata`` for its metadata before it is trusted with a command, and then takes this
process's place with the words as they were given, as docker hands them on.
"""

from __future__ import annotations

import os
import sys

from berth.cli import catalog, config
from berth.cli.command import PROGRAM
from berth.client import quick_json

_SYSTEM_FOLDERS = ("/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
                   "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins")  # fmt: skip
_PREFIX = "docker-"


class Plugin:
    """A program that says it is a plugin. ``line``: what it does, its maker and version behind it."""

    def __init__(self, name: str, path: str, metadata: dict[str, str]) -> None:
        self.name = name
        self.path = path
        self.metadata = metadata

    @property
    def line(self) -> str:
        vendor, version = self.metadata.get("Vendor"), self.metadata.get("Version")
        tail = ", ".join(word for word in (vendor, version) if word)
        return self.metadata.get("ShortDescription", "") + (f" ({tail})" if tail else "")


def folders() -> list[str]:
    """Where plugins lie, the user's own first."""
    extra = config.load().get("cliPluginsExtraDirs")
    own = os.path.join(config.directory(), "cli-plugins")
    return [*([str(f) for f in extra] if isinstance(extra, list) else []), own, *_SYSTEM_FOLDERS]


def find(name: str) -> Plugin | None:
    """The plugin called ``name``; None where there is none, or what is there does not answer as one."""
    if not name or not name.replace("-", "").replace("_", "").isalnum() or name.startswith("-"):
        return None
    for folder in folders():
        path = os.path.join(folder, _PREFIX + name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return _ask(name, path)
    return None


def list_() -> list[Plugin]:
    """Every plugin by name; one name is found once, in the first folder that has it."""
    names: dict[str, str] = {}
    for folder in folders():
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            path = os.path.join(folder, entry)
            if entry.startswith(_PREFIX) and os.access(path, os.X_OK):
                names.setdefault(entry.removeprefix(_PREFIX), path)
    asked = (_ask(name, path) for name, path in sorted(names.items()) if catalog.find(name) is None)
    return [plugin for plugin in asked if plugin is not None]


def _ask(name: str, path: str) -> Plugin | None:
    import subprocess

    from berth.base import spawn

    try:
        done = spawn.run([path, "docker-cli-plugin-metadata"], timeout_s=10)
        metadata = quick_json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if done.returncode or not isinstance(metadata, dict) or not str(metadata.get("SchemaVersion", "")).startswith("0."):
        return None
    return Plugin(name, path, {str(k): str(v) for k, v in metadata.items()})


def alias(name: str) -> list[str]:
    """What the configuration's ``aliases`` put in a command's place; [] for nothing."""
    return config.words("aliases").get(name, "").split()


def run(plugin: Plugin, words: list[str]) -> int:
    """Become the plugin. Returns only when it cannot be executed: 126."""
    from berth.client.engine import default_host

    environ = {**os.environ, "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": sys.argv[0]}
    if not any(environ.get(k) for k in ("DOCKER_HOST", "DOCKER_CONTEXT")) and not config.text("currentContext"):
        environ["DOCKER_HOST"] = default_host()
    sys.stdout.flush()
    try:
        os.execve(plugin.path, [plugin.path, *words], environ)
    except OSError as err:
        print(f"{PROGRAM}: cannot run the plugin {plugin.path}: {err.strerror}", file=sys.stderr)
        return 126
