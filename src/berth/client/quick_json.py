"""JSON through the interpreter's own C scanner and encoder.

``import json`` costs 7 ms because of the regular expressions it compiles; the C parts that do the work cost 0.2. The
client reads an answer and writes a body before it has a reason to load anything else.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Context:
    """What the C scanner asks for: the standard library's defaults."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = _CONSTANTS.__getitem__
    memo: dict[str, str] = {}  # noqa: RUF012


def _default(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON")


_scan = make_scanner(_Context())  # type: ignore[arg-type]
_encode = make_encoder(None, _default, encode_basestring_ascii, None, ":", ",", False, False, True)


def loads(raw: bytes | str) -> Any:
    """The one value in ``raw``. Raises: ValueError when it is no JSON, or more than one value."""
    text = (raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw).strip()
    try:
        value, end = _scan(text, 0)
    except StopIteration as err:
        raise ValueError(f"no JSON at character {err.value}") from None
    except SystemError:
        # the scanner raises json's own error by name, and json has not been imported: it is the same text that is wrong
        raise ValueError("what was read is no JSON") from None
    if end != len(text):
        raise ValueError(f"more than one JSON value: character {end}")
    return value


def dumps(value: object) -> str:
    """Compact JSON, ASCII."""
    return "".join(_encode(value, 0))
