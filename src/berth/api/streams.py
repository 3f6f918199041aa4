"""Answers that come bit by bit."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

from berth.api.http.request import Request

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_NONE: Mapping[str, str] = MappingProxyType({})


async def pour(
    request: Request, source: AsyncIterator[bytes], content_type: str, headers: Mapping[str, str] = _NONE
) -> None:
    """Answer 200 with the bytes of ``source``, which is closed at once when the client hangs up."""
    answer = await request.stream(200, content_type, headers)
    try:
        async for piece in source:
            await answer.write(piece)
    finally:
        await close(source)
    await answer.end()


async def pour_json(request: Request, source: AsyncIterator[Any]) -> None:
    """Answer 200 with one JSON document a line."""
    answer = await request.stream()
    try:
        async for message in source:
            await answer.write(json.dumps(message).encode() + b"\n")
    finally:
        await close(source)
    await answer.end()


async def close(source: AsyncIterator[Any]) -> None:
    """End a generator now and not when the collector finds it: it holds descriptors and threads."""
    aclose = getattr(source, "aclose", None)
    if aclose is not None:
        await aclose()
