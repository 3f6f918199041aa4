"""One call of another runtime's program, and what it logged as an error of ours.

Their errors are sentences only: here, at the edge, they become kinds, so that nobody behind it reads them.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence

from berth.base import spawn
from berth.base.errors import BerthError, DeadlineExceeded, Forbidden, Internal, InvalidArgument, NotFound, from_oserror
from berth.spec.shim import RuntimeProgram

PATIENCE_S = 120.0
_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_LAST_BYTES = 65536
_PREFIXES = ("runc create failed: ", "runc run failed: ", "exec failed: ", "unable to start container process: ",
             "error during container init: ", "container_linux.go: ")  # fmt: skip


class Calls:
    """The program with its ``--root`` and its log, both in the folder of one container."""

    def __init__(self, program: RuntimeProgram, folder: str, *, systemd: bool = False) -> None:
        self.name = program["name"]
        self._log = os.path.join(folder, "log")
        self._argv = [program["path"], *program["args"], "--root", os.path.join(folder, "s"), "--log", self._log,
                      "--log-format", "json", *(["--systemd-cgroup"] if systemd else [])]  # fmt: skip

    def call(self, *words: str, stdio: Sequence[int] = ()) -> None:
        """Run ``words`` to their end. Raises: the kind of what the program said, Internal, DeadlineExceeded."""
        _forget(self._log)
        argv = [*self._argv, *words]
        try:
            status = spawn.call(argv, env=_ENV, stdio=stdio, timeout_s=PATIENCE_S)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the runtime {self.name} took longer than {PATIENCE_S:.0f} s to {words[0]}"
            ) from None
        except OSError as err:
            raise from_oserror(err, f"run the runtime {self.name}", path=self._argv[0]) from err
        if status:
            raise _error_of(self._last_error() or f"{self.name} {words[0]} ended with status {status}")
        _forget(self._log)

    def _last_error(self) -> str:
        found = ""
        try:
            with open(self._log, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_BYTES))
                lines = file.read(_LAST_BYTES).splitlines()
        except OSError:
            return ""
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("level") in ("error", "fatal", "panic"):
                found = str(entry.get("msg") or "")
        return found


def _error_of(text: str) -> BerthError:
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    for words in ("No such file or directory", "Permission denied", "Is a directory", "Exec format error"):
        text = text.replace(words, words.lower())  # as Go says it: clients take the exit code from these words
    low = text.lower()
    if "not found in $path" in low:
        return NotFound(text, op="execve", errno=errno.ENOENT)
    if not ("exec" in low or "executable" in low):
        return InvalidArgument(text) if "invalid" in low else Internal(text)
    if "no such file or directory" in low:
        return NotFound(text, op="execve", errno=errno.ENOENT)
    if "is a directory" in low:
        return InvalidArgument(text, op="execve", errno=errno.EISDIR)
    if "exec format error" in low:
        return InvalidArgument(text, op="execve", errno=errno.ENOEXEC)
    if "permission denied" in low:
        return Forbidden(text, op="execve", errno=errno.EACCES)
    return Internal(text, op="execve")


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
