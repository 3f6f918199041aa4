"""Help texts in docker's grouping and layout: usage, what it does, other names, options wrapped at 80 columns."""

from __future__ import annotations

from berth.cli import catalog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from berth.cli.flags import Flag
    from berth.cli.main import Command

_WIDTH = 80
_NARROWEST = 24
"""A description narrower than this is set below its flag."""


def top(program: str, global_flags: Sequence[Flag], plugins: dict[str, str], invalid: dict[str, str]) -> str:
    """``berth --help``. ``plugins``: CLI plugins found → their line; ``invalid``: what is wrong with others."""
    words = {**catalog.SHORT, **{name: name for name in catalog.COMMANDS if " " not in name}}
    lines = [f"Usage:  {program} [OPTIONS] COMMAND", "", "A self-sufficient runtime for containers", ""]
    common = [word for word in catalog.COMMON if word in words]
    lines += ["Common Commands:", *(_row(word, catalog.COMMANDS[words[word]][2]) for word in common), ""]
    groups = {**catalog.GROUPS, **{f"{name}*": line for name, line in plugins.items()}}
    lines += ["Management Commands:", *(_row(name, groups[name]) for name in sorted(groups)), ""]
    rest = sorted(word for word in words if word not in common and words[word] not in catalog.HIDDEN)
    lines += ["Commands:", *(_row(word, catalog.COMMANDS[words[word]][2]) for word in rest), ""]
    if invalid:
        lines += ["Invalid Plugins:", *(_row(name, why) for name, why in invalid.items()), ""]
    lines += ["Global Options:", flags_block(global_flags), ""]
    return "\n".join([*lines, f"Run '{program} COMMAND --help' for more information on a command."])


def group(program: str, name: str) -> str:
    """``berth container --help``."""
    lines = [f"Usage:  {program} {name} COMMAND", "", catalog.GROUPS[name], "", "Commands:"]
    lines += [_row(verb, line) for verb, line in catalog.verbs(name).items()]
    return "\n".join([*lines, "", f"Run '{program} {name} COMMAND --help' for more information on a command."])


def command(program: str, shown: str, whole: str, command: Command) -> str:
    """``berth container ls --help``. ``shown`` is the name that was typed, ``whole`` the command's own."""
    lines = [usage(program, shown, command), "", command.help]
    names = catalog.names_of(whole)
    if len(names) > 1:
        lines += ["", "Aliases:", "  " + ", ".join(f"{program} {name}" for name in names)]
    if any(not flag.hidden and not flag.deprecated for flag in command.flags):
        lines += ["", "Options:", flags_block(command.flags)]
    return "\n".join(lines)


def usage(program: str, shown: str, command: Command) -> str:
    """The usage line; a command with two forms has a line for each."""
    first, *more = command.usage.split("\n")
    lines = [f"Usage:  {program} {shown} {first}".rstrip(), *(f"\t{program} {shown} {form}" for form in more)]
    return "\n".join(lines)


def _row(name: str, line: str) -> str:
    return f"  {name:<11} {line}"


def flags_block(known: Sequence[Flag]) -> str:
    """The rows of "Options:", sorted by name."""
    rows = [(_left(flag), _right(flag)) for flag in sorted(known, key=lambda f: f.name)
            if not flag.hidden and not flag.deprecated]  # fmt: skip
    width = max((len(left) for left, _ in rows), default=0) + 3
    lines: list[str] = []
    for left, text in rows:
        room = max(_WIDTH - width, _NARROWEST)
        first, *more = wrap(text, room)
        lines.append(f"{left:<{width}}{first}".rstrip())
        lines += [" " * width + line for line in more]
    return "\n".join(lines)


def _left(flag: Flag) -> str:
    label = flag.label or ("" if flag.kind == "bool" else flag.kind)
    head = f"  -{flag.short}, " if flag.short else "      "
    return f"{head}--{flag.name} {label}".rstrip()


def _right(flag: Flag) -> str:
    if flag.default in ("", "false"):
        return flag.help
    quoted = flag.kind == "string"
    return f"{flag.help} (default {chr(34) if quoted else ''}{flag.default}{chr(34) if quoted else ''})"


def wrap(text: str, width: int) -> list[str]:
    """Words into lines; a line break in the text stays one. At least one line."""
    lines: list[str] = []
    for part in text.split("\n"):
        line = ""
        for word in part.split(" "):
            if line and len(line) + 1 + len(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(line)
    return lines
