"""Lists as docker prints them: ids alone, a table, JSON lines, or a template over named fields."""

from __future__ import annotations

import sys

from berth.base.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from berth.cli.gotemplate import Fields

    Column = tuple[str, Callable[[Any], Any]]
    Calls = Mapping[str, Callable[..., Any]]

MIN_WIDTH, PADDING = 10, 3
"""Of a column of docker's tables: at least ten wide, three blanks between."""


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts names as people do: ``web2`` before ``web10``."""
    parts, digits = [], ""
    for letter in name:
        if letter.isdigit() and letter.isascii():
            digits += letter
            continue
        if digits:
            parts.append((False, int(digits), ""))
            digits = ""
        parts.append((True, 0, letter))
    return [*parts, (False, int(digits), "")] if digits else parts


def render(headers: Sequence[str], rows: Sequence[Sequence[str]], min_width: int = MIN_WIDTH) -> str:
    """A table's lines without the last newline. The last column is not padded."""
    return align([list(headers), *[list(row) for row in rows]], min_width)


def align(lines: Sequence[Sequence[str]], min_width: int = MIN_WIDTH, padding: int = PADDING) -> str:
    """Cells as Go's tabwriter sets them: a column is as wide as its widest cell over the lines next to each other that have it.

    The last cell of a line belongs to no column.
    """
    widths: list[list[int]] = [[0] * max(len(line) - 1, 0) for line in lines]
    _set_widths(lines, widths, 0, 0, len(lines), min_width, padding)
    return "\n".join(
        "".join(f"{cell:<{width}}" for cell, width in zip(line[:-1], widths[n], strict=True))
        + (line[-1] if line else "")
        for n, line in enumerate(lines)
    )


def _set_widths(
    lines: Sequence[Sequence[str]],
    widths: list[list[int]],
    column: int,
    begin: int,
    end: int,
    min_width: int,
    padding: int,
) -> None:
    at = begin
    while at < end:
        if column >= len(lines[at]) - 1:
            at += 1
            continue
        stop = at
        while stop < end and column < len(lines[stop]) - 1:
            stop += 1
        width = max([min_width, *(len(lines[n][column]) + padding for n in range(at, stop))])
        for n in range(at, stop):
            widths[n][column] = width
        _set_widths(lines, widths, column + 1, at, stop, min_width, padding)
        at = stop


def show(
    columns: Mapping[str, Column], default: Sequence[str], rows: Sequence[Any], format_: str, *, quiet: str = "",
    quiet_on: bool = False, type_name: str = "*formatter.Context", calls: Calls | None = None, raw: str = "",
) -> None:  # fmt: skip
    """Print rows. ``columns``: field → (header, how to read it); ``calls``: fields that take words, ``{{.Label "x"}}``;
    ``raw``: the template that the word means.

    Raises: InvalidArgument in docker's words when the template is wrong.
    """
    if quiet_on and format_ in ("", "table"):
        for row in rows:
            print(columns[quiet][1](row))
        return
    if format_ in ("", "table"):
        cells = [[str(columns[field][1](row)) for field in default] for row in rows]
        print(render([columns[field][0] for field in default], cells))
        return
    if format_ == "raw" and raw:
        format_ = raw.partition("\n")[0] if quiet_on else raw
    if format_ == "json":
        from berth.cli.gotemplate.functions import to_json

        for row in rows:
            print(to_json(_fields(columns, row, type_name, calls), html=True))
        return
    sys.stdout.write(_templated(columns, rows, format_, type_name, calls))


def _fields(columns: Mapping[str, Column], row: Any, type_name: str, calls: Calls | None) -> Fields:
    from berth.cli.gotemplate import Fields

    def bound(read: Callable[[Any], Any]) -> Callable[[], Any]:
        return lambda: read(row)

    def labels(name: str) -> str:
        found = row.get("Labels") if isinstance(row, dict) else None
        return str((found or {}).get(name, "")) if isinstance(found, dict) else ""

    def call(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *words: function(row, *words)

    given = {name: call(function) for name, function in (calls or {}).items()}
    if "Labels" in columns:
        given.setdefault("Label", labels)
    return Fields({name: bound(read) for name, (_, read) in columns.items()}, type_name, given)


def _templated(
    columns: Mapping[str, Column], rows: Sequence[Any], format_: str, type_name: str, calls: Calls | None
) -> str:
    from berth.cli.gotemplate import ExecuteError, ParseError, Template
    from berth.cli.gotemplate.functions import HEADER_FUNCTIONS

    as_table = format_.startswith("table") and format_[5:6].isspace()
    source = (format_[5:].strip() if as_table else format_).replace("\\t", "\t").replace("\\n", "\n")
    try:
        template = Template(source)
        lines = [template.render(_fields(columns, row, type_name, calls)) for row in rows]
        if not as_table:
            return "".join(line + "\n" for line in lines)
        headers = Template(source, functions=HEADER_FUNCTIONS).render(_headers(columns, type_name, calls))
    except (ParseError, ExecuteError) as err:
        raise InvalidArgument(f"template parsing error: {err.message}") from err
    cells = [part.split("\t") for line in (headers, *lines) for part in line.split("\n")]
    return align(cells) + "\n"


def _headers(columns: Mapping[str, Column], type_name: str, calls: Calls | None) -> Fields:
    """What a table's template is filled with for its first line: a field's header; a label's is the last part of its name."""
    from berth.cli.gotemplate import Fields

    def word(text: str) -> Callable[[], str]:
        return lambda: text

    def label(*words: Any) -> str:
        return str(words[0]).rpartition(".")[2].replace("-", " ").replace("_", " ") if words else ""

    named = dict.fromkeys(("Label", *(calls or {})), label)
    return Fields({name: word(header) for name, (header, _) in columns.items()}, type_name, named)
