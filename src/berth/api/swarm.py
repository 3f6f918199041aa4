"""Swarm's endpoints: this engine is no swarm node, and says so in Docker's words."""

from __future__ import annotations

from berth.api.http.request import Request
from berth.api.services import Services
from berth.base.errors import Unavailable
from berth.spec import messages


async def refuse(services: Services, request: Request) -> None:
    raise Unavailable(messages.not_a_swarm_manager())


ROUTES = [
    (method, rf"/(?:{noun})(?:/.*)?", refuse, False)
    for method in ("GET", "POST", "DELETE", "PUT")
    for noun in ("swarm", "nodes", "services", "tasks", "secrets", "configs")
]
