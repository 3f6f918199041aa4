"""JSON bodies → what the engine may rely on: Go's rules for names and nulls, our bounds for numbers, text and depth.

As Go decodes: keys are matched whatever their case, unknown ones are dropped, ``null`` is the same as absent, and in a map it
is the zero of the map's values. Beyond Go: text that no system call could take (NUL) is refused here, once for everybody.
"""

from __future__ import annotations

import json
import types
from functools import cache
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from berth.base.errors import InvalidArgument

_MAX_DEPTH = 64
_INT64 = 1 << 63


class Field(NamedTuple):
    """Where the walk goes on: ``keys`` of an object, ``values`` of a map, ``items`` of an array; ``zero`` stands for null."""

    keys: dict[str, Field] | None = None
    names: dict[str, str] | None = None  # lower case → as it is written
    values: Field | None = None
    items: Field | None = None
    zero: Any = None


_ANY = Field()
_ZEROS: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False}


@cache
def field_of(kind: Any) -> Field:
    """The plan for a type: TypedDict, dict, list, or a plain value. Recursive types are not met in bodies."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = [arg for arg in get_args(kind) if arg is not types.NoneType]
        return field_of(inner[0]) if len(inner) == 1 else _ANY
    if is_typeddict(kind):
        keys = {name: field_of(hint) for name, hint in get_type_hints(kind).items()}
        return Field(keys=keys, names={name.lower(): name for name in keys})
    if origin is dict:
        return Field(values=field_of(get_args(kind)[1]), zero={})
    if origin is list:
        return Field(items=field_of(get_args(kind)[0]), zero=[])
    return Field(zero=_ZEROS[kind]) if kind in _ZEROS else _ANY


def decode(raw: bytes, shape: Any) -> dict[str, Any]:
    """The body as ``shape``. Raises: InvalidArgument that names what is wrong and where."""
    value = clean(parse(raw), field_of(shape))
    for key in ("Cmd", "Entrypoint"):
        if isinstance(value.get(key), str):  # a word alone, since API 1.15
            value[key] = [value[key]]
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as err:
        raise InvalidArgument(f"invalid JSON: {err}") from err
    return value


def parse(raw: bytes) -> dict[str, Any]:
    """Raises: InvalidArgument for what is no JSON object."""
    try:
        value = json.loads(raw.decode("utf-8", "replace"), parse_constant=_no_constant)
    except json.JSONDecodeError as err:
        what = "unexpected content after JSON" if err.msg == "Extra data" else str(err)
        raise InvalidArgument(f"invalid JSON: {what}") from err
    except (ValueError, RecursionError) as err:
        raise InvalidArgument(f"invalid JSON: {err}") from err
    if not isinstance(value, dict):
        raise InvalidArgument("invalid JSON: the body must be an object")
    return value


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def clean(value: dict[str, Any], field: Field, depth: int = 0) -> dict[str, Any]:
    """An object by ``field``'s keys or values."""
    if not value:
        return {}
    if field.keys is not None and field.names is not None:
        return _clean_object(value, field.keys, field.names, depth)
    inner, zero = field.values or _ANY, field.values.zero if field.values else None
    found = {}
    for key, entry in value.items():
        name = _text(key, key)
        if entry is not None:
            found[name] = _clean(entry, inner, name, depth + 1)
        elif field.values is not None:
            found[name] = zero
    return found


def _clean_object(value: dict[str, Any], keys: dict[str, Field], names: dict[str, str], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, entry in value.items():
        name = key if key in keys else names.get(key.lower())
        if name is None or entry is None:
            continue
        if entry is False or entry is True or entry == "" or entry == 0:
            found[name] = entry  # most of what a client sends: the start of a container should not pay for more
        else:
            found[name] = _clean(entry, keys[name], name, depth + 1)
    return found


def _clean(value: Any, field: Field, where: str, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise InvalidArgument("invalid JSON: exceeded max depth")
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, dict):
        return clean(value, field, depth)
    if isinstance(value, list):
        return [_clean(item, field.items or _ANY, where, depth + 1) for item in value]
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise InvalidArgument(f"invalid JSON: json: cannot unmarshal number {value} into {where} of type int64")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise InvalidArgument(f"invalid JSON: the number of {where} is too large")
    return value


def _text(text: str, where: str) -> str:
    if "\0" in text:
        raise InvalidArgument(f"invalid JSON: {where.partition(chr(0))[0] or 'a key'} contains a NUL character")
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half of a pair, as Go replaces it
