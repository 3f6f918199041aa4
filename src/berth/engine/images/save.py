"""``save``: which images the names mean, held while they are read, as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from berth.base.errors import NotFound
from berth.base.ids import new_id
from berth.engine.images.stores import Stores
from berth.engine.outflow import outflow
from berth.images.save import Wanted, write_archive
from berth.images.store import Image
from berth.spec import messages
from berth.spec.platform import Platform
from berth.spec.reference import Reference, parse_any

Find = Callable[[str], tuple[Image, Reference | None]]


async def plan(stores: Stores, names: list[str], find: Find, wanted: Platform | None) -> list[Wanted]:
    """What to save. A name without a tag means every tag of its repository. Raises: NotFound, in Docker's words."""
    chosen: list[Wanted] = []
    for text in names:
        for ref in _tags(stores, text) or [text]:
            chosen.append(_one(stores, ref, find, wanted))
    return chosen


def _tags(stores: Stores, text: str) -> list[str]:
    parsed = parse_any(text)
    if isinstance(parsed, str) or parsed.tag is not None or parsed.digest is not None:
        return []
    return [str(ref) for ref in stores.images.names_in(parsed.name)]


def _one(stores: Stores, text: str, find: Find, wanted: Platform | None) -> Wanted:
    try:
        image, name = find(text)
    except NotFound:
        shown = parse_any(text)
        raise NotFound(messages.no_such_image(shown if isinstance(shown, str) else shown.tagged().familiar)) from None
    if name is None:
        return Wanted(image, ())
    named = stores.images.find_named(name)
    if wanted is not None:
        image_id = stores.images.find_name(name, wanted)
        found = stores.images.find(image_id or "")
        if found is None:
            raise NotFound(messages.no_such_platform(name.familiar, str(wanted)))
        return Wanted(found, (name,) if name.digest is None else ())
    return Wanted(image, (name,) if name.digest is None else (), named.target if named is not None else "")


async def stream(stores: Stores, chosen: list[Wanted]) -> AsyncIterator[bytes]:
    """The archive. A lease keeps its blobs until the last byte, whatever is removed meanwhile."""
    lease = await stores.call(stores.leases.acquire, f"save {new_id()[:16]}")
    try:
        digests = {digest for entry in chosen for digest in (*entry.image.blobs(), entry.target) if digest}
        await stores.call(lease.hold, "blob", *digests)
        async for chunk in outflow(stores.threads, lambda write: write_archive(chosen, stores.blobs, write)):
            yield chunk
        for image in {entry.image.id: entry.image for entry in chosen}.values():
            stores.announce("save", image)
    finally:
        await stores.call(lease.release)
