"""How Go prints and judges values that came as JSON, and what a missing field is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from berth.base.errors import InvalidArgument


class ExecuteError(InvalidArgument):
    """The template asked for what the value does not give; the message is Go's, from ``template:`` on."""

    kind = "invalid"


class _Missing:
    """No value at all: what an index into a map without the key gives, or a field of ``nil``."""

    def __str__(self) -> str:
        return "<no value>"

    def __bool__(self) -> bool:
        return False


MISSING = _Missing()


class _NilPointer:
    """A pointer of a Go struct that points nowhere: ``<nil>``, and ``null`` in JSON."""

    def __bool__(self) -> bool:
        return False


class NilList(list[Any]):
    """A slice that is nil: ``[]``, and ``null`` in JSON."""


class NilMap(dict[str, Any]):
    """A map that is nil: ``map[]``, and ``null`` in JSON."""


NIL = _NilPointer()


class Struct(dict[str, Any]):
    """An object that is a Go struct: printed as its values in order, not as a map.

    ``omitted``: fields that Go's struct has and the JSON left out; JSON leaves them out again.
    """

    omitted: frozenset[str] = frozenset()

    def present(self) -> dict[str, Any]:
        return {key: item for key, item in self.items() if key not in self.omitted}


class Printed(dict[str, Any]):
    """An object that prints itself as ``words``."""

    words = ""


class Shown(str):
    """A field's words to people; the JSON of the whole object has ``plainly`` in their place."""

    plainly = ""


class Fields:
    """An object of named fields that are read when asked for; a name it does not know is an error that names ``type_name``.

    A field that takes arguments (``{{.Label "x"}}``) is a callable in ``calls``.
    """

    def __init__(
        self,
        fields: Mapping[str, Callable[[], Any]],
        type_name: str,
        calls: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.fields = fields
        self.type_name = type_name
        self.calls = calls or {}

    @classmethod
    def of(cls, values: Mapping[str, Any], type_name: str) -> Fields:
        """An object whose values are there already."""
        return cls({name: _constant(value) for name, value in values.items()}, type_name)

    def as_json(self) -> dict[str, Any]:
        values = {name: self.fields[name]() for name in sorted(self.fields)}
        return {name: value.plainly if isinstance(value, Shown) else value for name, value in values.items()}


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def plain(value: Any) -> Any:
    """A value as the JSON that it came from."""
    if value is MISSING or value is NIL or isinstance(value, (NilList, NilMap)):
        return None
    if isinstance(value, Fields):
        value = value.as_json()
    if isinstance(value, Struct):
        value = value.present()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def is_true(value: Any) -> bool:
    """Go's truth: not empty, not zero, not nil."""
    return bool(value) or isinstance(value, Fields)


def text(value: Any, *, top: bool = True) -> str:
    """``%v`` of a value."""
    if value is MISSING:
        return "<no value>"
    if value is NIL:
        return "<nil>"
    if value is None:
        return "<no value>" if top else "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(text(item, top=False) for item in value) + "]"
    if isinstance(value, Fields):
        value = value.as_json()
    if isinstance(value, Printed):
        return value.words
    if isinstance(value, Struct):
        return "{" + " ".join(text(item, top=False) for item in value.values()) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{text(value[key], top=False)}" for key in sorted(value)) + "]"
    return str(value)


def go_float(value: float) -> str:
    """``%v`` of a float64: the shortest digits, an exponent from 1e+21 up and below 1e-4."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    digits = repr(value)
    mantissa, _, exponent = f"{value:e}".partition("e")
    power = int(exponent)
    if -4 <= power < 21:
        return digits.removesuffix(".0") if "e" not in digits else f"{value:.0f}"
    shortest = digits.partition("e")[0].removesuffix(".0") if "e" in digits else mantissa.rstrip("0").rstrip(".")
    return f"{shortest}e{'-' if power < 0 else '+'}{abs(power):02d}"


def type_name(value: Any) -> str:
    """The Go type that a JSON value would have."""
    if isinstance(value, Fields):
        return value.type_name
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float64"), (str, "string"), (list, "[]interface {}"),
                       (dict, "map[string]interface {}")):  # fmt: skip
        if isinstance(value, kind):
            return name
    return "nil"
