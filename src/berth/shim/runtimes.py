"""What makes a container's processes: our own runtime, in this process's children, or another's program (crun, runc).

The shim asks one of the two for everything that differs; streams, log and records are the same for both.

    Own      the parked init becomes the container; its group is the one that it parked in
    Another  a program makes the container in the parked init's network, which is let go then; the group is the program's
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from berth.base.errors import NotFound
from berth.kernel import cgroups
from berth.kernel.cgroups import Cgroup
from berth.oci import launch
from berth.oci.document import Document
from berth.oci.driven.container import Driven

Init = launch.InitHandle | Driven
"""``pid`` and ``pidfd`` are of a child of ours; the shim reaps it and closes the descriptor."""
Process = tuple[int, int, int]
"""Pid, pidfd, the terminal's master or -1."""


class Container(Protocol):
    """What was created."""

    @property
    def init(self) -> Init: ...

    def signal(self, number: int) -> None:
        """To its init. Raises: NotFound when that has ended."""

    def exec_process(self, process: Mapping[str, Any], stdio: Sequence[int], *, rows: int, cols: int) -> Process: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def update(self, resources: Mapping[str, Any]) -> list[str]:
        """Other limits from now on; returns warnings."""

    def remove(self) -> None:
        """What lies beside the group and the shim's own files. Never raises."""


class Own:
    """A container of ours."""

    def __init__(self, init: launch.InitHandle, cgroup: Cgroup, config: Document) -> None:
        self.init = init
        self._cgroup = cgroup
        self._config = config

    def signal(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self.init.pidfd, number)
        except ProcessLookupError:
            raise NotFound("the container's process has ended") from None

    def exec_process(self, process: Mapping[str, Any], stdio: Sequence[int], *, rows: int, cols: int) -> Process:
        return launch.exec_process(
            self.init.pidfd, self._cgroup, self._config.linux, process, stdio, rows=rows, cols=cols
        )

    def pause(self) -> None:
        self._cgroup.freeze()

    def resume(self) -> None:
        self._cgroup.thaw()

    def update(self, resources: Mapping[str, Any]) -> list[str]:
        return self._cgroup.apply(resources)

    def remove(self) -> None:
        return


class Another:
    """A container of another runtime's."""

    def __init__(self, request: Mapping[str, Any], container_id: str, folder: str) -> None:
        self._request = request
        self.init = Driven(request["runtime"], container_id, folder, systemd=request["cgroup"]["systemd"])
        self.signal = self.init.signal
        self.exec_process = self.init.exec_process
        self.pause, self.resume = self.init.pause, self.init.resume
        self.update, self.remove = self.init.update, self.init.remove

    def create(self, parked: launch.InitHandle, spec: Mapping[str, Any], stdio: list[int], *, init_path: str) -> int:
        """In the network of the parked init, which ends; returns the terminal's master or -1.

        Raises: the kind of what failed; the parked init then lives.
        """
        size = self._request["stdio"]
        master = self.init.create(
            spec, self._request["rootfs"], stdio, netns=f"/proc/{parked.pid}/ns/net", rows=size["rows"],
            cols=size["cols"], cgroups_path=_path_of(self._request["cgroup"]), init_path=init_path,
        )  # fmt: skip
        parked.kill()
        os.waitpid(parked.pid, 0)
        parked.close()
        return master


def group_of_another(place: Mapping[str, Any]) -> Cgroup:
    """The group that another runtime makes. Raises: OSError, BerthError."""
    return cgroups.open_group(_path_of(place), systemd=place["systemd"])


def _path_of(place: Mapping[str, Any]) -> str:
    """``linux.cgroupsPath`` for another runtime."""
    if place["systemd"]:
        prefix, _, rest = place["name"].rpartition("-")
        return f"{place['parent']}:{prefix}:{rest}"
    return f"/{place['parent'].strip('/')}/{place['name']}"
