"""What a shim may need, imported once in the zygote; afterwards every import is refused.

After pivot_root the files are another system's, after an upgrade another version's: a late import would load those.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES = (
    "array", "base64", "codecs", "ctypes", "encodings.ascii", "encodings.idna", "encodings.latin_1", "encodings.utf_8",
    "errno", "fcntl", "functools", "gc", "json", "json.decoder", "json.encoder", "linecache", "os", "platform",
    "posixpath", "pty", "resource", "select", "signal", "socket", "stat", "struct", "subprocess", "termios", "time",
    "traceback",
    "berth.base.clock", "berth.base.errors", "berth.kernel.cgroups", "berth.kernel.cgroups.v1",
    "berth.kernel.cgroups.v2", "berth.kernel.files", "berth.kernel.idmap", "berth.kernel.idmapped_overlay",
    "berth.kernel.libc", "berth.kernel.lsm", "berth.kernel.mount",
    "berth.kernel.process", "berth.kernel.seccomp.compiler", "berth.kernel.tty", "berth.logs.drivers.json_file",
    "berth.logs.writer", "berth.netd.main", "berth.oci.copyup", "berth.oci.devices", "berth.oci.driven.container",
    "berth.oci.hooks", "berth.oci.init", "berth.oci.labels", "berth.oci.launch", "berth.oci.mounts", "berth.oci.namespaces",
    "berth.oci.notify", "berth.oci.process",
    "berth.oci.rootfs", "berth.oci.sources", "berth.oci.stage", "berth.oci.sysctl", "berth.oci.tuning",
    "berth.oci.users", "berth.shim.conn", "berth.shim.loop",
    "berth.shim.main", "berth.shim.records", "berth.shim.streams", "berth.spec.capabilities", "berth.spec.shim",
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
    ctypes.create_string_buffer(8)
    time.strftime("%Y")


def seal() -> None:
    """Refuse every later import of a module that is not loaded."""
    finders: list[Any] = sys.meta_path
    finders[:] = [_Seal]
    sys.path[:] = []
