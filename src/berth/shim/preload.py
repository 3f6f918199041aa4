"""What a shim may need, imported once in the zygote; afterwards every import is refused.

After pivot_root the files are another system's, after an upgrade another version's: a late import would load those.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from berth.kernel.process import give_back_free_memory, last_capability

MODULES = (
    "array", "binascii", "codecs", "ctypes", "encodings.ascii", "encodings.latin_1", "encodings.utf_8", "errno", "fcntl",
    "functools", "gc", "json", "json.decoder", "json.encoder", "os", "posixpath", "resource", "select", "signal", "socket",
    "stat", "struct", "termios", "time",
    "berth.base.clock", "berth.base.errors", "berth.kernel.cgroups", "berth.kernel.cgroups.systemd",
    "berth.kernel.cgroups.v1", "berth.kernel.cgroups.v2", "berth.kernel.files", "berth.kernel.idmap",
    "berth.kernel.idmapped_overlay",
    "berth.kernel.libc", "berth.kernel.lsm", "berth.kernel.mount",
    "berth.kernel.process", "berth.kernel.seccomp.compiler", "berth.kernel.tty", "berth.logs.drivers.json_file",
    "berth.logs.writer", "berth.netd.main", "berth.oci.copyup", "berth.oci.devices", "berth.oci.driven.container",
    "berth.oci.hooks", "berth.oci.host_tree",
    "berth.oci.init", "berth.oci.labels", "berth.oci.launch", "berth.oci.mounts", "berth.oci.namespaces",
    "berth.oci.notify", "berth.oci.process",
    "berth.oci.rootfs", "berth.oci.sources", "berth.oci.stage", "berth.oci.sysctl", "berth.oci.tuning",
    "berth.oci.users", "berth.shim.conn", "berth.shim.loop",
    "berth.shim.main", "berth.shim.pipes", "berth.shim.records", "berth.shim.runtimes", "berth.shim.streams",
    "berth.spec.capabilities", "berth.spec.shim",
)  # fmt: skip


class ImportSealed(ImportError):
    """A module was asked for that the preload list lacks."""


class _Seal:
    """A meta path finder that refuses."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        raise ImportSealed(f"imports are sealed: {name} is not preloaded")


def preload() -> None:
    """Import everything. Raises: ImportError naming the module."""
    for name in MODULES:
        __import__(name)
    import ctypes
    import time

    from berth.kernel.seccomp.compiler import compile_default
    from berth.spec.capabilities import DEFAULT_CAPABILITIES

    compile_default(frozenset(DEFAULT_CAPABILITIES))
    last_capability()
    ctypes.create_string_buffer(8)
    time.strftime("%Y")


def seal() -> None:
    """Refuse every later import of a module that is not loaded."""
    finders: list[Any] = sys.meta_path
    finders[:] = [_Seal]
    sys.path[:] = []


_BLOCK, _LARGEST, _POOL, _POOL_HEAD = 16, 512, 16384, 48


def settle() -> list[object]:
    """Make this process's memory a good one to fork from; returns what has to be kept for that."""
    gc.collect()
    gc.freeze()
    fillers = _fill_holes()
    give_back_free_memory()  # a third of the heap after the imports: pages that each fork would have to copy the table of
    return fillers


def _fill_holes() -> list[object]:
    """Use up what CPython's small-object pools have free, so that a fork's new objects lie together on pages of their own.

    Else each falls into a hole on a page that it would have shared with the zygote. Returns what fills them, to be kept.
    """
    kept: list[object] = []
    for size in range(2 * _BLOCK, _LARGEST + 1, _BLOCK):
        length = size - sys.getsizeof(b"")
        for number in range(_LARGEST * 16):
            filler: object = bytes(length) if length > 0 else number + (1 << 20)
            if id(filler) % _POOL == _POOL_HEAD:  # the first of a new pool: there is no hole any more
                break
            kept.append(filler)
    return kept
