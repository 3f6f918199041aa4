"""The local volume driver.

<data-root>/volumes/           0701
  <name>/_data/                0755 (or as the image's directory, copied up at first use)
"""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import Any

from berth.base.clock import now_ns, rfc3339
from berth.base.errors import InvalidArgument, NotFound, from_oserror
from berth.base.ids import new_id
from berth.base.layout import Layout
from berth.db.database import Database

ANONYMOUS = "com.docker.volume.anonymous"
"""The label of a volume that nobody gave a name."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class VolumeStore:
    """Memory holds every row; the table is the truth after a restart."""

    def __init__(self, layout: Layout, db: Database) -> None:
        self._layout = layout
        self._db = db
        self._rows: dict[str, dict[str, Any]] = {}

    def open(self) -> None:
        os.makedirs(self._layout.volumes, 0o701, exist_ok=True)
        rows = self._db.read_sync(lambda conn: conn.execute("SELECT name, doc FROM volumes").fetchall())
        self._rows = {name: json.loads(doc) for name, doc in rows}

    def path(self, name: str) -> str:
        return os.path.join(self._layout.volumes, name, "_data")

    def get(self, name: str) -> dict[str, Any]:
        """The row. Raises: NotFound."""
        row = self._rows.get(name)
        if row is None:
            raise NotFound(f"get {name}: no such volume")
        return row

    def list_(self) -> list[str]:
        return sorted(self._rows)

    async def ensure(self, name: str, *, labels: dict[str, str] | None = None) -> tuple[str, bool]:
        """The directory of a named volume, made when it is new (second value True).

        Raises: InvalidArgument (a bad name), ResourceExhausted.
        """
        if name in self._rows:
            return self.path(name), False
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
            os.makedirs(self.path(name), 0o755, exist_ok=True)
            os.chmod(os.path.dirname(self.path(name)), 0o701)
        except OSError as err:
            raise from_oserror(err, f"create volume {name}") from err
        row: dict[str, Any] = {"created": rfc3339(now_ns()), "labels": labels or {}}
        await self._db.write(
            lambda conn: conn.execute("INSERT OR REPLACE INTO volumes VALUES (?, ?)", (name, json.dumps(row))),
            durable=True,
        )
        self._rows[name] = row
        return self.path(name), True

    async def ensure_anonymous(self) -> tuple[str, str]:
        """A fresh volume with a random name: (name, directory)."""
        name = new_id()
        path, _ = await self.ensure(name, labels={ANONYMOUS: ""})
        return name, path

    async def remove(self, name: str) -> None:
        """The row first, then the files; a missing volume is no error."""
        if self._rows.pop(name, None) is None:
            return
        await self._db.write(lambda conn: conn.execute("DELETE FROM volumes WHERE name = ?", (name,)))
        shutil.rmtree(os.path.join(self._layout.volumes, name), ignore_errors=True)
