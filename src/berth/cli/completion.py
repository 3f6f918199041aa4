"""What could stand where the cursor is: commands, flags, and names that the engine is asked for.

The shells' scripts (``completion_scripts.py``) run ``berth __complete WORD... LAST``; the answer is cobra's, so that docker's own
scripts work with it too: a candidate a line, a tab and its description behind it, and at the end ``:`` with a directive.
"""

from __future__ import annotations

import os

from berth.base.errors import BerthError
from berth.cli import catalog
from berth.cli.flags import LISTS, Flag, Flags, UsageError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from berth.cli.command import Command
    from berth.client.engine import Engine

    Candidates = list[tuple[str, str]]

FILES, ERROR, NO_FILES = 0, 1, 4
_SIGNALS = ("SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGWINCH")
_FLAG_WORDS: dict[str, Sequence[str]] = {
    "restart": ("always", "no", "on-failure", "unless-stopped"),
    "pull": ("always", "missing", "never"),
    "log-driver": ("json-file", "local", "none"),
    "cgroupns": ("host", "private"),
    "ipc": ("container:", "host", "none", "private", "shareable"),
    "pid": ("container:", "host"),
    "uts": ("host",),
    "userns": ("host",),
    "signal": _SIGNALS,
    "stop-signal": _SIGNALS,
    "format": ("json", "table"),
    "log-level": ("debug", "info", "warn", "error", "fatal"),
    "platform": (
        "linux/amd64",
        "linux/arm64",
        "linux/arm/v7",
        "linux/386",
        "linux/ppc64le",
        "linux/riscv64",
        "linux/s390x",
    ),
    "type": ("container", "image", "network", "volume"),
    "security-opt": ("apparmor=", "label=", "no-new-privileges", "seccomp=", "systempaths=unconfined"),
    "detach-keys": (),
    "driver": ("bridge", "host", "macvlan", "ipvlan", "none"),
}
_FLAG_NOUNS = {"network": "networks", "net": "networks", "volumes-from": "containers", "link": "running", "context": "contexts",
               "volume": "volumes", "from": "contexts"}  # fmt: skip
_FILE_FLAGS = frozenset({"env-file", "label-file", "cidfile", "iidfile", "file", "input", "output", "tlscacert", "tlscert",
                         "tlskey", "config"})  # fmt: skip


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
    if name in catalog.GROUPS:
        if not rest:
            return _starting(list(catalog.verbs(name).items()), last), NO_FILES
        name, rest = f"{name} {rest[0]}", rest[1:]
    whole = catalog.find(name)
    if whole is None:
        return [], NO_FILES
    module, key, _ = catalog.COMMANDS[whole]
    command: Command = __import__(f"berth.cli.commands.{module}", fromlist=["COMMANDS"]).COMMANDS[key]
    return _in_command(command, rest, last, top)


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
            found, directive = _flag_value(flag, value, top)
            return [(f"{name}={word}", line) for word, line in found], directive
        return _flag_names(command.flags, last, given), NO_FILES
    noun = _noun(command, len(given.args))
    if noun in ("", "files"):
        return [], FILES if noun == "files" or after_arguments else NO_FILES
    taken = set(given.args)
    return _starting([c for c in names(noun, top) if c[0] not in taken], last), NO_FILES


def _noun(command: Command, position: int) -> str:
    """What an argument is, by the command's own word for it, else by its usage."""
    if command.complete:
        return command.complete[min(position, len(command.complete) - 1)]
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
    if flag.choices:
        return _starting([(word, "") for word in flag.choices], last), NO_FILES
    if flag.name in _FLAG_WORDS:
        return _starting([(word, "") for word in _FLAG_WORDS[flag.name]], last), NO_FILES
    if flag.name in ("cap-add", "cap-drop"):
        from berth.spec.capabilities import ALL_CAPABILITIES

        return _starting([("ALL", ""), *((name, "") for name in ALL_CAPABILITIES)], last), NO_FILES
    if flag.name == "env":
        return _starting([(name, "") for name in sorted(os.environ)], last), NO_FILES
    if flag.name in _FLAG_NOUNS:
        return _starting(names(_FLAG_NOUNS[flag.name], top), last), NO_FILES
    return [], FILES if flag.name in _FILE_FLAGS else NO_FILES


def _top_words() -> Candidates:
    from berth.cli import plugins

    found = [(word, catalog.COMMANDS[target][2]) for word, target in catalog.SHORT.items()]
    found += [(name, entry[2]) for name, entry in catalog.COMMANDS.items() if " " not in name]
    found += list(catalog.GROUPS.items())
    found += [(plugin.name, plugin.line) for plugin in plugins.list_()]
    return sorted(found)


def _starting(found: Candidates, last: str) -> Candidates:
    return [candidate for candidate in found if candidate[0].startswith(last)]


# --- names from the engine ---------------------------------------------------------------------------------------


def names(noun: str, top: Flags) -> Candidates:
    """Names of one kind of thing. Raises: BerthError when the engine does not answer."""
    if noun == "contexts":
        from berth.cli import contexts

        return [("default", ""), *((context.name, context.description) for context in contexts.list_())]
    from berth.cli.endpoint import resolve
    from berth.client.engine import Engine

    endpoint = resolve(top)
    endpoint.timeout_s = 5.0
    return sorted((name, "") for name in set(_NAMES[noun](Engine(endpoint))))


def _containers(engine: Engine, want: Callable[[str], bool]) -> list[str]:
    rows = engine.get("/containers/json?all=1")
    found = [name.lstrip("/") for row in rows if want(row["State"]) for name in row["Names"] if name.count("/") == 1]
    if os.environ.get("DOCKER_COMPLETION_SHOW_CONTAINER_IDS") == "yes":
        found += [row["Id"] for row in rows if want(row["State"])]
    return found


def _images(engine: Engine) -> list[str]:
    return [tag for row in engine.get("/images/json") for tag in row.get("RepoTags") or ()]


_NAMES: dict[str, Callable[[Engine], list[str]]] = {
    "containers": lambda engine: _containers(engine, lambda state: True),
    "running": lambda engine: _containers(engine, lambda state: state in ("running", "restarting")),
    "stopped": lambda engine: _containers(engine, lambda state: state in ("created", "exited")),
    "paused": lambda engine: _containers(engine, lambda state: state == "paused"),
    "images": _images,
    "networks": lambda engine: [row["Name"] for row in engine.get("/networks")],
    "volumes": lambda engine: [row["Name"] for row in engine.get("/volumes").get("Volumes") or ()],
}
"""What is completed → how the engine is asked for it."""

__all__ = ["answer", "complete", "names"]
