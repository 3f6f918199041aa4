"""``Command``: one command's usage, flags and code; and how an error becomes words and an exit status."""

from __future__ import annotations

import sys

from berth.base.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from berth.base.errors import BerthError
    from berth.cli.flags import Flag, Flags
    from berth.client.engine import Engine

PROGRAM = "docker" if (sys.argv[0] if sys.argv else "").rpartition("/")[2] == "docker" else "berth"
"""What we were called as: a link named ``docker`` answers with docker's name, so that scripts and completions fit."""


class Command:
    """One command. ``args``: how many arguments (at least, at most; -1 is any number).

    ``interspersed`` False: flags end at the first argument. ``error_status``: of an error of the engine's; run says 125.
    ``local``: needs no engine, and none is looked for. ``complete``: what completes its arguments ("containers",
    "running", "stopped", "images", "networks", "volumes", "contexts", "files"), one word an argument, the last repeated.
    """

    __slots__ = ("args", "complete", "error_status", "flags", "help", "interspersed", "local", "run", "usage")

    def __init__(
        self, usage: str, help: str, flags: Sequence[Flag], args: tuple[int, int], run: Callable[[Engine, Flags], int],
        interspersed: bool = True, error_status: int = 1, *, local: bool = False, complete: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.usage = usage
        self.help = help
        self.flags = flags
        self.args = args
        self.run = run
        self.interspersed = interspersed
        self.error_status = error_status
        self.local = local
        self.complete = complete


class Failed(InvalidArgument):
    """An error with an exit status of its own: docker's 64 for a template that does not parse, 1 where others say 125."""

    kind = "invalid"

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def sentence(err: BerthError) -> str:
    """The error as docker words it: what the engine said is told as its answer."""
    return f"Error response from daemon: {err.message}" if err.op == "engine" else err.message


def report(err: BerthError, shown: str, status: int) -> int:
    """Print an error as docker does and return the exit status."""
    if status == 125:
        print(f"{PROGRAM}: {sentence(err)}\n\nRun '{PROGRAM} {shown} --help' for more information", file=sys.stderr)
    else:
        print(sentence(err), file=sys.stderr)
    return status


def count_problem(limits: tuple[int, int], count: int) -> str:
    """What is wrong with the number of arguments ("requires 1 argument"); "" when nothing is."""
    low, high = limits
    if low <= count and (high < 0 or count <= high):
        return ""
    if high == 0:
        return "accepts no arguments"
    if low == high:
        return f"requires {_arguments(low)}"
    if low and high > 0:
        return f"requires at least {low} and at most {_arguments(high)}"
    return f"requires at least {_arguments(low)}" if count < low else f"requires at most {_arguments(high)}"


def _arguments(count: int) -> str:
    return f"{count} argument{'s' if count != 1 else ''}"
