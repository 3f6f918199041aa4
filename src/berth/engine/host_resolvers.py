"""Following the host's resolv.conf: containers that run get what a start would give them now.

A file that somebody inside changed is that container's own from then on. Questions that netd passes on follow by themselves: it
looks at the file before each. What changed while no daemon was there is made up for at its start: the text that containers were
given is kept in the run folder.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence

from berth.engine.containers import network_files
from berth.engine.containers.deps import Deps
from berth.engine.containers.record import Container
from berth.kernel import inotify
from berth.networks import files

log = logging.getLogger("berth.networks")

_CALM_S = 0.1
"""A file is written in pieces, and a link to it replaced before or after it."""


class HostResolvers:
    """Watches from ``start`` to ``stop``."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._text = ""
        self._fds: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """After: those that ran on are known."""
        kept = self._kept()
        self._text = files.host_resolv_conf() if kept is None else kept
        if kept is None:
            self._keep(self._text)
        self._look()
        for directory in files.host_resolv_conf_folders():
            try:
                fd = inotify.watch(directory)
            except OSError as err:
                log.warning("changes of the host's resolvers are not followed: %s", err)
                continue
            self._fds.append(fd)
            asyncio.get_running_loop().add_reader(fd, self._told, fd)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for fd in self._fds:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        self._fds = []

    def _told(self, fd: int) -> None:
        inotify.drain(fd)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_CALM_S, self._look)

    def _look(self) -> None:
        self._timer = None
        before, self._text = self._text, files.host_resolv_conf()
        if self._text != before:
            running = [c for c in self._deps.containers if c.running and not c.network_mode.startswith("container:")]
            self._deps.tasks.start(
                asyncio.to_thread(self._follow, running, before, self._text), "follow the host's resolvers"
            )

    def _follow(self, containers: Sequence[Container], before: str, now: str) -> None:
        for container in containers:
            try:
                network_files.follow_host(self._deps, container, before, now)
            except OSError as err:
                log.warning("resolv.conf of container %s: %s", container.name, err)
        self._keep(now)

    def _kept(self) -> str | None:
        try:
            with open(self._deps.layout.host_resolv_conf, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def _keep(self, text: str) -> None:
        path = self._deps.layout.host_resolv_conf
        with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.rename(f"{path}.new", path)
