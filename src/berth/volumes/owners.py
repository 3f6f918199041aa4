"""Owners of what is in volumes, where no mount shows them through a container's id map (``--userns-remap``).

<name>/_data    what is in it       <name>/ids    the map that its owners went through; none: they are the containers' own

They are moved when a container takes the volume that nobody else uses; who comes later finds them as they are.
"""

from __future__ import annotations

import asyncio
import logging

from berth.base.locks import KeyedLocks
from berth.snapshots.shift import Shift
from berth.snapshots.shifted import wear, worn

log = logging.getLogger("berth.volumes")


class VolumeOwners:
    """Keys are the volumes' directories, the parents of ``_data``."""

    def __init__(self) -> None:
        self._locks = KeyedLocks()
        self._users: dict[str, set[str]] = {}

    async def take(self, directory: str, user: str, shift: Shift | None) -> None:
        """After: the owners are those that ``shift`` leads to, unless somebody else uses the volume with others.

        Raises: ResourceExhausted and other kinds of OSError.
        """
        async with self._locks.hold(directory):
            if worn(directory) != shift:
                if self._users.get(directory, set()) - {user}:
                    log.warning("volume %s is in use with other ids: %s finds them as they are", directory, user)
                else:
                    await asyncio.to_thread(wear, directory, shift, "_data")
            self.keep(directory, user)

    def keep(self, directory: str, user: str) -> None:
        """``user`` has it already."""
        self._users.setdefault(directory, set()).add(user)

    def give_back(self, directory: str, user: str) -> None:
        """Nothing happens when ``user`` has not taken it."""
        users = self._users.get(directory, set())
        users.discard(user)
        if not users:
            self._users.pop(directory, None)
