"""The event bus: what happened, to whoever listens, with a bounded memory of the last ones for ``since``.

Docker keeps 256 events in memory for replay; so does this. A subscriber that does not read is dropped when its queue
holds ``QUEUE_MAX`` events: it must not hold the engine's memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

from berth.base.clock import now_ns
from berth.spec.api.system import EventMessage

REPLAY_MAX = 256
QUEUE_MAX = 8192

Filters = Mapping[str, list[str]]


class EventBus:
    def __init__(self) -> None:
        self._recent: deque[EventMessage] = deque(maxlen=REPLAY_MAX)
        self._queues: set[asyncio.Queue[EventMessage | None]] = set()
        self._taps: list[Callable[[EventMessage], None]] = []

    def publish(self, type_: str, action: str, actor_id: str, attributes: Mapping[str, str]) -> None:
        """Tell everybody. Never blocks, never raises."""
        at_ns = now_ns()
        message: EventMessage = {
            "Type": type_,
            "Action": action,
            "Actor": {"ID": actor_id, "Attributes": dict(attributes)},
            "scope": "local",
            "time": at_ns // 1_000_000_000,
            "timeNano": at_ns,
        }
        if type_ in ("container", "image"):  # the flat keys of API < 1.22, which old clients still read
            message["status"] = action  # type: ignore[typeddict-unknown-key]
            message["id"] = actor_id  # type: ignore[typeddict-unknown-key]
            if "image" in attributes and type_ == "container":
                message["from"] = attributes["image"]  # type: ignore[typeddict-unknown-key]
        self._recent.append(message)
        for tap in self._taps:
            tap(message)
        for queue in list(self._queues):
            if queue.qsize() >= QUEUE_MAX:
                self._queues.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(message)

    def tap(self, callback: Callable[[EventMessage], None]) -> None:
        """Call ``callback`` in line with every event (for the journal and tests)."""
        self._taps.append(callback)

    async def subscribe(
        self, *, since_ns: int | None, until_ns: int | None, filters: Filters
    ) -> AsyncIterator[EventMessage]:
        """Past events since ``since_ns``, then live ones until ``until_ns`` (or for ever).

        As Docker: of two that are both missing there is no past, and ``until_ns`` 0 is all of the past and nothing more.
        """
        queue: asyncio.Queue[EventMessage | None] = asyncio.Queue()
        past = [e for e in self._recent if (since_ns, until_ns) != (None, None) and e["timeNano"] >= (since_ns or 0)]
        self._queues.add(queue)
        try:
            for event in past:
                if until_ns and event["timeNano"] > until_ns:
                    return
                if matches(event, filters):
                    yield event
            while True:
                timeout_s = None
                if until_ns is not None:
                    timeout_s = (until_ns - now_ns()) / 1e9
                    if timeout_s <= 0:
                        return
                try:
                    live = await asyncio.wait_for(queue.get(), timeout_s)
                except TimeoutError:
                    return
                if live is None:
                    return
                if matches(live, filters):
                    yield live
        finally:
            self._queues.discard(queue)


def matches(event: EventMessage, filters: Filters) -> bool:
    """Docker's event filters: values of one name are alternatives, names must all hold."""
    attributes = event["Actor"]["Attributes"]
    actor_id = event["Actor"]["ID"]
    for name, wanted in filters.items():
        if not wanted:
            continue
        if name == "event":
            ok = any(event["Action"] == w or event["Action"].startswith(w + ":") for w in wanted)
        elif name == "type":
            ok = event["Type"] in wanted
        elif name == "label":
            ok = all(_has_label(attributes, w) for w in wanted)
        elif name == "scope":
            ok = "local" in wanted
        elif name in ("container", "image", "network", "volume", "plugin", "daemon"):
            ok = event["Type"] == name and any(
                actor_id == w or actor_id.startswith(w) or attributes.get("name") == w or attributes.get("image") == w
                for w in wanted
            )
            if name == "image" and event["Type"] == "container":
                ok = attributes.get("image") in wanted
        else:
            ok = True
        if not ok:
            return False
    return True


def _has_label(attributes: Mapping[str, str], wanted: str) -> bool:
    key, eq, value = wanted.partition("=")
    return key in attributes and (not eq or attributes[key] == value)
