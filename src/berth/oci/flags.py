"""The command line of the program: Go's flag words (one dash or two, ``--flag=value``, ``--flag=false``), a table a verb."""

from __future__ import annotations

from collections.abc import Sequence

from berth.base.errors import InvalidArgument


class Flags:
    """What a verb takes: names of flags with a value and of switches, a short letter after a comma ("bundle,b").

    ``stop``: how many words are read before everything else belongs to somebody else (``exec ID`` COMMAND...).
    """

    def __init__(self, valued: Sequence[str] = (), switches: Sequence[str] = (), *, stop: int = -1) -> None:
        self._long: dict[str, str] = {}
        for entry in (*valued, *switches):
            names = entry.split(",")
            for name in names:
                self._long[name] = names[0]
        self._switches = frozenset(entry.split(",")[0] for entry in switches)
        self._stop = stop

    def parse(self, words: Sequence[str]) -> Options:
        """Raises: InvalidArgument in Go's words."""
        options = Options()
        rest = list(words)
        while rest:
            if len(options.words) == self._stop:
                options.words += rest
                break
            word = rest.pop(0)
            if word == "--":
                options.words += rest
                break
            if not word.startswith("-") or word == "-" or word[1:].isdigit():  # "-9" is a signal's number, not a flag
                options.words.append(word)
                continue
            self._flag(options, word, rest)
        return options

    def leading(self, words: Sequence[str]) -> Options:
        """Only the flags before the first word; that and everything after it are the rest."""
        options = Options()
        rest = list(words)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            self._flag(options, rest.pop(0), rest)
        options.words = rest
        return options

    def _flag(self, options: Options, word: str, rest: list[str]) -> None:
        name, eq, value = word[2 if word.startswith("--") else 1 :].partition("=")
        long = self._long.get(name)
        if long is None:
            raise InvalidArgument(f"flag provided but not defined: -{name}")
        if long in self._switches:
            value = value if eq else "true"
            if value.lower() not in ("true", "false", "1", "0", "t", "f"):
                raise InvalidArgument(f'invalid boolean value "{value}" for -{name}: parse error')
        elif not eq:
            if not rest:
                raise InvalidArgument(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        options.values.setdefault(long, []).append(value)


class Options:
    """Flags by their long name, and the words beside them."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.words: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self.values[name][-1] if name in self.values else default

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def on(self, name: str) -> bool:
        return self.text(name, "false").lower() in ("true", "1", "t")

    def number(self, name: str, default: int = 0) -> int:
        """Raises: InvalidArgument."""
        text = self.text(name, str(default))
        try:
            return int(text, 0)
        except ValueError:
            raise InvalidArgument(f'invalid value "{text}" for flag -{name}: parse error') from None


def exactly(options: Options, verb: str, count: int) -> None:
    """Raises: InvalidArgument in runc's words."""
    if len(options.words) != count:
        raise InvalidArgument(f'berth-runtime: "{verb}" requires exactly {count} argument(s)')


def at_least(options: Options, verb: str, count: int) -> None:
    if len(options.words) < count:
        raise InvalidArgument(f'berth-runtime: "{verb}" requires a minimum of {count} argument(s)')
