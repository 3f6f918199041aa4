"""The functions a template can call: Go's own, and the ones docker adds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from berth.cli.gotemplate import printf as fmt
from berth.cli.gotemplate.values import MISSING, Fields, is_true, plain, text


class CallError(Exception):
    """Why a function does not take what it was given; whoever calls adds the place."""


def to_json(value: Any, *, html: bool = False) -> str:
    """As Go's encoder writes it: compact, keys as they come; ``html`` escapes ``<>&`` as ``json.Marshal`` does,
    which Docker's rows of a list use for themselves.
    """
    html = html or isinstance(value, Fields)
    found = json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False)
    found = found.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    if html:
        found = found.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return found


def _string(value: Any, position: int = 0) -> str:
    if isinstance(value, str):
        return value
    if value is MISSING or value is None:
        return "" if value is None else "<no value>"
    raise CallError("wrong type for value; expected string; got " + fmt.go_type(value))


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "" if all(isinstance(v, str) for v in value.values()) else MISSING)
        elif isinstance(value, (list, tuple, str)):
            if not isinstance(key, int) or isinstance(key, bool):
                raise CallError(f"error calling index: cannot index slice/array with type {fmt.go_type(key)}")
            if not 0 <= key < len(value):
                raise CallError(f"error calling index: index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        elif value is None or value is MISSING:
            raise CallError("error calling index: index of untyped nil")
        else:
            raise CallError(f"error calling index: can't index item of type {fmt.go_type(value)}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    begin, end = (*bounds, 0)[0] if bounds else 0, bounds[1] if len(bounds) > 1 else len(value)
    if not 0 <= begin <= end <= len(value):
        raise CallError(f"error calling slice: index out of range: {max(begin, end)}")
    return value[begin:end]


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, (list, tuple, dict)):
        return len(value)
    if value is None:
        return 0
    raise CallError(f"error calling len: len of type {fmt.go_type(value)}")


def _truncate(value: Any, length: int) -> str:
    raw = _string(value)
    return raw if len(raw) < length else raw[:length]


def _pad(value: Any, before: int, after: int) -> str:
    raw = _string(value)
    return " " * before + raw + " " * after if raw else raw


def _join(values: Any, separator: str) -> str:
    if values is None or values is MISSING:
        return ""
    if not isinstance(values, (list, tuple)):
        raise CallError("wrong type for value; expected []string; got " + fmt.go_type(values))
    return str(separator).join(text(v) for v in values)


def _title(value: Any) -> str:
    raw, out = _string(value), []
    before = " "
    for char in raw:
        out.append(char.upper() if not (before.isalnum() or before in "_'") else char)
        before = char
    return "".join(out)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "nil" if value is None or value is MISSING else "other"


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise CallError("error calling eq: missing argument for comparison")
    for other in others:
        kinds = {_kind(first), _kind(other)}
        if "other" in kinds and "nil" not in kinds:
            raise CallError("error calling eq: non-comparable type")
        if len(kinds) > 1 and "nil" not in kinds:
            raise CallError("error calling eq: incompatible types for comparison")
        if first == other:
            return True
    return False


def _order(name: str, test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(first: Any, second: Any) -> bool:
        kinds = _kind(first), _kind(second)
        if kinds[0] != kinds[1] or kinds[0] not in ("number", "string"):
            raise CallError(f"error calling {name}: incompatible types for comparison")
        return test(first, second)

    return compare


def _print(*values: Any) -> str:
    """Go's ``print``: a blank between two operands that are both no strings."""
    out = ""
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out += " "
        out += text(value, top=False)
    return out


def _html(*values: Any) -> str:
    raw = _print(*values)
    for char, name in (("&", "&amp;"), ("'", "&#39;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;")):
        raw = raw.replace(char, name)
    return raw


def _urlquery(*values: Any) -> str:
    from berth.client.engine import quote

    return quote(_print(*values), " ").replace(" ", "+")


def _call(*_: Any) -> Any:
    raise CallError("error calling call: call of nil")


def _split(value: Any, separator: str) -> Sequence[str]:
    raw = _string(value)
    return raw.split(separator) if separator else list(raw)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": to_json,
    "join": _join,
    "split": _split,
    "lower": lambda v: _string(v).lower(),
    "upper": lambda v: _string(v).upper(),
    "title": _title,
    "pad": _pad,
    "truncate": _truncate,
    "print": _print,
    "println": lambda *v: " ".join(text(x, top=False) for x in v) + "\n",
    "printf": lambda form, *v: fmt.sprintf(_string(form), *v),
    "len": _len,
    "index": _index,
    "slice": _slice,
    "html": _html,
    "js": lambda *v: to_json(_print(*v))[1:-1].replace("'", "\\'"),
    "urlquery": _urlquery,
    "call": _call,
    "eq": _eq,
    "ne": lambda a, b: not _eq(a, b),
    "lt": _order("lt", lambda a, b: bool(a < b)),
    "le": _order("le", lambda a, b: bool(a <= b)),
    "gt": _order("gt", lambda a, b: bool(a > b)),
    "ge": _order("ge", lambda a, b: bool(a >= b)),
    "and": lambda *v: next((x for x in v if not is_true(x)), v[-1]),
    "or": lambda *v: next((x for x in v if is_true(x)), v[-1]),
    "not": lambda v: not is_true(v),
}

HEADER_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **FUNCTIONS,
    **dict.fromkeys(("json", "title", "lower", "upper"), lambda v: v),
    "truncate": lambda v, n: v,
    "join": lambda v, sep: v,
    "split": lambda v, sep: v,
}
"""What the functions do to a table's headers: nothing."""
