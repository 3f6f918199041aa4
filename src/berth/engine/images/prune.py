"""``image prune``: images that nobody uses and what they held, and, where no filter chooses among images, what pulls that failed
left for their next try."""

from __future__ import annotations

import logging
from collections.abc import Callable

from berth.base.errors import Conflict
from berth.engine.images import filters as rules
from berth.engine.images.filters import Filters
from berth.engine.images.remove import Removal, Users
from berth.engine.images.stores import Stores
from berth.images.store import Image
from berth.spec.api.images import ImageDeleteResponseItem

log = logging.getLogger("berth.images")


async def prune(
    stores: Stores, filters: Filters, *, users: Users, find: Callable[[str], Image], moment: Callable[[str], int]
) -> tuple[list[ImageDeleteResponseItem], int]:
    """Dangling images (with ``dangling=false`` all that no container uses): what was done, and the bytes that came free.

    Raises: InvalidArgument.
    """
    rules.check_names(filters, rules.PRUNE)
    dangling = rules.boolean(filters, "dangling", True)
    tests = rules.tests(filters, find, moment)
    before = await stores.call(stores.disk_bytes)
    removal = Removal(stores, users)
    async with stores.change:
        for image in stores.images.all():
            if users(image.id) or not all(test(image) for test in tests):
                continue
            if dangling and any(name.digest is None for name in stores.images.names_of(image.id)):
                continue
            try:
                await removal.by_id(image, force=True)
            except Conflict as err:  # a container was made of it meanwhile
                log.info("prune passes over %s: %s", image.id, err)
    if not tests:
        await stores.call(lambda: stores.blobs.drop_ingests(stores.leases.drop_idle()))
    await stores.collect()
    freed = max(0, before - await stores.call(stores.disk_bytes))
    stores.publish("image", "prune", "", {"reclaimed": str(freed)})
    return removal.records, freed
