"""What could stand where the cursor is: commands, flags, and names that the engine is asked for.

The shells' scripts (``completion_scripts.py``) run ``berth __complete WORD... LAST``; the answer is cobra's, so that docker's own
scripts work with it too: a candidate a line, a tab and its description behind it, and at the end ``:`` with a directive.
"""

from __future__ import annotations

import os

from berth.base.errors import BerthError
from berth.cli import catalog, completion_words
from berth.cli.completion_names import names
from berth.cli.flags import LISTS, Flag, Flags, UsageError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from berth.cli.command import Command

    Candidates = list[tuple[str, str]]

FILES, ERROR, NO_SPACE, NO_FILES = 0, 1, 2, 4


def answer(top: Flags, *, describe: bool) -> int:
    """Print what fits the words after ``__complete``; the last of them is the one being typed."""
    words = top.args[1:] or [""]
    try:
        found, directive = complete(words, top)
    except (BerthError, OSError):
        found, directive = [], ERROR
    for word, line in found:
        print(f"{word}\t{line.splitlines()[0]}" if describe and line else word)
    print(f":{directive}")
    return 0


def complete(words: Sequence[str], top: Flags) -> tuple[Candidates, int]:
    """Candidates for the last word, and cobra's directive. Raises: BerthError when the engine does not answer."""
    from berth.cli.main import GLOBAL

    *before, last = words
    flags = parse(before, GLOBAL, interspersed=False) if _complete_flags(before, GLOBAL) else Flags({})
    for name, values in flags.values.items():
        top.values.setdefault(name, []).extend(values)
    if not flags.args:
        if last.startswith("-"):
            return _flag_names(GLOBAL, last), NO_FILES
        waiting = _waiting_flag(before, GLOBAL)
        if waiting is not None:
            return _flag_value(waiting, last, top)
        return _starting(_top_words(), last), NO_FILES
    name, *rest = flags.args
    if name == "help":
        return ([] if rest else _starting(_top_words(), last)), NO_FILES
    if name in catalog.GROUPS:
        if not rest:
            return _starting(list(catalog.verbs(name).items()), last), NO_FILES
        name, rest = f"{name} {rest[0]}", rest[1:]
    whole = catalog.find(name)
    if whole is None:
        return _of_plugin(name, [*rest, last])
    module, key, _ = catalog.COMMANDS[whole]
    command: Command = __import__(f"berth.cli.commands.{module}", fromlist=["COMMANDS"]).COMMANDS[key]
    return _in_command(command, rest, last, top)


def _of_plugin(name: str, words: Sequence[str]) -> tuple[Candidates, int]:
    """What a CLI plugin says fits its own words."""
    from berth.base import spawn
    from berth.cli import plugins
    from berth.cli.completion_names import PATIENCE_S

    plugin = plugins.find(name)
    if plugin is None:
        return [], NO_FILES
    done = spawn.run([plugin.path, "__complete", name, *words], timeout_s=PATIENCE_S)
    *lines, last = done.stdout.decode("utf-8", "replace").splitlines() or [""]
    if not last.startswith(":") or not last[1:].isdecimal():
        return [], ERROR
    return [(word, line) for word, _, line in (text.partition("\t") for text in lines)], int(last[1:])


def _complete_flags(words: Sequence[str], known: Sequence[Flag]) -> bool:
    try:
        parse(words, known, interspersed=False)
    except UsageError:
        return False
    return True


def _in_command(command: Command, rest: Sequence[str], last: str, top: Flags) -> tuple[Candidates, int]:
    waiting = _waiting_flag(rest, command.flags)
    if waiting is not None:
        return _flag_value(waiting, last, top)
    try:
        given = parse(rest, command.flags, interspersed=command.interspersed)
    except UsageError:
        return [], ERROR
    after_arguments = bool(given.args) and not command.interspersed
    if last.startswith("-") and not after_arguments and "--" not in rest:
        if last.startswith("--") and "=" in last:
            name, _, value = last.partition("=")
            flag = next((f for f in command.flags if "--" + f.name == name), None)
            if flag is None:
                return [], NO_FILES
            return _flag_value(flag, value, top)
        return _flag_names(command.flags, last, given), NO_FILES
    noun = _noun(command, given)
    if noun in ("", "files"):
        return [], FILES if noun == "files" else NO_FILES
    if noun == "places" and last.startswith((".", "/", "-")):
        return [], FILES
    taken = set(given.args)
    found = _starting([c for c in names(noun, top) if c[0] not in taken], last)
    return found, FILES if noun == "places" and not found else _directive(found)


def _noun(command: Command, given: Flags) -> str:
    """What an argument is, by the command's own word for it, else by its usage."""
    position = len(given.args)
    if command.complete:
        noun = command.complete[min(position, len(command.complete) - 1)]
        if noun == "objects" and given.text("type"):
            return given.text("type") + "s"
        return "containers" if noun == "stopped" and given.given("force") else noun
    arguments = [word for word in command.usage.split("\n")[0].split() if word.strip("[].") not in ("OPTIONS", "")]
    if not arguments:
        return ""
    word = arguments[min(position, len(arguments) - 1)].strip("[].").partition("[")[0].partition(":")[0]
    for start, noun in (("CONTAINER", "containers"), ("IMAGE", "images"), ("SOURCE_IMAGE", "images"),
                        ("TARGET_IMAGE", "images"), ("REPOSITORY", "images"), ("NETWORK", "networks"),
                        ("VOLUME", "volumes"), ("CONTEXT", "contexts"), ("NAME|ID", "containers"),
                        ("file", "files"), ("PATH", "files")):  # fmt: skip
        if word.startswith(start):
            return noun
    return ""


def _waiting_flag(rest: Sequence[str], known: Sequence[Flag]) -> Flag | None:
    """The flag whose value is being typed: the word before is one that needs a value."""
    if not rest or "--" in rest or not rest[-1].startswith("-") or "=" in rest[-1]:
        return None
    word = rest[-1]
    for flag in known:
        alone = word == "--" + flag.name or (flag.short and not word.startswith("--") and word.endswith(flag.short))
        if alone and flag.kind != "bool":
            return flag
    return None


def _flag_names(known: Sequence[Flag], last: str, given: Flags | None = None) -> Candidates:
    found: Candidates = []
    for flag in sorted(known, key=lambda f: f.name):
        repeats = flag.kind in LISTS
        if flag.hidden or flag.deprecated or (given is not None and given.given(flag.name) and not repeats):
            continue
        found.append((f"--{flag.name}", flag.help))
        if flag.short:
            found.append((f"-{flag.short}", flag.help))
    return _starting(found, last)


def _flag_value(flag: Flag, last: str, top: Flags) -> tuple[Candidates, int]:
    key, eq, value = last.partition("=")
    if eq and key + eq in flag.choices:
        meant = completion_words.EVENTS[key]
        found = names(meant, top) if isinstance(meant, str) else _plain(meant)
        return [(f"{key}={word}", line) for word, line in _starting(found, value)], NO_FILES
    if flag.choices:
        found = _plain(flag.choices)
    elif flag.name in completion_words.VALUES:
        found = _plain(completion_words.VALUES[flag.name])
    elif flag.name in ("cap-add", "cap-drop"):
        from berth.spec.capabilities import ALL_CAPABILITIES

        found = _plain(("ALL", *ALL_CAPABILITIES))
    elif flag.name == "env":
        found = _plain(sorted(os.environ))
    elif flag.name in completion_words.NOUNS:
        found = names(completion_words.NOUNS[flag.name], top)
    else:
        return [], FILES if flag.name in completion_words.FILES else NO_FILES
    found = _starting(found, last)
    return found, _directive(found)


def _plain(words: Sequence[str]) -> Candidates:
    return [(word, "") for word in words]


def _directive(found: Candidates) -> int:
    """No blank behind words that are only begun."""
    begun = bool(found) and all(word.endswith(("=", ":", "-")) for word, _ in found)
    return NO_FILES | NO_SPACE if begun else NO_FILES


def _top_words() -> Candidates:
    from berth.cli import plugins

    found = [(word, catalog.COMMANDS[target][2]) for word, target in catalog.SHORT.items()]
    found += [(name, entry[2]) for name, entry in catalog.COMMANDS.items() if " " not in name]
    found += list(catalog.GROUPS.items())
    found += [(plugin.name, plugin.line) for plugin in plugins.list_() if not plugin.wrong]
    return sorted(found)


def _starting(found: Candidates, last: str) -> Candidates:
    return [candidate for candidate in found if candidate[0].startswith(last)]


__all__ = ["answer", "complete"]
