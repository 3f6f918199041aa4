"""The OpenAPI document: complete, and true to the routes."""

from __future__ import annotations

import json
import re
from typing import Any

from berth.api.app import all_routes, api_version
from berth.api.openapi import build
from berth.api.operations import OPERATIONS


def document() -> dict[str, Any]:
    return build(all_routes(), api_version())


def test_every_route_is_in_the_document() -> None:
    made = document()
    assert made["openapi"].startswith("3.1") and made["info"]["version"] == "1.51"
    for method, pattern, handler, _ in all_routes():
        fitting = [path for path in made["paths"] if re.fullmatch(pattern, path.replace("{id}", "x"))]
        assert any(method.lower() in made["paths"][path] for path in fitting), (method, pattern, handler)


def test_what_is_described_is_served() -> None:
    served = {f"{h.__module__.rpartition('.')[2]}.{h.__name__}" for _, _, h, _ in all_routes()}
    assert set(OPERATIONS) == served


def test_references_lead_somewhere_and_names_are_unique() -> None:
    made = document()
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(made)))
    assert wanted <= set(made["components"]["schemas"])
    names = [op["operationId"] for path in made["paths"].values() for op in path.values()]
    assert len(names) == len(set(names))


def test_types_of_bodies_are_the_engines_own() -> None:
    made = document()
    body = made["paths"]["/containers/create"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/CreateBody"}
    assert made["components"]["schemas"]["HostConfig"]["properties"]["Memory"] == {"type": "integer"}
    answer = made["paths"]["/containers/{id}/json"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/ContainerInspectResponse"}
