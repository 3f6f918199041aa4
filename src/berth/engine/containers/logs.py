"""``logs``: read from disk by the daemon, followed until the container has ended and all was delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator

from berth.base.errors import InvalidArgument, Unsupported
from berth.engine.containers.deps import Deps
from berth.logs.reader import stream_log
from berth.spec.streams import LogQuery, LogStream


async def logs(deps: Deps, ref: str, query: LogQuery) -> LogStream:
    """Raises: NotFound, InvalidArgument (no stream chosen), Unsupported (a driver that keeps nothing)."""
    container = deps.containers.get(ref)
    if not (query.stdout or query.stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    if container.row.host_config["LogConfig"]["Type"] == "none":
        raise Unsupported("configured logging driver does not support reading")

    def ended() -> bool:
        return container.log_finished.is_set() or not (container.running or container.row.phase == "restarting")

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in stream_log(deps.layout.log_path(container.id), query, container.tty, ended):
            yield chunk

    return LogStream(container.tty, chunks())
