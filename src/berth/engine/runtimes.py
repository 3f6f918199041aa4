"""Which OCI runtime runs a container: ours, or another one's program that the shim drives.

``berth`` is ours. ``runc`` and ``crun`` are known where this machine has them; ``--add-runtime`` registers more, or others under
these names. Docker's own default name, ``runc``, means ours where there is no runc, and so does containerd's word for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

from berth.base.errors import InvalidArgument
from berth.spec.shim import RuntimeProgram

OWN = "berth"
_WELL_KNOWN = ("runc", "crun")
_OUR_ALIASES = frozenset({OWN, "runc", "io.containerd.runc.v2"})
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Runtimes:
    """The table, and the name that a container gets which asks for none."""

    def __init__(self, registered: Mapping[str, Mapping[str, Any]], default: str) -> None:
        """Raises: InvalidArgument in dockerd's words."""
        self._programs: dict[str, RuntimeProgram] = {}
        self.default = OWN
        self.reload(registered, default)

    def reload(self, registered: Mapping[str, Mapping[str, Any]], default: str) -> None:
        """Other runtimes from now on; a running container keeps its own. Raises: InvalidArgument, nothing is changed then."""
        programs = {name: _program(name, path) for name in _WELL_KNOWN if (path := shutil.which(name, path=_PATH))}
        for name, entry in registered.items():
            if name == OWN:
                raise InvalidArgument(f"runtime name '{OWN}' is reserved")
            programs[name] = _program(name, str(entry["path"]), [str(a) for a in entry.get("runtimeArgs") or ()])
        if default not in programs and default not in _OUR_ALIASES:
            raise InvalidArgument(f"specified default runtime '{default}' does not exist")
        self._programs, self.default = programs, default

    def program(self, name: str) -> RuntimeProgram | None:
        """What runs a container that asks for ``name``; None is our own. Raises: InvalidArgument."""
        found = self._programs.get(name or self.default)
        if found is None and (name or self.default) not in _OUR_ALIASES:
            raise InvalidArgument(f"unknown or invalid runtime name: {name}")
        return found

    def render(self) -> dict[str, dict[str, Any]]:
        """``Runtimes`` of ``info``."""
        shown: dict[str, dict[str, Any]] = {OWN: {"path": "berth-runtime"}}
        for name, program in sorted(self._programs.items()):
            shown[name] = {"path": program["path"], **({"runtimeArgs": program["args"]} if program["args"] else {})}
        return shown


def _program(name: str, path: str, args: list[str] | None = None) -> RuntimeProgram:
    """A bare name is looked up once; a path that leads nowhere is told by the container's start."""
    found = path if os.path.isabs(path) else shutil.which(path, path=_PATH)
    return {"name": name, "path": found or path, "args": args or []}
