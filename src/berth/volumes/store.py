"""The local volume driver.

<data-root>/volumes/           0701
  <name>/_data/                0755 (or as the image's directory, copied up at first use); with options: where they are mounted
  <name>/ids                   whose ids its files have, where that are not the containers' (``owners.py``)

A container that is being created is not in anybody's list yet: until it is, its claims say which volumes it uses.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from berth.base.clock import now_ns, rfc3339
from berth.base.errors import InvalidArgument, NotFound, from_oserror
from berth.base.layout import Layout
from berth.base.locks import KeyedLocks
from berth.db.database import Database
from berth.kernel import project_quota
from berth.snapshots.shift import Shift
from berth.snapshots.shifted import worn
from berth.volumes.mounts import VolumeMounts, unmount
from berth.volumes.options import check_options, needs_mount, size_limit
from berth.volumes.owners import VolumeOwners

ANONYMOUS = "com.docker.volume.anonymous"
"""The label of a volume that nobody gave a name."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class VolumeStore:
    """Memory holds every row; the table is the truth after a restart."""

    def __init__(self, layout: Layout, db: Database) -> None:
        self._layout = layout
        self._db = db
        self._rows: dict[str, dict[str, Any]] = {}
        self._locks = KeyedLocks()
        self._claims: dict[str, set[str]] = {}
        self._mounts = VolumeMounts()
        self._owners = VolumeOwners()
        self._quotas = False

    def open(self) -> None:
        os.makedirs(self._layout.volumes, 0o701, exist_ok=True)
        self._quotas = project_quota.supported(self._layout.volumes)
        rows = self._db.read_sync(lambda conn: conn.execute("SELECT name, doc FROM volumes").fetchall())
        self._rows = {name: json.loads(doc) for name, doc in rows}

    def path(self, name: str) -> str:
        return os.path.join(self._dir(name), "_data")

    def _dir(self, name: str) -> str:
        return os.path.join(self._layout.volumes, name)

    def get(self, name: str) -> dict[str, Any]:
        """The row. Raises: NotFound."""
        row = self._rows.get(name)
        if row is None:
            raise NotFound(f"get {name}: no such volume")
        return row

    def list_(self) -> list[str]:
        return sorted(self._rows)

    def options(self, name: str) -> dict[str, str]:
        """Empty without any, and for a volume that there isn't."""
        return self._rows.get(name, {}).get("options") or {}

    def needs_mount(self, name: str) -> bool:
        return needs_mount(self.options(name))

    # --- who uses it ----------------------------------------------------------------------------------------------

    def claim(self, name: str, container_id: str) -> None:
        """Keep the volume, which may not be there yet, for a container that is being created."""
        self._claims.setdefault(name, set()).add(container_id)

    def unclaim(self, container_id: str) -> None:
        """The container is in the list, or will not be."""
        self._claims = {name: rest for name, ids in self._claims.items() if (rest := ids - {container_id})}

    def claims(self, name: str) -> set[str]:
        return self._claims.get(name, set())

    async def take(self, name: str, user: str, shift: Shift | None = None) -> None:
        """Mount it when its options say so and nobody has yet; else its files get the ids of ``shift``, None: their own.

        Raises: as ``VolumeMounts.take`` and ``VolumeOwners.take``.
        """
        if self.needs_mount(name):
            await self._mounts.take(self.path(name), self.options(name), user)
        else:
            await self._owners.take(self._dir(name), user, shift)

    async def adopt(self, name: str, user: str) -> None:
        """As ``take`` for who took it before this daemon started. Raises: as ``VolumeMounts.take``."""
        if self.needs_mount(name):
            await self._mounts.take(self.path(name), self.options(name), user)
        else:
            self._owners.keep(self._dir(name), user)

    async def give_back(self, name: str, user: str) -> None:
        """Unmount it when ``user`` was the last."""
        if self.needs_mount(name):
            await self._mounts.give_back(self.path(name), user)
        else:
            self._owners.give_back(self._dir(name), user)

    def worn(self, name: str) -> Shift | None:
        """The map that the owners of its files went through; None: they are the containers'. Raises: DataLoss."""
        return None if self.needs_mount(name) else worn(self._dir(name))

    @asynccontextmanager
    async def taken(self, names: Sequence[str], user: str, shift: Shift | None) -> AsyncIterator[None]:
        """The volumes are mounted within the block. Raises: as ``take``."""
        try:
            for name in names:
                await self.take(name, user, shift)
            yield
        finally:
            for name in names:
                await self.give_back(name, user)

    async def sweep(self) -> None:
        """Unmount what a dead daemon left mounted. After: those who use volumes have taken them."""
        await self._mounts.sweep([self.path(name) for name in self._rows if self.needs_mount(name)])

    # --- made and removed -----------------------------------------------------------------------------------------

    async def ensure(
        self, name: str, *, labels: Mapping[str, str] | None = None, options: Mapping[str, str] | None = None
    ) -> tuple[str, bool]:
        """The directory of a named volume, made when it is new (second value True); one that is there keeps its options.

        Raises: InvalidArgument (a bad name or option), ResourceExhausted.
        """
        async with self._locks.hold(name):
            if name not in self._rows:
                _check(name, options or {}, quotas=self._quotas)
                await self._make(name, {
                    "created": rfc3339(now_ns()), "labels": dict(labels or {}), "options": dict(options or {}),
                })  # fmt: skip
                return self.path(name), True
            return self.path(name), False

    async def _make(self, name: str, row: dict[str, Any]) -> None:
        try:
            os.makedirs(self.path(name), 0o755, exist_ok=True)
            os.chmod(os.path.dirname(self.path(name)), 0o701)
            if size := size_limit(row["options"]):
                project_quota.limit(self.path(name), size)
        except OSError as err:
            raise from_oserror(err, f"create volume {name}") from err
        await self._db.write(
            lambda conn: conn.execute("INSERT OR REPLACE INTO volumes VALUES (?, ?)", (name, json.dumps(row))),
            durable=True,
        )
        self._rows[name] = row

    async def remove(self, name: str, users: Callable[[], Sequence[str]]) -> Sequence[str]:
        """The row first, then the files; a missing volume is no error.

        ``users`` is asked while nobody else makes or removes the volume; where it has some, nothing is removed and they are
        the answer. Raises: Internal and others (it cannot be unmounted).
        """
        async with self._locks.hold(name):
            if name not in self._rows:
                return ()
            if found := users():
                return found
            if self.needs_mount(name):  # never delete below a mount
                try:
                    await asyncio.to_thread(unmount, self.path(name))
                except OSError as err:
                    raise from_oserror(err, f"remove {name}: unmount") from err
            self._rows.pop(name)
            await self._db.write(lambda conn: conn.execute("DELETE FROM volumes WHERE name = ?", (name,)))
            if self._quotas:
                project_quota.release(self.path(name))
            shutil.rmtree(self._dir(name), ignore_errors=True)
            return ()


def _check(name: str, options: Mapping[str, str], *, quotas: bool) -> None:
    """Raises: InvalidArgument."""
    if len(name) < 2:
        raise InvalidArgument(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    try:
        check_options(options, quotas=quotas)
    except InvalidArgument as err:
        raise InvalidArgument(f"create {name}: {err.message}") from None
