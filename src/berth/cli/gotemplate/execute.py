"""Nodes and a value → text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from berth.cli.gotemplate.functions import FUNCTIONS, CallError
from berth.cli.gotemplate.lexer import Source
from berth.cli.gotemplate.parser import Node, Parser
from berth.cli.gotemplate.values import MISSING, ExecuteError, Fields, is_true, text, type_name

_ABSENT = object()
_SPELLINGS = {"ID": "Id", "Id": "ID", "APIVersion": "ApiVersion", "HTTPProxy": "HttpProxy", "HTTPSProxy": "HttpsProxy"}
"""Go's name of a field whose JSON name differs."""


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Template:
    """A parsed template. Raises: ParseError.

    ``strict``: a key that is not there is an error, as for ``inspect``; otherwise it is ``<no value>``.
    """

    def __init__(
        self,
        source: str,
        *,
        name: str = "",
        functions: Mapping[str, Callable[..., Any]] = FUNCTIONS,
        strict: bool = False,
    ) -> None:
        self.name = name
        self._functions = functions
        self._strict = strict
        parser = Parser(Source(name, source), functions)
        self._nodes = parser.parse()
        self._defined = parser.defined

    def render(self, value: Any) -> str:
        """Raises: ExecuteError."""
        return "".join(self.pieces(value))

    def pieces(self, value: Any) -> Iterator[str]:
        """What ``render`` joins, as far as it gets before an error. Raises: ExecuteError."""
        yield from self._run(self._nodes, value, {"$": value})

    # --- statements ---------------------------------------------------------------------------------------------

    def _run(self, nodes: list[Node], dot: Any, names: dict[str, Any]) -> Iterator[str]:
        for node in nodes:
            if node.kind == "text":
                yield node.text
            elif node.kind == "action":
                pipe = node.parts[0]
                value = self._pipe(pipe, dot, names)
                if not pipe.parts[1]:
                    yield text(value)
            elif node.kind in ("if", "with"):
                yield from self._branch(node, dot, names)
            elif node.kind == "range":
                yield from self._range(node, dot, names)
            elif node.kind == "break":
                raise _Break
            elif node.kind == "continue":
                raise _Continue
            else:
                yield from self._template(node, dot, names)

    def _branch(self, node: Node, dot: Any, names: dict[str, Any]) -> Iterator[str]:
        pipe, body, other = node.parts
        inner = _Scope(names)
        value = self._pipe(pipe, dot, inner)
        if is_true(value):
            yield from self._run(body, value if node.kind == "with" else dot, inner)
        else:
            yield from self._run(other, dot, inner)

    def _template(self, node: Node, dot: Any, names: dict[str, Any]) -> Iterator[str]:
        name, pipe = node.parts
        if name not in self._defined:
            raise self._fail(node, f'template "{name}" not defined')
        value = self._pipe(pipe, dot, names) if pipe is not None else None
        yield from self._run(self._defined[name], value, {"$": value})

    def _range(self, node: Node, dot: Any, names: dict[str, Any]) -> Iterator[str]:
        pipe, body, other = node.parts
        value = self._pipe_value(pipe, dot, names)
        pairs = self._pairs(node, pipe, value)
        if not pairs:
            yield from self._run(other, dot, names)
            return
        variables = pipe.parts[1]
        for key, item in pairs:
            inner = _Scope(names)
            if len(variables) == 2:
                inner.declare(variables[0], key)
                inner.declare(variables[1], item)
            elif variables:
                inner.declare(variables[0], item)
            try:
                yield from self._run(body, item, inner)
            except _Continue:
                continue
            except _Break:
                return

    def _pairs(self, node: Node, pipe: Node, value: Any) -> list[tuple[Any, Any]]:
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, (list, tuple)):
            return list(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return [(n, n) for n in range(value)]
        if value is None or value is MISSING:
            return []
        raise self._fail(node, f"range can't iterate over {text(value)}", pipe)

    # --- values -------------------------------------------------------------------------------------------------

    def _pipe(self, pipe: Node, dot: Any, names: dict[str, Any]) -> Any:
        value = self._pipe_value(pipe, dot, names)
        for name in pipe.parts[1]:
            if pipe.parts[2] or not isinstance(names, _Scope):
                names[name] = value
            else:
                names.assign(name, value)
        return value

    def _pipe_value(self, pipe: Node, dot: Any, names: dict[str, Any]) -> Any:
        value: Any = _ABSENT
        for command in pipe.parts[0]:
            value = self._command(command, dot, names, value)
        return value

    def _command(self, command: Node, dot: Any, names: dict[str, Any], last: Any) -> Any:
        first, *rest = command.parts[0]
        given = [self._operand(node, dot, names) for node in rest] if first.text not in ("and", "or") else []
        tail = [] if last is _ABSENT else [last]
        if first.kind == "function":
            if first.text in ("and", "or"):
                return self._logic(first, rest, tail, dot, names)
            return self._call(command, rest, [*given, *tail])
        if first.kind in ("field", "chain") and (given or tail):
            *owner, name = first.parts[-1]
            base = dot if first.kind == "field" else self._operand(first.parts[0], dot, names)
            return self._method(first, self._walk(first, base, owner), name, [*given, *tail])
        if given or tail:
            raise self._fail(first, f"can't give argument to non-function {first.text}")
        return self._operand(first, dot, names)

    def _logic(self, first: Node, rest: list[Node], tail: list[Any], dot: Any, names: dict[str, Any]) -> Any:
        """``and`` and ``or`` look at no more than they need."""
        value: Any = None
        for node in rest:
            value = self._operand(node, dot, names)
            if is_true(value) == (first.text == "or"):
                return value
        if tail:
            return tail[0]
        if not rest:
            raise self._fail(first, f"wrong number of args for {first.text}: want at least 1 got 0")
        return value

    def _call(self, command: Node, rest: list[Node], given: list[Any]) -> Any:
        """A function by its command, or by its name alone."""
        first = command.parts[0][0] if command.kind == "command" else command
        function = self._functions[first.text]
        try:
            return function(*given)
        except CallError as err:
            at = rest[0] if rest and str(err).startswith("wrong type") else command
            raise self._fail(at, str(err)) from None
        except (TypeError, ValueError, AttributeError) as err:
            want = _arity(function)
            if want is not None and want != len(given):
                raise self._fail(
                    first, f"wrong number of args for {first.text}: want {want} got {len(given)}"
                ) from None
            raise self._fail(command, f"error calling {first.text}: {err}") from None

    def _method(self, node: Node, owner: Any, name: str, given: list[Any]) -> Any:
        if isinstance(owner, Fields) and name in owner.calls:
            return owner.calls[name](*given)
        if isinstance(owner, Fields) and name not in owner.fields:
            raise self._fail(node, f"can't evaluate field {name} in type {owner.type_name}")
        raise self._fail(node, f"{name} is not a method but has arguments")

    def _operand(self, node: Node, dot: Any, names: dict[str, Any]) -> Any:
        kind = node.kind
        if kind == "dot":
            return dot
        if kind in ("string", "number", "bool"):
            return node.parts[0]
        if kind == "nil":
            return None
        if kind == "field":
            return self._walk(node, dot, node.parts[0])
        if kind == "variable":
            return names[node.text]
        if kind == "nested":
            return self._pipe_value(node.parts[0], dot, names)
        if kind == "chain":
            return self._walk(node, self._operand(node.parts[0], dot, names), node.parts[1])
        return self._call(node, [], [])

    def _walk(self, node: Node, value: Any, path: list[str]) -> Any:
        for name in path:
            value = self._field(node, value, name)
        return value

    def _field(self, node: Node, value: Any, name: str) -> Any:
        if isinstance(value, Fields):
            for spelling in (name, _SPELLINGS.get(name, name)):
                if spelling in value.fields:
                    return value.fields[spelling]()
            if name in value.calls:
                raise self._fail(node, f"wrong number of args for {name}: want 1 got 0")
            raise self._fail(node, f"can't evaluate field {name} in type {value.type_name}")
        if isinstance(value, dict):
            for spelling in (name, _SPELLINGS.get(name, name)):
                if spelling in value:
                    return value[spelling]
            if self._strict:
                raise self._fail(node, f'map has no entry for key "{name}"')
            return MISSING
        if value is MISSING or value is None:
            if self._strict:
                raise self._fail(node, f"nil pointer evaluating interface {{}}.{name}")
            return MISSING
        kind = "interface {}" if self._strict else type_name(value)  # what came as JSON has no other type
        raise self._fail(node, f"can't evaluate field {name} in type {kind}")

    def _fail(self, node: Node, why: str, shown: Node | None = None) -> ExecuteError:
        shown = shown or node
        return ExecuteError(
            f'template: {self.name}:{shown.line}:{shown.column}: executing "{self.name}" at <{shown.text}>: {why}'
        )


class _Scope(dict[str, Any]):
    """Variables of a block: new ones end with it, assignments reach the block that declared the name."""

    def __init__(self, outer: dict[str, Any]) -> None:
        super().__init__(outer)
        self._outer = outer
        self._own: set[str] = set()

    def declare(self, name: str, value: Any) -> None:
        self._own.add(name)
        super().__setitem__(name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        self.declare(name, value)

    def assign(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        if name not in self._own:
            outer = self._outer
            if isinstance(outer, _Scope):
                outer.assign(name, value)
            else:
                outer[name] = value


def _arity(function: Callable[..., Any]) -> int | None:
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & 0x04:
        return None
    return int(code.co_argcount)
