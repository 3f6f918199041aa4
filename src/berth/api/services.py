"""What the API's handlers ask of the engine, as Protocols: the seam between ``api/`` and ``engine/``.

Handlers validate and decode, call one method, encode. They never touch a store, a file or a process.
Every method raises kinds of ``base.errors`` with Docker's sentences; the error table of the API maps kinds to statuses.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from berth.spec.api.container_stats import ContainerStatsResponse
from berth.spec.api.containers import (
    ContainerCreateResponse,
    ContainerInspectResponse,
    ContainerSummary,
    ContainerTopResponse,
    ContainerUpdateResponse,
    FilesystemChange,
)
from berth.spec.api.images import (
    ImageDeleteResponseItem,
    ImageHistoryResponseItem,
    ImageInspect,
    ImageSummary,
)
from berth.spec.api.networks import Network, NetworkCreateResponse
from berth.spec.api.system import EventMessage, SystemInfo, SystemVersion
from berth.spec.api.volumes import Volume, VolumeListResponse
from berth.spec.streams import AttachPlan, CommitRequest, LogQuery, LogStream, PathArchive, PathStat, WaitResult

__all__ = [
    "AttachPlan", "CommitRequest", "Containers", "Filters", "Images", "LogQuery", "LogStream", "Networks", "ProgressSink",
    "Registries", "Services", "Session", "System", "Volumes", "WaitResult", "Waiter",
]  # fmt: skip

Filters = Mapping[str, list[str]]
"""Docker's ``filters`` query decoded: name → values (the legacy map form is already flattened)."""


class Waiter(Protocol):
    """A wait that is registered already (the handler sends its headers first, then awaits the result)."""

    async def result(self) -> WaitResult: ...

    def cancel(self) -> None: ...


class Session(Protocol):
    """A validated attach or exec start: nothing was sent to the client yet."""

    @property
    def tty(self) -> bool:
        """Raw bytes when True, the 8-byte multiplexed framing otherwise."""

    async def connect(self, client: socket.socket, early: bytes) -> None:
        """Hand the hijacked client over. ``client`` is a blocking-agnostic stream socket that the session owns from here
        (a dup of the connection's own for unix and plain TCP, one end of a socketpair that the API pumps for TLS and
        websockets); ``early`` are bytes of standard input that were read already. Returns when the hand-over is done (for an
        exec: when the process was started); the streams go on without the daemon.
        """

    async def finished(self) -> None:
        """Returns when the streams have ended (used where the API pumps bytes itself)."""

    def abandon(self) -> None:
        """The client went away before ``connect``."""


class Containers(Protocol):
    """``/containers`` and ``/exec``. ``ref`` is a name, an id or an unambiguous id prefix."""

    async def create(self, body: dict[str, Any], name: str | None, platform: str | None) -> ContainerCreateResponse:
        """``body`` is the decoded create body (ContainerConfig + HostConfig + NetworkingConfig), already type-checked."""

    async def list_(self, *, all_: bool, limit: int | None, size: bool, filters: Filters) -> list[ContainerSummary]: ...

    async def list_encoded(self, *, all_: bool, limit: int | None, filters: Filters) -> bytes:
        """The same list without sizes as JSON bytes, joined from cached entries."""

    async def inspect(self, ref: str, *, size: bool) -> ContainerInspectResponse: ...

    async def start(self, ref: str, *, detach_keys: str | None) -> None:
        """Raises NotModified when it runs already."""

    async def stop(self, ref: str, *, timeout_s: int | None, signal: str | None) -> None: ...

    async def restart(self, ref: str, *, timeout_s: int | None, signal: str | None) -> None: ...

    async def kill(self, ref: str, *, signal: str | None) -> None: ...

    async def pause(self, ref: str) -> None: ...

    async def unpause(self, ref: str) -> None: ...

    async def rename(self, ref: str, new_name: str) -> None: ...

    async def update(self, ref: str, body: dict[str, Any]) -> ContainerUpdateResponse: ...

    async def top(self, ref: str, ps_args: str) -> ContainerTopResponse: ...

    async def wait(self, ref: str, condition: str) -> Waiter:
        """``condition``: not-running, next-exit or removed."""

    async def attach(self, ref: str, plan: AttachPlan) -> Session: ...

    async def logs(self, ref: str, query: LogQuery) -> LogStream: ...

    async def stats(self, ref: str, *, stream: bool, one_shot: bool) -> AsyncIterator[ContainerStatsResponse]:
        """One message, or one every second. Without both flags it holds two samples, a second apart."""

    async def changes(self, ref: str) -> list[FilesystemChange]: ...

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        """A tar of the root filesystem."""

    async def stat_path(self, ref: str, path: str) -> PathStat: ...

    async def read_path(self, ref: str, path: str) -> PathArchive:
        """A tar of a file or directory; whoever asks closes it."""

    async def write_path(
        self, ref: str, path: str, source: AsyncIterator[bytes], *, keep_kind: bool, as_user: bool
    ) -> None:
        """Unpack a tar into a directory that is there."""

    async def commit(self, wanted: CommitRequest) -> str:
        """The id of the image that it becomes."""

    async def resize(self, ref: str, *, rows: int, cols: int) -> None: ...

    async def remove(self, ref: str, *, force: bool, volumes: bool, link: bool) -> None: ...

    async def prune(self, filters: Filters) -> dict[str, Any]: ...

    async def exec_create(self, ref: str, body: dict[str, Any]) -> str: ...

    async def exec_start(self, exec_id: str, body: dict[str, Any]) -> Session | None:
        """A session to connect, or None when it was started detached."""

    async def exec_resize(self, exec_id: str, *, rows: int, cols: int) -> None: ...

    async def exec_kill(self, exec_id: str, *, signal: str | None) -> None:
        """Berth's own: Docker's API has no word for it."""

    async def exec_inspect(self, exec_id: str) -> dict[str, Any]: ...


class ProgressSink(Protocol):
    """Receives the JSON progress messages of a pull, load or import (docker's jsonmessage stream).

    Keys as docker's clients render them: ``status``, ``id``, ``progressDetail {current,total}``, ``stream``, ``aux``,
    and at the end ``errorDetail``/``error``.
    """

    def __call__(self, message: dict[str, Any]) -> None: ...


class Images(Protocol):
    """``/images``. References are normalised as Docker's (``nginx`` → ``docker.io/library/nginx:latest``)."""

    async def pull(
        self, ref: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: ProgressSink
    ) -> None:
        """Raises NotFound/Unauthorized before the first progress message where the registry says so at once."""

    async def pull_all(
        self, name: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: ProgressSink
    ) -> None:
        """Every tag of a repository."""

    async def push(
        self, name: str, tag: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: ProgressSink
    ) -> None:
        """``tag`` "" pushes every tag of the name that is here."""

    async def import_(
        self, source: AsyncIterator[bytes], *, origin: str, repo: str | None, tag: str | None, message: str,
        changes: list[str], platform: str | None, progress: ProgressSink,
    ) -> None: ...  # fmt: skip

    async def load(
        self, source: AsyncIterator[bytes], *, quiet: bool, platform: str | None, progress: ProgressSink
    ) -> None: ...

    async def save(self, names: list[str], platform: str | None) -> AsyncIterator[bytes]:
        """The archive as a stream. Raises: NotFound before its first byte."""

    async def prune(self, filters: Filters) -> dict[str, Any]: ...

    async def list_(
        self, *, all_: bool, digests: bool, filters: Filters, shared_size: bool = False, manifests: bool = False,
        containers: bool = False,
    ) -> list[ImageSummary]: ...  # fmt: skip

    async def inspect(self, ref: str, platform: str | None) -> ImageInspect: ...

    async def history(self, ref: str, platform: str | None) -> list[ImageHistoryResponseItem]: ...

    async def tag(self, ref: str, repo: str, tag: str) -> None: ...

    async def remove(
        self, ref: str, *, force: bool, prune: bool, platforms: Sequence[str]
    ) -> list[ImageDeleteResponseItem]: ...


class Registries(Protocol):
    """``/auth``, ``/distribution`` and ``/images/search``."""

    async def login(self, auth: Mapping[str, str]) -> dict[str, str]:
        """``{"Status", "IdentityToken"}``. Raises Unauthorized."""

    async def search(
        self, term: str, limit: int, filters: Filters, auth: Mapping[str, str] | None
    ) -> list[dict[str, Any]]: ...

    async def distribution(self, name: str, auth: Mapping[str, str] | None) -> dict[str, Any]: ...

    async def manifest(self, name: str, auth: Mapping[str, str] | None) -> dict[str, Any]: ...

    async def put_list(
        self, name: str, raw: str, sources: Sequence[str], auth: Mapping[str, str] | None
    ) -> dict[str, Any]: ...

    async def tags(self, name: str, auth: Mapping[str, str] | None) -> list[str]: ...

    async def referrers(self, name: str, auth: Mapping[str, str] | None) -> dict[str, Any]: ...

    async def catalog(self, domain: str, auth: Mapping[str, str] | None) -> list[str]: ...


class Networks(Protocol):
    """``/networks``. ``ref`` is a name, an id or an unambiguous id prefix."""

    async def list_(self, filters: Filters) -> list[Network]: ...

    async def inspect(self, ref: str) -> Network: ...

    async def create(self, body: dict[str, Any]) -> NetworkCreateResponse: ...

    async def remove(self, ref: str) -> None: ...

    async def prune(self, filters: Filters) -> dict[str, Any]: ...

    async def connect(self, ref: str, container: str, settings: Mapping[str, Any] | None) -> None: ...

    async def disconnect(self, ref: str, container: str, *, force: bool) -> None: ...


class System(Protocol):
    """``_ping version info events auth``."""

    async def version(self) -> SystemVersion: ...

    async def info(self) -> SystemInfo: ...

    def events(
        self, *, since_ns: int | None, until_ns: int | None, filters: Filters
    ) -> AsyncIterator[EventMessage]: ...


class Volumes(Protocol):
    """``/volumes``."""

    async def list_(self, filters: Filters) -> VolumeListResponse: ...

    async def inspect(self, name: str) -> Volume: ...

    async def create(self, body: Mapping[str, Any]) -> Volume: ...

    async def remove(self, name: str, *, force: bool) -> None: ...

    async def prune(self, filters: Filters, *, named: bool) -> dict[str, Any]:
        """``named``: also those that somebody gave a name."""


class Disk(Protocol):
    """``/system/df``."""

    async def report(self, types: Iterable[str]) -> dict[str, Any]: ...


class Services(NamedTuple):
    """What ``daemon/wiring.py`` hands to the API."""

    containers: Containers
    images: Images
    networks: Networks
    system: System
    disk: Disk
    registries: Registries
    volumes: Volumes
