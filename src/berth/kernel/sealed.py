"""A copy of the running interpreter that nobody can write: what containers find at ``/proc/<pid>/exe``.

CVE-2019-5736: a container that got its runtime to execute ``/proc/self/exe`` inside it, or looked at the link of a process that
joined it, held the host's program in its hands. From a sealed memfd there is nothing to overwrite, by whatever privilege.
"""

from __future__ import annotations

import fcntl
import os
import sys

TYPE_CHECKING = (
    False  # not typing's: this is the first thing that berth-runtime imports, and typing costs as much as Python
)
if TYPE_CHECKING:
    from collections.abc import Sequence

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed_interpreter() -> int:
    """A descriptor of the copy (close-on-exec). Raises: OSError where that is impossible."""
    fd = os.memfd_create("berth-python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(os.path.realpath(sys.executable), "rb") as source:
            size = os.fstat(source.fileno()).st_size
            sent = 0
            while sent < size:
                sent += os.sendfile(fd, source.fileno(), sent, size - sent)
        os.fchmod(fd, 0o500)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def runs_sealed() -> bool:
    """Whether this process was started from such a copy."""
    fd = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError:  # no memfd
        return False
    finally:
        os.close(fd)


def run_sealed(module: str, argv: Sequence[str]) -> None:
    """Become ``module``'s ``main(argv)`` in a sealed interpreter, same process; returns when it runs in one already.

    Raises: OSError.
    """
    if runs_sealed():
        return
    top = module.partition(".")[0]
    home = os.path.dirname(os.path.dirname(os.path.abspath(sys.modules[top].__file__ or "")))
    code = f"import sys; sys.path.insert(0, {home!r}); from {module} import main; sys.exit(main(sys.argv[1:]))"
    sys.stdout.flush()
    fd = sealed_interpreter()
    os.execve(fd, [sys.executable, "-I", "-S", "-c", code, *argv], os.environ)
