"""Phases of a container and which verb may meet which.

created ──start──▶ running ──exit──▶ exited ──start──▶ running
                      │ pause/unpause    │
                    paused           restarting ──delay──▶ running
any but running ──remove──▶ removing ──▶ (gone)        removing that failed ──▶ dead
"""

from __future__ import annotations

from berth.base.errors import Conflict, NotModified
from berth.engine.containers.record import Container

PHASES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")


def check_start(container: Container) -> None:
    """Raises: NotModified (it runs), Conflict (paused, being removed)."""
    phase = container.row.phase
    if phase == "running":
        raise NotModified("container is already running")
    if phase == "paused":
        raise Conflict("cannot start a paused container, try unpause instead")
    if phase in ("removing", "dead"):
        raise Conflict("container is marked for removal and cannot be started")


def check_running(container: Container, verb: str) -> None:
    """Raises: Conflict when there is no process to ``verb``."""
    if not container.running:
        raise Conflict(f"cannot {verb} container: {container.id}: container {container.id} is not running")


def check_not_paused(container: Container) -> None:
    """Raises: Conflict for an exec or attach into a paused container."""
    if container.row.phase == "paused":
        raise Conflict(f"Container {container.name} is paused, unpause the container before exec")
