"""Words of actions → nodes.

Text · Action(pipe) · If/With/Range(pipe, body, other) · Break · Continue · Define · Call of a defined template
Pipe: declared variables and commands; Command: operands, the first may be a function
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from berth.cli.gotemplate.lexer import ParseError, Source, Token, split

_CONTROL = frozenset({"if", "with", "range", "end", "else", "break", "continue", "define", "block", "template"})


class Node:
    """One node. ``kind`` says which; ``text`` is how errors quote it; ``line`` and ``column`` where it stands."""

    __slots__ = ("column", "kind", "line", "parts", "text")

    def __init__(self, kind: str, token: Token, text: str, *parts: Any) -> None:
        self.kind = kind
        self.line = token.line
        self.column = token.column
        self.text = text
        self.parts = parts


class Parser:
    """Raises: ParseError from ``parse``."""

    def __init__(self, source: Source, functions: Container[str]) -> None:
        self.source = source
        self.functions = functions
        self.pieces = split(source)
        self.at = 0
        self.defined: dict[str, list[Node]] = {}
        self.variables: list[str] = ["$"]

    def parse(self) -> list[Node]:
        nodes, stopped = self._list()
        if stopped is not None:
            raise self._fail(stopped, f"unexpected {{{{{stopped.text}}}}}")
        return nodes

    def _fail(self, token: Token, why: str) -> ParseError:
        return ParseError(f"template: {self.source.name}:{token.line}: {why}")

    def _fail_at_end(self) -> ParseError:
        line = self.source.text.count("\n") + 1
        return ParseError(f"template: {self.source.name}:{line}: unexpected EOF")

    def _list(self) -> tuple[list[Node], Token | None]:
        """Nodes up to ``end`` or ``else`` (whose token is returned, its words left for the caller) or the template's end."""
        nodes: list[Node] = []
        while self.at < len(self.pieces):
            kind, words = self.pieces[self.at]
            self.at += 1
            if kind == "text":
                nodes.append(Node("text", words[0], words[0].text))
                continue
            clean = [w for w in words if w.kind != "space"]
            first = clean[0] if clean else None
            if first is not None and first.kind == "word" and first.text in _CONTROL:
                if first.text in ("end", "else"):
                    self.at -= 1
                    return nodes, first
                node = self._control(first, words)
                if node is not None:
                    nodes.append(node)
                continue
            if first is None:
                raise self._fail(self._place(words), "missing value for command")
            nodes.append(Node("action", first, "", _Words(self, words).pipe()))
        return nodes, None

    def _place(self, words: list[Token]) -> Token:
        return words[0] if words else Token("end", "", self.source.text.count("\n") + 1, 0)

    def _control(self, first: Token, words: list[Token]) -> Node | None:
        rest = words[words.index(first) + 1 :]
        if first.text in ("break", "continue"):
            return Node(first.text, first, first.text)
        if first.text == "define":
            name = next((w.text for w in rest if w.kind == "string"), "")
            self.defined[name] = self._body(first)[0]
            return None
        if first.text in ("template", "block"):
            quoted = next((w for w in rest if w.kind == "string"), first)
            name = quoted.text if quoted is not first else ""
            tail = rest[next((i for i, w in enumerate(rest) if w.kind == "string"), 0) + 1 :]
            pipe = _Words(self, tail).pipe() if any(w.kind != "space" for w in tail) else None
            if first.text == "block":
                self.defined[name] = self._body(first)[0]
            shown = f'{{{{template "{name}"{f" {pipe.text}" if pipe is not None else ""}}}}}'
            return Node("template", quoted, shown, name, pipe)
        return self._branch(first, rest)

    def _branch(self, first: Token, rest: list[Token]) -> Node:
        depth = len(self.variables)
        if not any(w.kind != "space" for w in rest):
            raise self._fail(first, f"missing value for {first.text}")
        pipe = _Words(self, rest).pipe(ranging=first.text == "range")
        body, other = self._body(first)
        del self.variables[depth:]
        return Node(first.text, first, first.text, pipe, body, other)

    def _body(self, first: Token) -> tuple[list[Node], list[Node]]:
        body, stopped = self._list()
        if stopped is None:
            raise self._fail_at_end()
        words = self.pieces[self.at][1]
        self.at += 1
        if stopped.text == "end":
            return body, []
        after = [w for w in words[words.index(stopped) + 1 :] if w.kind != "space"]
        if after and after[0].kind == "word" and after[0].text in ("if", "with"):
            tail = words[words.index(after[0]) + 1 :]
            return body, [self._branch(after[0], tail)]
        other, stopped = self._list()
        if stopped is None:
            raise self._fail_at_end()
        if stopped.text == "else":
            raise self._fail(stopped, "unexpected {{else}}")
        self.at += 1
        return body, other


class _Words:
    """A cursor over one action's words."""

    def __init__(self, parser: Parser, words: list[Token]) -> None:
        self.parser = parser
        self.words = words
        self.at = 0

    def peek(self, *, skip: bool = True) -> Token | None:
        while skip and self.at < len(self.words) and self.words[self.at].kind == "space":
            self.at += 1
        return self.words[self.at] if self.at < len(self.words) else None

    def pipe(self, *, ranging: bool = False, inside: bool = False) -> Node:
        first = self.peek()
        assert first is not None
        names, declares = self._declaration(ranging=ranging)
        commands = [self.command(inside=inside)]
        while (token := self.peek()) is not None and token.kind == "pipe":
            self.at += 1
            commands.append(self.command(inside=inside, after_pipe=token))
        token = self.peek()
        if token is not None and not (inside and token.kind == "close"):
            raise self.parser._fail(token, f"unexpected {_shown(token)} in command")
        text = " | ".join(c.text for c in commands)
        return Node("pipe", first, text, commands, names, declares)

    def _declaration(self, *, ranging: bool) -> tuple[list[str], bool]:
        """``$x :=``, ``$i, $x :=`` or ``$x =`` in front; else nothing is taken."""
        start, names = self.at, []
        while (token := self.peek()) is not None and token.kind == "variable":
            names.append(token.text)
            self.at += 1
            token = self.peek()
            if token is not None and token.kind == "comma" and ranging:
                self.at += 1
                continue
            break
        token = self.peek()
        if not names or token is None or token.kind not in ("declare", "assign"):
            self.at = start
            return [], False
        self.at += 1
        if token.kind == "declare":
            self.parser.variables += names
        return names, token.kind == "declare"

    def command(self, *, inside: bool, after_pipe: Token | None = None) -> Node:
        operands: list[Node] = []
        first = self.peek()
        while (token := self.peek()) is not None and token.kind not in ("pipe", "close"):
            operands.append(self.operand())
        if not operands:
            where = first or after_pipe or self.parser._place(self.words)
            raise self.parser._fail(where, "missing value for command")
        assert first is not None
        if len(operands) > 1 and operands[0].kind in ("string", "number", "nil", "bool"):
            raise self.parser._fail(first, f"can't give argument to non-function {operands[0].text}")
        return Node("command", first, " ".join(o.text for o in operands), operands)

    def operand(self) -> Node:
        token = self.peek()
        assert token is not None
        self.at += 1
        if token.kind == "open":
            inner = self.pipe(inside=True)
            close = self.peek()
            assert close is not None
            self.at += 1
            return self._chain(Node("nested", token, f"({inner.text})", inner))
        if token.kind == "field":
            return self._fields(token)
        if token.kind == "dot":
            return Node("dot", token, ".")
        if token.kind == "variable":
            if token.text not in self.parser.variables:
                raise self.parser._fail(token, f'undefined variable "{token.text}"')
            return self._chain(Node("variable", token, token.text))
        if token.kind == "string":
            return Node("string", token, _quote(token.text), token.text)
        if token.kind == "char":
            return Node("number", token, f"'{token.text}'", ord(token.text or "\0"))
        if token.kind == "number":
            return Node("number", token, token.text, self._value(token))
        if token.kind == "word":
            return self._named(token)
        raise self.parser._fail(token, f"unexpected {_shown(token)} in operand")

    def _named(self, token: Token) -> Node:
        if token.text in ("true", "false"):
            return Node("bool", token, token.text, token.text == "true")
        if token.text == "nil":
            return Node("nil", token, "nil")
        if token.text not in self.parser.functions:
            raise self.parser._fail(token, f'function "{token.text}" not defined')
        return Node("function", token, token.text)

    def _value(self, token: Token) -> int | float:
        text = token.text.replace("_", "")
        try:
            return int(text, 0)
        except ValueError:
            pass
        try:
            return int(text) if text.isdigit() else float(text)
        except ValueError:
            raise self.parser._fail(token, f'bad number syntax: "{token.text}"') from None

    def _fields(self, token: Token) -> Node:
        """``.A.B``: the place of a longer chain is that of its second name, as Go's is."""
        names, where = [token.text], token
        while (more := self.peek(skip=False)) is not None and more.kind == "field":
            if len(names) == 1:
                where = more
            names.append(more.text)
            self.at += 1
        return Node("field", where, "." + ".".join(names), names)

    def _chain(self, node: Node) -> Node:
        names: list[str] = []
        first = None
        while (more := self.peek(skip=False)) is not None and more.kind == "field":
            first = first or more
            names.append(more.text)
            self.at += 1
        if first is None:
            return node
        return Node("chain", first, node.text + "." + ".".join(names), node, names)


def _quote(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)


def _shown(token: Token) -> str:
    return f"<{token.text}>" if token.kind in ("word", "field", "variable") else _quote(token.text)
