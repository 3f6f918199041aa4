"""``--format`` of commands that print one object, or one after another, and no table."""

from __future__ import annotations

import sys

from berth.cli.command import Failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from berth.cli.gotemplate import Template

UNUSABLE = 64
"""Exit status for a template that does not parse."""


def parse(format_: str, *, name: str = "", strict: bool = False, what: str = "template parsing error") -> Template:
    """Raises: Failed with status 64 in docker's words."""
    from berth.cli.gotemplate import ParseError, Template

    try:
        return Template("{{json .}}" if format_ == "json" else format_, name=name, strict=strict)
    except ParseError as err:
        raise Failed(f"{what}: {err.message}", UNUSABLE) from err


def print_list(found: list[Any], *, compact: bool, html: bool = False) -> None:
    """What ``inspect`` prints without a template: a JSON array, on one line for ``--format json``.

    ``html``: as Go's encoder writes it when it is not told otherwise, ``<>&`` escaped.
    """
    import json

    shape: dict[str, Any] = {"separators": (",", ":")} if compact else {"indent": 4}
    text = json.dumps(found, ensure_ascii=False, **shape) if found else "[]"
    print(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026") if html else text)


def print_each(template: Template, values: Iterable[Any], *, what: str = "template parsing error: ") -> None:
    """Each value as a line, also the one that ends in an error. Raises: Failed."""
    from berth.cli.gotemplate import ExecuteError

    for value in values:
        try:
            for piece in template.pieces(value):
                sys.stdout.write(piece)
        except ExecuteError as err:
            sys.stdout.write("\n")
            sys.stdout.flush()
            raise Failed(f"{what}{err.message}") from err
        sys.stdout.write("\n")
