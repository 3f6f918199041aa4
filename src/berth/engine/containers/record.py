"""A container: its row in the database, and what lives only as long as the daemon.

The row is one JSON document (msgspec), so that a new field needs no migration; ``id``, ``name`` and ``created_ns`` are
columns beside it. Desired facts (config, host_config) are Docker's create body; observed facts are flat fields.
"""

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import msgspec

from berth.base.clock import now_ns
from berth.spec.shim import AttachOptions

if TYPE_CHECKING:
    from berth.networks.service import Endpoint
    from berth.shim_client import Shim


class MountPoint(msgspec.Struct):
    """One mount of the container as inspect shows it, resolved at create."""

    type: str  # bind, volume or tmpfs
    source: str
    destination: str
    rw: bool = True
    name: str = ""
    driver: str = ""
    mode: str = ""
    propagation: str = ""
    options: dict[str, Any] = {}
    anonymous: bool = False


class ContainerRow(msgspec.Struct):
    """Everything that survives the daemon."""

    id: str
    name: str
    created_ns: int
    image_id: str
    image_ref: str
    chain_id: str
    platform: str
    path: str
    args: list[str]
    config: dict[str, Any]
    host_config: dict[str, Any]
    endpoints: dict[str, dict[str, Any]]  # network name → EndpointSettings asked for
    mounts: list[MountPoint] = []
    phase: str = "created"
    pid: int = 0
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    restart_count: int = 0
    stopped_by_user: bool = False
    manifest: dict[str, Any] | None = None  # of the image, as the API describes it
    health: dict[str, Any] | None = None  # State.Health: None before the first start, and where nothing is probed


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ContainerRow).decode


def encode_row(row: ContainerRow) -> bytes:
    return _encode(row)


def decode_row(doc: str | bytes) -> ContainerRow:
    return _decode(doc)


class PendingAttach:
    """A client that attached before the start: handed to the shim with the create message."""

    __slots__ = ("client", "options")

    def __init__(self, client: socket.socket, options: AttachOptions) -> None:
        self.client = client
        self.options = options


class Container:
    """The row plus what is known only while this daemon runs."""

    __slots__ = (
        "delay_s", "endpoints", "execs", "exited", "health_task", "joining", "leaving", "log_finished", "pending", "ports",
        "removal", "restart_task", "row", "shim", "summary", "waiters",
    )  # fmt: skip

    def __init__(self, row: ContainerRow) -> None:
        self.row = row
        self.shim: Shim | None = None
        self.endpoints: list[Endpoint] = []  # one a network, while it runs
        self.ports: dict[str, Any] = {}
        self.pending: list[PendingAttach] = []
        self.joining: set[asyncio.Future[None]] = set()  # attaches that were accepted and are not pending yet
        self.waiters: list[tuple[str, asyncio.Future[tuple[int, str | None]]]] = []
        self.execs: set[str] = set()
        self.exited = asyncio.Event()
        self.log_finished = asyncio.Event()
        self.restart_task: asyncio.Task[None] | None = None
        self.health_task: asyncio.Task[None] | None = None
        self.leaving: asyncio.Task[None] | None = None  # the last run's shim is being let go
        self.delay_s = 0.0
        self.removal: asyncio.Future[None] | None = None
        self.summary: bytes | None = None

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def tty(self) -> bool:
        return bool(self.row.config.get("Tty"))

    @property
    def running(self) -> bool:
        """A process exists (running or paused)."""
        return self.row.phase in ("running", "paused")

    @property
    def auto_remove(self) -> bool:
        return bool(self.row.host_config.get("AutoRemove"))

    @property
    def network_mode(self) -> str:
        mode = str(self.row.host_config.get("NetworkMode") or "default")
        return "bridge" if mode == "default" else mode

    def changed(self) -> None:
        """Forget the cached list entry."""
        self.summary = None

    def ran_for_s(self) -> float:
        ended_ns = self.row.finished_ns if self.row.finished_ns > self.row.started_ns else now_ns()
        return max(0.0, (ended_ns - self.row.started_ns) / 1e9)

    def wake(self, condition: str, code: int, error: str | None) -> None:
        """Answer the waiters of ``condition``."""
        keep = []
        for wanted, future in self.waiters:
            if wanted != condition:
                keep.append((wanted, future))
            elif not future.done():
                future.set_result((code, error))
        self.waiters = keep

    def event_attributes(self, **more: str) -> dict[str, str]:
        """The attributes of an event about this container: labels, image, name and ``more``."""
        return {
            **{str(k): str(v) for k, v in (self.row.config.get("Labels") or {}).items()},
            "image": self.row.image_ref,
            "name": self.row.name,
            **more,
        }
