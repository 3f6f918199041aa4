"""The standard streams of a process, as pipes: its ends, and the shim's."""

from __future__ import annotations

import os

from berth.shim.streams import Hub


class Pipes:
    """Standard streams of a process: ours and the child's ends. Without standard input: /dev/null."""

    def __init__(self, *, tty: bool, stdin: bool) -> None:
        self.child: list[int] = []
        self._ours: list[int] = []
        self._tty = tty
        if tty:
            return
        if stdin:
            read, write = os.pipe()
            self.child.append(read)
            self._ours.append(write)
        else:
            self.child.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
            self._ours.append(-1)
        for _ in range(2):
            read, write = os.pipe()
            self.child.append(write)
            self._ours.append(read)

    def hand_to(self, hub: Hub, master: int, *, stdin: bool) -> None:
        if self._tty:
            hub.set_master(master)
            return
        for fd in self.child:
            os.close(fd)
        if self._ours[0] >= 0:
            hub.set_stdin(self._ours[0])
        hub.add_output(self._ours[1], "stdout")
        hub.add_output(self._ours[2], "stderr")

    def close_all(self) -> None:
        for fd in (*self.child, *self._ours):
            if fd >= 0:
                close_quietly(fd)


def close_quietly(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass
