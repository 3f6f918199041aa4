"""What CLI plugins have to say after a command: "What's next".

    config.json   "features": {"hooks": "true"}     or DOCKER_CLI_HOOKS=true
                  "plugins": {"NAME": {"hooks": "pull,image ls"}}
    docker-NAME NAME docker-cli-plugin-hooks {"RootCmd": "pull", "Flags": {"quiet": "true"}, "CommandError": ""}
    {"Type": 0, "Template": "Run it with {{arg . 0}}"}

At a terminal only, after commands that succeeded. A plugin that fails, or says what cannot be read, says nothing.
"""

from __future__ import annotations

import sys

from berth.base.errors import BerthError
from berth.cli import config, plugins
from berth.client import environment, quick_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from berth.cli.flags import Flags

_PATIENCE_S = 5.0
_NEXT_STEPS = 0


def tell(command: str, flags: Flags) -> None:
    """Print what the plugins of ``command`` ("image ls", as it was typed) have to say."""
    if not _enabled():
        return
    lines = [line for name, matched in _wanted(command) for line in _asked(name, matched, command, flags)]
    if lines:
        print("\033[1m\nWhat's next:\033[0m", *(f"    {line}" for line in lines), sep="\n", file=sys.stderr)


def _enabled() -> bool:
    """The first of ``DOCKER_CLI_HOOKS``, ``DOCKER_CLI_HINTS`` and the configuration that says anything."""
    features = config.load().get("features")
    setting = features.get("hooks") if isinstance(features, dict) else None
    word = environment.get("DOCKER_CLI_HOOKS") or environment.get("DOCKER_CLI_HINTS") or setting
    return word in ("1", "t", "T", "true", "TRUE", "True")


def _wanted(command: str) -> Iterator[tuple[str, str]]:
    """Plugins that want to hear of a command, and the words that said so."""
    settings = config.load().get("plugins")
    words = command.split()
    for name, own in settings.items() if isinstance(settings, dict) else ():
        hooks = str(own.get("hooks", "")).split(",") if isinstance(own, dict) else []
        matched = next((hook for hook in hooks if hook and hook.split() == words[: len(hook.split())]), "")
        if matched:
            yield name, matched


def _asked(name: str, matched: str, command: str, flags: Flags) -> list[str]:
    from berth.base import spawn

    plugin = plugins.find(name)
    if plugin is None:
        return []
    given = {key: values[-1] if values[-1] in ("true", "false") else "" for key, values in flags.values.items()}
    told = quick_json.dumps({"RootCmd": matched, "Flags": given, "CommandError": ""})
    try:
        done = spawn.run([plugin.path, name, "docker-cli-plugin-hooks", told], timeout_s=_PATIENCE_S)
        answer = quick_json.loads(done.stdout)
        if done.returncode or answer["Type"] != _NEXT_STEPS:
            return []
        return _filled(answer["Template"], command, flags).split("\n")
    except (OSError, ValueError, KeyError, TypeError, BerthError):
        return []


def _filled(template: str, command: str, flags: Flags) -> str:
    """The plugin's template, with the command's name, flags and arguments. Raises: InvalidArgument."""
    from berth.cli.gotemplate import Fields, Template

    functions: dict[str, Any] = {
        "flag": lambda _, name: flags.text(name) or "false",
        "arg": lambda _, index: flags.args[index] if index < len(flags.args) else "",
    }
    fields = Fields.of({"Name": command.split()[-1]}, "*cobra.Command")
    return Template(template, functions=functions).render(fields)
