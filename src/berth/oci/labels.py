"""``process.apparmorProfile`` and ``process.selinuxLabel``: the label that the program gets by its execve.

The attribute is opened through a procfs of our own while the host's tree is still there, and written last.
Spec: OCI runtime-spec 1.2 config.md "Linux Process".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from berth.base.errors import Unsupported, from_oserror
from berth.kernel import lsm
from berth.kernel.mount import new_filesystem


class Label(NamedTuple):
    fd: int
    text: bytes


def asked(process: Mapping[str, Any]) -> bool:
    return bool(process.get("apparmorProfile") or process.get("selinuxLabel"))


def open_attribute(process: Mapping[str, Any]) -> Label | None:
    """Raises: Unsupported where the host has no such module."""
    profile, label = str(process.get("apparmorProfile") or ""), str(process.get("selinuxLabel") or "")
    if label and not lsm.has_selinux():
        raise Unsupported(
            "selinux label is specified in config, but selinux is disabled or not supported", op="selinux"
        )
    if profile and not lsm.has_apparmor():
        if profile == "unconfined":
            return None
        raise Unsupported("apparmor: config provided but apparmor not supported", op="apparmor")
    module, text = ("selinux", label.encode()) if label else ("apparmor", f"exec {profile}".encode())
    proc_fd = new_filesystem("proc")
    try:
        return Label(lsm.open_exec_attribute(proc_fd, module), text)
    except OSError as err:
        raise from_oserror(err, f"open the {module} attribute of the process", op=module) from err
    finally:
        os.close(proc_fd)


def apply(label: Label) -> None:
    """Raises: NotFound (no such profile), Forbidden, ..."""
    try:
        os.write(label.fd, label.text)
    except OSError as err:
        raise from_oserror(err, f"apply the label {label.text.decode()!r}", op="lsm") from err
    finally:
        os.close(label.fd)
