"""The OpenAPI document of what is served, made from the routes and from the types that bodies are checked against.

It is at ``GET /openapi.json``, and ``./dev openapi FILE`` writes it. The fuzzing tests draw their requests from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, is_typeddict

import msgspec

import berth
from berth.api.operations import OPERATIONS, STREAM, Operation
from berth.spec.api import container_stats, containers, host_config, images, networks, system, volumes

Route = tuple[str, str, Any, bool]
Document = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_GROUPS = re.compile(r"\((?:\?:)?[^()]*\)")
_BARE = Operation("", {200: None})
_KINDS: dict[str, Document] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "string": {"type": "string"},
    "time": {"type": "string", "description": "Unix seconds, RFC 3339, or a duration ago such as 10m"},
    "filters": {"type": "string", "description": 'JSON such as {"label": ["a=b"]}'},
}
_SENTENCES = {
    101: "The connection was handed over", 200: "Done", 201: "Made", 204: "Done", 304: "It was so before",
    400: "The request is wrong in itself", 401: "Who are you", 403: "Not for you", 404: "There is none",
    409: "It is in another state, or the name is taken", 501: "Not supported", 503: "Not available",
}  # fmt: skip


def build(routes: Iterable[Route], version: str) -> Document:
    """``version``: of the API. The document is OpenAPI 3.1."""
    _share_names()
    kinds = [kind for kind in _all_kinds(OPERATIONS.values()) if _is_object(kind)]
    _, schemas = msgspec.json.schema_components([*kinds, system.ErrorResponse], ref_template=_REFERENCE)
    paths: dict[str, Document] = {}
    for method, pattern, handler, _ in routes:
        for path in _templates(pattern):
            name = f"{handler.__module__.rpartition('.')[2]}.{handler.__name__}"
            paths.setdefault(path, {})[method.lower()] = _operation(name, method, path)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Berth: the Engine API as it is served here", "version": version,
                 "description": f"Berth {berth.__version__}. Every path may begin with /v1.24 to /v{version}."},
        "servers": [{"url": "/"}, {"url": f"/v{version}"}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas},
    }  # fmt: skip


def _share_names() -> None:
    """The modules of the types name each other's only for annotations; here they are looked up."""
    modules = (containers, container_stats, host_config, images, networks, system, volumes)
    types = {name: kind for module in modules for name, kind in vars(module).items() if is_typeddict(kind)}
    for module in modules:
        for name, kind in types.items():
            vars(module).setdefault(name, kind)


def _all_kinds(operations: Iterable[Operation]) -> list[Any]:
    return [kind for op in operations for kind in (op.body, *op.answers.values())]


def _is_object(kind: Any) -> bool:
    return kind is not None and kind is not STREAM


def _templates(pattern: str) -> list[str]:
    """A route's pattern as paths: ``/containers/([^/]+)/json`` → ``/containers/{id}/json``, alternatives one by one."""
    plain = pattern.replace("/{1,2}", "/").replace("(?:/.*)?", "")
    alternatives = re.fullmatch(r"(.*)\(\?:([\w|]+)\)(.*)", plain)
    if alternatives is not None:
        before, words, after = alternatives.groups()
        return [path for word in words.split("|") for path in _templates(before + word + after)]
    return [_GROUPS.sub("{id}", plain)]


def _operation(name: str, method: str, path: str) -> Document:
    known = OPERATIONS.get(name, _BARE)
    made: Document = {
        "operationId": f"{name.replace('.', '_').rstrip('_')}_{method.lower()}_{re.sub(r'[^a-z]+', '_', path).strip('_')}",
        "summary": known.summary or name,
        "tags": [name.partition(".")[0]],
        "parameters": [*_path_parameters(path), *_query_parameters(known.query)],
        "responses": {str(status): _answer(status, kind) for status, kind in known.answers.items()}
        | {str(status): _error(status) for status in known.errors},
    }
    if known.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(known.body)}}}
    if STREAM in known.answers.values():
        made["x-stream"] = True
    return made


def _path_parameters(path: str) -> list[Document]:
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in re.findall(r"\{(\w+)\}", path)]  # fmt: skip


def _query_parameters(query: Mapping[str, str]) -> list[Document]:
    return [{"name": name, "in": "query", "schema": _KINDS[kind]} for name, kind in query.items()]


def _schema(kind: Any) -> Document:
    if kind is str:
        return {"type": "string"}
    (made,), _ = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    return dict(made)


def _answer(status: int, kind: Any) -> Document:
    made: Document = {"description": _SENTENCES[status]}
    if kind is str:
        made["content"] = {"text/plain": {"schema": {"type": "string"}}}
    elif kind is STREAM:
        made["content"] = {"application/octet-stream": {}}
    elif kind is not None:
        made["content"] = {"application/json": {"schema": _schema(kind)}}
    return made


def _error(status: int) -> Document:
    return {
        "description": _SENTENCES[status],
        "content": {"application/json": {"schema": _schema(system.ErrorResponse)}},
    }
