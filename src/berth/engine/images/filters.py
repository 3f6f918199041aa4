"""Filters of ``images`` and ``image prune``, as Docker reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from berth.base.errors import InvalidArgument
from berth.images.store import Image
from berth.spec.reference import Reference

Filters = Mapping[str, list[str]]
Test = Callable[[Image], bool]
LIST = frozenset({"dangling", "label", "before", "since", "reference", "until"})
PRUNE = frozenset({"dangling", "label", "label!", "until"})


def check_names(filters: Filters, known: frozenset[str]) -> None:
    """Raises: InvalidArgument for a filter that there isn't."""
    for name in filters:
        if name not in known:
            raise InvalidArgument(f"invalid filter '{name}'")


def boolean(filters: Filters, name: str, default: bool) -> bool:
    """Raises: InvalidArgument."""
    values = filters.get(name) or []
    if not values:
        return default
    said = {{"true": True, "1": True, "false": False, "0": False}.get(value) for value in values}
    if len(said) != 1 or None in said:
        raise InvalidArgument(f"invalid filter '{name}=[{' '.join(values)}]'")
    return said == {True}


def tests(filters: Filters, find: Callable[[str], Image], moment: Callable[[str], int]) -> list[Test]:
    """What an image's own facts must pass. ``moment``: a time or duration → nanoseconds. Raises: InvalidArgument, NotFound."""
    found: list[Test] = []
    for value in filters.get("label") or []:
        found.append(lambda i, value=value: has_label(i.labels, value))  # type: ignore[misc]
    for value in filters.get("label!") or []:
        found.append(lambda i, value=value: not has_label(i.labels, value))  # type: ignore[misc]
    for value in filters.get("before") or []:
        found.append(lambda i, limit=find(value).created_s: i.created_s < limit)  # type: ignore[misc]
    for value in filters.get("since") or []:
        found.append(lambda i, limit=find(value).created_s: i.created_s > limit)  # type: ignore[misc]
    for value in filters.get("until") or []:
        found.append(lambda i, limit=moment(value) / 1e9: i.created_s <= limit)  # type: ignore[misc]
    return found


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, eq, value = wanted.partition("=")
    return key in labels and (not eq or labels[key] == value)


class Pattern(NamedTuple):
    """``reference=``: a shell pattern over a familiar name with its tag, or without."""

    regex: re.Pattern[str]

    def matches(self, name: Reference) -> bool:
        return any(self.regex.fullmatch(text) for text in (name.familiar, name.familiar_name))


def patterns(filters: Filters) -> list[Pattern]:
    """Raises: InvalidArgument for a pattern that isn't one."""
    return [Pattern(_shell(value)) for value in filters.get("reference") or []]


def _shell(text: str) -> re.Pattern[str]:
    """``*`` and ``?`` stop at a slash, ``[a-z]`` and ``[^a]`` are classes, a backslash quotes."""
    out, at = [], 0
    while at < len(text):
        char = text[at]
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            end = text.find("]", at + 2)
            if end < 0:
                raise InvalidArgument("syntax error in pattern")
            inner = text[at + 1 : end]
            negated, inner = inner.startswith("^"), inner.removeprefix("^")
            quoted = re.sub(r"([^\w-])", r"\\\1", inner)
            out.append(f"[^{quoted}]" if negated else f"[{quoted}]")
            at = end
        elif char == "\\":
            at += 1
            if at == len(text):
                raise InvalidArgument("syntax error in pattern")
            out.append(re.escape(text[at]))
        else:
            out.append(re.escape(char))
        at += 1
    try:
        return re.compile("".join(out))
    except re.error:
        raise InvalidArgument("syntax error in pattern") from None
