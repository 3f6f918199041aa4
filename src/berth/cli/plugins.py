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
_KEYS = ("SchemaVersion", "Vendor", "Version", "ShortDescription", "URL")


class Plugin:
    """A program that may be a plugin. ``wrong``: why it is none after all, "" where it is one."""

    def __init__(self, name: str, path: str, metadata: dict[str, str], wrong: str = "") -> None:
        self.name = name
        self.path = path
        self.metadata = metadata
        self.wrong = wrong

    @property
    def line(self) -> str:
        """What it does, in its own words."""
        return self.metadata.get("ShortDescription", "")


def folders() -> list[str]:
    """Where plugins lie, the user's own first."""
    extra = config.load().get("cliPluginsExtraDirs")
    own = os.path.join(config.directory(), "cli-plugins")
    return [*([str(f) for f in extra] if isinstance(extra, list) else []), own, *_SYSTEM_FOLDERS]


def find(name: str) -> Plugin | None:
    """The plugin called ``name``; None where there is none, or what is there does not answer as one."""
    if not _is_name(name):
        return None
    for folder in folders():
        path = os.path.join(folder, _PREFIX + name)
        if os.path.isfile(path):
            plugin = _ask(name, path)
            return None if plugin.wrong else plugin
    return None


def list_() -> list[Plugin]:
    """Every plugin by name, those too that are none after all; one name is found once, in the first folder that has it."""
    names: dict[str, str] = {}
    for folder in folders():
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            path = os.path.join(folder, entry)
            if entry.startswith(_PREFIX) and os.path.isfile(path):
                names.setdefault(entry.removeprefix(_PREFIX), path)
    return [_ask(name, path) for name, path in sorted(names.items())]


def _is_name(name: str) -> bool:
    return name.isascii() and name.isalnum() and name.islower() and name[0].isalpha()


def _ask(name: str, path: str) -> Plugin:
    from berth.base import spawn

    if not _is_name(name):
        return Plugin(name, path, {}, f'plugin candidate "{name}" did not match "^[a-z][a-z0-9]*$"')
    if catalog.find(name) or name in catalog.GROUPS:
        return Plugin(name, path, {}, f'plugin "{name}" duplicates builtin command')
    try:
        done = spawn.run([path, "docker-cli-plugin-metadata"], timeout_s=10)
    except TimeoutError as err:
        return Plugin(name, path, {}, f"failed to fetch metadata: {err}")
    except OSError as err:
        why = os.strerror(err.errno or 0).lower()
        return Plugin(name, path, {}, f"failed to fetch metadata: fork/exec {path}: {why}")
    if done.returncode:
        return Plugin(name, path, {}, f"failed to fetch metadata: exit status {done.returncode}")
    return _judged(name, path, done.stdout)


def _judged(name: str, path: str, answer: bytes) -> Plugin:
    """What a candidate says of itself."""
    try:
        found = quick_json.loads(answer)
    except ValueError as err:
        return Plugin(name, path, {}, f"invalid metadata: {err}")
    known = found if isinstance(found, dict) else {}
    metadata = {key: known[key] for key in _KEYS if isinstance(known.get(key), str) and known[key]}
    version, wrong = metadata.get("SchemaVersion", ""), ""
    if version != "0.1.0":
        wrong = f'plugin SchemaVersion "{version}" is not valid, must be 0.1.0'
    elif not metadata.get("Vendor"):
        wrong = "plugin metadata does not define a vendor"
    return Plugin(name, path, metadata, wrong)


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
