"""Text and actions of a template, and the words inside an action.

``{{- `` and `` -}}`` trim the text beside them; ``{{/* ... */}}`` is nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from berth.base.errors import InvalidArgument

_SPACES = " \t\r\n"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}


class ParseError(InvalidArgument):
    """The text is no template; the message is Go's, from ``template:`` on."""

    kind = "invalid"


class Token(NamedTuple):
    """``kind``: text, field, variable, word, string, number, char, pipe, open, close, declare, assign, comma, space, end."""

    kind: str
    text: str
    line: int
    column: int


class Source:
    """The template's name and text, for the places that errors name."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    def place(self, at: int) -> tuple[int, int]:
        """Line (from 1) and the byte column in it (from 0) of a position."""
        before = self.text[:at]
        line_start = before.rfind("\n") + 1
        return before.count("\n") + 1, len(before[line_start:].encode())

    def fail(self, at: int, why: str) -> ParseError:
        return ParseError(f"template: {self.name}:{self.place(at)[0]}: {why}")


def split(source: Source) -> list[tuple[str, list[Token]]]:
    """The template's pieces in order: ("text", [one token]) and ("action", words). Raises: ParseError."""
    text, pieces, at, trim = source.text, [], 0, False
    while True:
        start = text.find("{{", at)
        literal = text[at:] if start < 0 else text[at:start]
        if trim:
            literal = literal.lstrip(_SPACES)
        if start >= 0 and text.startswith("{{-", start) and text[start + 3 : start + 4] in tuple(_SPACES):
            literal = literal.rstrip(_SPACES)
        if literal:
            pieces.append(("text", [Token("text", literal, *source.place(at))]))
        if start < 0:
            return pieces
        inside = start + 2
        if text.startswith("-", inside) and text[inside + 1 : inside + 2] in tuple(_SPACES):
            inside += 2
        if text.startswith("/*", inside):
            at, trim = _comment(source, inside)
            continue
        words, at, trim = _action(source, inside)
        pieces.append(("action", words))


def _comment(source: Source, inside: int) -> tuple[int, bool]:
    close = source.text.find("*/", inside)
    if close < 0:
        raise source.fail(inside, "unclosed comment")
    rest = source.text[close + 2 :]
    if rest.startswith("}}"):
        return close + 4, False
    if rest[:1] in tuple(_SPACES) and rest[1:].startswith("-}}"):
        return close + 6, True
    raise source.fail(inside, "comment ends before closing delimiter")


def _action(source: Source, at: int) -> tuple[list[Token], int, bool]:
    """The words up to ``}}``, the position after it, and whether it trims what follows."""
    text, depth = source.text, 0
    words: list[Token] = []
    while True:
        if at >= len(text):
            raise source.fail(at, "unclosed action")
        if text.startswith("}}", at):
            if depth:
                raise source.fail(at, "unclosed left paren")
            return words, at + 2, False
        char = text[at]
        if char in _SPACES:
            end = at
            while end < len(text) and text[end] in _SPACES:
                end += 1
            if text.startswith("-}}", end):
                return words, end + 3, True
            words.append(Token("space", " ", *source.place(at)))
            at = end
            continue
        token, at = _word(source, at)
        depth += {"open": 1, "close": -1}.get(token.kind, 0)
        if depth < 0:
            raise source.fail(at, "unexpected right paren")
        words.append(token)


_SINGLE = {"|": "pipe", "(": "open", ")": "close", ",": "comma"}


def _word(source: Source, at: int) -> tuple[Token, int]:
    text, place = source.text, source.place(at)
    char = text[at]
    if char in _SINGLE:
        return Token(_SINGLE[char], char, *place), at + 1
    if char == '"':
        end = _quoted(source, at, '"')
        return Token("string", _unquote(source, at, text[at + 1 : end]), *place), end + 1
    if char == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise source.fail(at, "unterminated raw quoted string")
        return Token("string", text[at + 1 : end], *place), end + 1
    if char == "'":
        end = _quoted(source, at, "'")
        return Token("char", _unquote(source, at, text[at + 1 : end]), *place), end + 1
    if text.startswith(":=", at):
        return Token("declare", ":=", *place), at + 2
    if char == "=":
        return Token("assign", "=", *place), at + 1
    if char == "." and not text[at + 1 : at + 2].isdigit():
        end = _name_end(text, at + 1)
        _check_end(source, end)
        return Token("field" if end > at + 1 else "dot", text[at + 1 : end], *place), end
    if char == "$":
        end = _name_end(text, at + 1)
        _check_end(source, end)
        return Token("variable", text[at:end], *place), end
    if char.isdigit() or char in "+-.":
        return _number(source, at)
    if char.isalnum() or char == "_":
        end = _name_end(text, at)
        _check_end(source, end)
        return Token("word", text[at:end], *place), end
    if char < " " or char == "\x7f":
        raise source.fail(at, f"unexpected unprintable character in input: U+{ord(char):04X}")
    raise source.fail(at, f"unexpected {_go_quote(char)} in operand")


def _check_end(source: Source, end: int) -> None:
    """A name ends at a blank, an operator or the action's end; what else follows is a bad character."""
    text = source.text
    if end >= len(text) or text[end] in _SPACES or text[end] in ".,|:=)(" or text.startswith("}}", end):
        return
    raise source.fail(end, f"bad character U+{ord(text[end]):04X} {chr(39)}{text[end]}{chr(39)}")


def _name_end(text: str, at: int) -> int:
    while at < len(text) and (text[at].isalnum() or text[at] == "_"):
        at += 1
    return at


def _quoted(source: Source, at: int, quote: str) -> int:
    text, end = source.text, at + 1
    while end < len(text) and text[end] != "\n":
        if text[end] == "\\":
            end += 2
            continue
        if text[end] == quote:
            return end
        end += 1
    raise source.fail(at, "unterminated quoted string" if quote == '"' else "unterminated character constant")


def _unquote(source: Source, at: int, raw: str) -> str:
    out, i = [], 0
    while i < len(raw):
        if raw[i] != "\\":
            out.append(raw[i])
            i += 1
            continue
        letter = raw[i + 1 : i + 2]
        if letter in _ESCAPES and letter:
            out.append(_ESCAPES[letter])
            i += 2
            continue
        digits = {"x": 2, "u": 4, "U": 8}.get(letter, 0)
        code = raw[i + 2 : i + 2 + digits]
        if not digits or len(code) != digits:
            raise source.fail(at, "invalid syntax")
        out.append(chr(int(code, 16)))
        i += 2 + digits
    return "".join(out)


def _number(source: Source, at: int) -> tuple[Token, int]:
    text, end = source.text, at
    while end < len(text) and (text[end].isalnum() or text[end] in "+-._"):
        end += 1
    return Token("number", text[at:end], *source.place(at)), end


def _go_quote(char: str) -> str:
    import json

    return json.dumps(char, ensure_ascii=False)
