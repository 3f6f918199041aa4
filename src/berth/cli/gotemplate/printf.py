"""Go's ``printf`` for values that came as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from berth.cli.gotemplate.values import MISSING, Fields, go_float, text

_SPEC = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d*)(?P<point>\.(?P<precision>\d*))?(?P<verb>[a-zA-Z%])?")


def go_type(value: Any) -> str:
    from berth.cli.gotemplate.values import type_name

    return type_name(value)


def sprintf(form: str, *values: Any) -> str:
    """``%v %s %d %q %x %t %f %e %g %c %T`` with flags, width and precision; what does not fit is said as Go says it."""
    out, at, used = [], 0, 0
    for match in _SPEC.finditer(form):
        out.append(form[at : match.start()])
        at = match.end()
        verb = match.group("verb")
        if verb is None:
            out.append("%!(NOVERB)")
        elif verb == "%":
            out.append("%")
        elif used >= len(values):
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_one(match, verb, values[used]))
            used += 1
    out.append(form[at:])
    if used < len(values):
        rest = ", ".join(f"{go_type(v)}={text(v, top=False)}" for v in values[used:])
        out.append(f"%!(EXTRA {rest})")
    return "".join(out)


def _one(match: re.Match[str], verb: str, value: Any) -> str:
    flags, precision = match.group("flags"), match.group("precision")
    digits = int(precision or 0) if match.group("point") else None
    raw = _convert(verb, value, flags, digits)
    width = int(match.group("width") or 0)
    if "-" in flags:
        return raw.ljust(width)
    if "0" in flags and isinstance(value, (int, float)) and verb in "dxXfegbo":
        sign = raw[0] if raw[:1] in "+-" else ""
        return sign + raw[len(sign) :].rjust(width - len(sign), "0")
    return raw.rjust(width)


def _convert(verb: str, value: Any, flags: str, digits: int | None) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb == "v":
        return _go_syntax(value) if "#" in flags else _signed(text(value, top=False), value, flags)
    if verb == "T":
        return go_type(value)
    if verb == "s" and (isinstance(value, (str, list, dict, Fields)) or value is MISSING):
        found = text(value, top=False)
        return found if digits is None else found[:digits]
    if verb == "q" and isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if verb == "t" and isinstance(value, bool):
        return text(value)
    if verb in "xX" and isinstance(value, str):
        found = value.encode().hex()
        return found.upper() if verb == "X" else found
    if number and isinstance(value, int) and verb in "dxXobc":
        plain = chr(value) if verb == "c" else format(value, verb)
        return _signed(plain, value, flags) if verb != "c" else plain
    if number and verb in "feEgG":
        return _signed(
            _float(verb, float(value), digits) if isinstance(value, float) else _wrong(verb, value), value, flags
        )
    return _wrong(verb, value)


def _float(verb: str, value: float, digits: int | None) -> str:
    if verb in "gG" and digits is None:
        return go_float(value)
    return format(value, f".{6 if digits is None else digits}{verb}")


def _signed(found: str, value: Any, flags: str) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 and not found.startswith("%!"):
        return "+" + found if "+" in flags else " " + found if " " in flags else found
    return found


def _wrong(verb: str, value: Any) -> str:
    return f"%!{verb}({go_type(value)}={text(value, top=False)})" if value is not None else f"%!{verb}(<nil>)"


def _go_syntax(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else text(value, top=False)
