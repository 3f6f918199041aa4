"""Flags as docker reads them: ``--flag value``, ``--flag=value``, ``-abc`` clusters, ``-p80:80``, ``--rm=false``.

``interspersed`` False (run, exec, create): flags end at the first argument, the rest belongs to the container.
Plain classes and no ``typing``: this is on the way of every command to its first byte.
"""

from __future__ import annotations

from berth.base.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Flag:
    """One flag. ``kind``: bool, string, int, uint16, list, strings (a list, also with commas), map, bytes, duration, decimal,
    filter. ``default`` as text. ``check``: the function of ``cli/checks.py`` that judges a value.

    ``label`` is the word for the value in the help (the kind's own otherwise); ``deprecated`` is said to whoever gives the
    flag, which the help then leaves out, as it does with a ``hidden`` one. ``choices`` are what completion offers.
    """

    __slots__ = ("check", "choices", "default", "deprecated", "help", "hidden", "kind", "label", "name", "short")

    def __init__(
        self, name: str, kind: str, help: str, short: str = "", default: str = "", *, label: str = "",
        deprecated: str = "", hidden: bool = False, choices: Sequence[str] = (), check: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self.kind = kind
        self.help = help
        self.short = short
        self.default = default
        self.label = label
        self.deprecated = deprecated
        self.hidden = hidden
        self.choices = choices
        self.check = check

    @property
    def shown(self) -> str:
        """``-f, --filter``."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


_CUSTOM = "Format output using a custom template:\n"
_AS_TABLE = (
    "'table':            Print output in table format with column headers (default)\n"
    "'table TEMPLATE':   Print output in table format using the given Go template\n"
)
_AS_TEMPLATE = (
    "'json':             Print in JSON format\n"
    "'TEMPLATE':         Print output using the given Go template.\n"
    "Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"
)
FORMAT = Flag("format", "string", _CUSTOM + _AS_TABLE + _AS_TEMPLATE)
"""``--format`` of a list."""
FORMAT_OF_EACH = Flag("format", "string", _CUSTOM + _AS_TEMPLATE)
"""``--format`` of what comes one by one, without a table."""
FORMAT_OF_ONE = Flag("format", "string", FORMAT_OF_EACH.help, "f")
"""The same for one object."""


class UsageError(InvalidArgument):
    """The command line is wrong: the command's usage is shown with it."""

    kind = "invalid"


class Flags:
    """What was given: values by name, arguments in order."""

    def __init__(self, known: dict[str, Flag]) -> None:
        self._known = known
        self.values: dict[str, list[str]] = {}
        self.args: list[str] = []
        self.notices: list[str] = []

    def given(self, name: str) -> bool:
        return name in self.values

    def knows(self, name: str) -> bool:
        """Whether the command has such a flag at all."""
        return name in self._known

    def text(self, name: str) -> str:
        return self.values[name][-1] if name in self.values else self._known[name].default

    def on(self, name: str) -> bool:
        return self.text(name) in ("true", "True", "TRUE", "1", "t", "T")

    def number(self, name: str) -> int:
        return int(self.text(name) or "0", 0)

    def list_(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def pairs(self, name: str) -> dict[str, str]:
        """``key=value`` entries; a key alone has the value ""."""
        return {key: value for key, _, value in (entry.partition("=") for entry in self.list_(name))}


LISTS = frozenset("filter gpu-request list map mount network strings ulimit".split())
"""Kinds that can be given more than once."""
_BOOLS = ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False")
_INT64 = 1 << 63


def parse(words: Sequence[str], known: Sequence[Flag], *, interspersed: bool = True) -> Flags:
    """Raises: UsageError in docker's words."""
    by_name = {f.name: f for f in known}
    by_short = {f.short: f for f in known if f.short}
    by_name.setdefault("help", Flag("help", "bool", "Print usage"))
    flags = Flags(by_name)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            flags.args += rest
            break
        if word.startswith("--"):
            _long(flags, by_name, word, rest)
        elif word.startswith("-") and len(word) > 1:
            _cluster(flags, by_short, word[1:], rest)
        else:
            flags.args.append(word)
            if not interspersed:
                flags.args += rest
                break
    return flags


def _long(flags: Flags, by_name: dict[str, Flag], word: str, rest: list[str]) -> None:
    name, eq, value = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {word}")
    flag = by_name.get(name)
    if flag is None:
        raise UsageError(f"unknown flag: --{name}")
    if flag.kind == "bool":
        _set(flags, flag, value if eq else "true")
    elif eq:
        _set(flags, flag, value)
    elif rest:
        _set(flags, flag, rest.pop(0))
    else:
        raise UsageError(f"flag needs an argument: --{name}")


def _cluster(flags: Flags, by_short: dict[str, Flag], letters: str, rest: list[str]) -> None:
    whole = letters
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = by_short.get(letter)
        if flag is None:
            if letter == "h":
                _set(flags, Flag("help", "bool", ""), "true")
                continue
            raise UsageError(f"unknown shorthand flag: '{letter}' in -{whole}")
        if flag.kind == "bool":
            if letters.startswith("="):
                _set(flags, flag, letters[1:])
                return
            _set(flags, flag, "true")
            continue
        if letters:
            _set(flags, flag, letters.removeprefix("="))
        elif rest:
            _set(flags, flag, rest.pop(0))
        else:
            raise UsageError(f"flag needs an argument: '{letter}' in -{whole}")
        return


def _set(flags: Flags, flag: Flag, value: str) -> None:
    why = _wrong(flag, value)
    if why:
        raise UsageError(f'invalid argument "{value}" for "{flag.shown}" flag: {why}')
    if flag.deprecated:
        flags.notices.append(f"Flag --{flag.name} has been deprecated, {flag.deprecated}")
    if flag.kind == "strings":
        flags.values.setdefault(flag.name, []).extend(value.split(","))
    elif flag.kind in LISTS:
        flags.values.setdefault(flag.name, []).append(value)
    else:
        flags.values[flag.name] = [value]


def _wrong(flag: Flag, value: str) -> str:
    """What is wrong with a value, in docker's words; "" when nothing is."""
    kind = flag.kind
    if flag.check:
        from berth.cli import checks

        return checks.CHECKS[flag.check](value)
    if kind in ("string", "list", "map", "strings"):
        return ""
    if kind == "bool":
        return "" if value in _BOOLS else f'strconv.ParseBool: parsing "{value}": invalid syntax'
    if kind == "int":
        return _wrong_int(value)
    if kind == "uint16":
        return _wrong_uint16(value)
    if kind == "filter":
        return "" if "=" in value else "bad format of filter (expected name=value)"
    if kind == "decimal":
        return "" if _is_decimal(value) else f"failed to parse {value} as a rational number"
    if kind == "duration":
        return _wrong_duration(value)
    if kind == "bytes" and (value != "-1" or flag.name != "memory-swap"):
        from berth.spec.units import parse_bytes

        try:
            if value.startswith("-"):
                raise InvalidArgument(value)
            parse_bytes(value, flag.shown)
        except InvalidArgument:
            suffix = value.lstrip("0123456789. ")
            number = value[: len(value) - len(suffix)].strip()
            return f"invalid suffix: '{suffix}'" if number and suffix.isalpha() else f"invalid size: '{value}'"
    return ""


def _wrong_int(value: str) -> str:
    try:
        number = int(value, 0)
    except ValueError:
        return f'strconv.ParseInt: parsing "{value}": invalid syntax'
    return "" if -_INT64 <= number < _INT64 else f'strconv.ParseInt: parsing "{value}": value out of range'


def _wrong_uint16(value: str) -> str:
    try:
        number = int(value, 0)
    except ValueError:
        number = -1
    if number < 0:
        return f'strconv.ParseUint: parsing "{value}": invalid syntax'
    return "" if number < 1 << 16 else f'strconv.ParseUint: parsing "{value}": value out of range'


def _is_decimal(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _wrong_duration(value: str) -> str:
    from berth.spec.units import parse_duration_ns

    try:
        parse_duration_ns(value.removeprefix("-").removeprefix("+"), "")
    except InvalidArgument:
        bare = value.lstrip("+-").replace(".", "", 1)
        if bare.isdigit():
            return f'time: missing unit in duration "{value}"'
        unit = bare.lstrip("0123456789.")
        if unit.isalpha() and bare[:1].isdigit():
            return f'time: unknown unit "{unit}" in duration "{value}"'
        return f'time: invalid duration "{value}"'
    return ""
