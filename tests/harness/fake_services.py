"""A fake engine behind the real API: records what is asked, answers what a test put in, streams that echo.

    with ApiServer(FakeServices(), uvloop=True) as server:
        socket = server.connect()

``ApiServer`` runs the API's own loop in a thread, on a unix socket and on TCP, so that tests use plain blocking sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from berth.api.app import App, Server
from berth.api.services import AttachPlan, Filters, LogQuery, LogStream, ProgressSink, Services, WaitResult
from berth.base.errors import BerthError, InvalidArgument, NotFound
from berth.spec import messages

ID = "ab" * 32
EXEC_ID = "cd" * 32


class EchoSession:
    """What attach and exec start connect to: sends back what comes (early bytes first), framed unless ``tty``."""

    def __init__(self, calls: list[tuple[Any, ...]], tty: bool) -> None:
        self._calls = calls
        self._tty = tty
        self.task: asyncio.Task[None] | None = None

    @property
    def tty(self) -> bool:
        return self._tty

    async def connect(self, client: socket.socket, early: bytes) -> None:
        self._calls.append(("connect", early))
        self.task = asyncio.get_running_loop().create_task(self._echo(client, early))

    async def _echo(self, client: socket.socket, early: bytes) -> None:
        loop = asyncio.get_running_loop()
        client.setblocking(False)
        try:
            chunk = early
            while True:
                if chunk:
                    await loop.sock_sendall(
                        client, chunk if self._tty else struct.pack(">BxxxI", 1, len(chunk)) + chunk
                    )
                chunk = await loop.sock_recv(client, 65536)
                if not chunk:
                    break
            await loop.sock_sendall(client, b"bye" if self._tty else struct.pack(">BxxxI", 2, 3) + b"bye")
        except OSError:
            self._calls.append(("echo failed",))
        finally:
            client.close()

    async def finished(self) -> None:
        if self.task is not None:
            await self.task

    def abandon(self) -> None:
        self._calls.append(("abandon",))


class FakeWaiter:
    def __init__(self, calls: list[tuple[Any, ...]], answer: asyncio.Future[WaitResult]) -> None:
        self._calls = calls
        self._answer = answer

    async def result(self) -> WaitResult:
        return await self._answer

    def cancel(self) -> None:
        self._calls.append(("waiter cancelled",))


class Fake:
    """What the four services share: ``calls`` records (verb, arguments); ``errors[verb]`` is raised by that verb."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.errors: dict[str, Exception] = {}
        self.gate = asyncio.Event()  # verbs that take long wait for it
        self.wait_answer: asyncio.Future[WaitResult] | None = None
        self.tty = False
        self.containers: list[dict[str, Any]] = [summary(n) for n in range(3)]
        self.log_chunks: list[bytes] = [b"\x01\0\0\0\0\0\0\x04one\n", b"\x02\0\0\0\0\0\0\x04two\n"]
        self.endless = False  # logs and events go on for ever
        self.progress: list[dict[str, Any]] = [
            {"status": "Pulling from library/busybox", "id": "latest"},
            {"status": "Pulling fs layer", "progressDetail": {}, "id": "0123456789ab"},
            {"status": "Downloading", "progressDetail": {"current": 10, "total": 20}, "id": "0123456789ab"},
            {"status": "Pull complete", "progressDetail": {}, "id": "0123456789ab"},
            {"status": "Status: Downloaded newer image for busybox:latest"},
        ]
        self.fail_after_progress: BerthError | None = None
        self.uploaded = 0
        self.upload_gate = False  # load waits for ``gate`` before it reads

    def called(self, verb: str, *arguments: Any) -> None:
        self.calls.append((verb, *arguments))
        if verb in self.errors:
            raise self.errors[verb]

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


def summary(n: int) -> dict[str, Any]:
    """An entry of the list, as Docker's client wants it."""
    return {
        "Id": f"{n:064x}", "Names": [f"/name{n}"], "Image": "busybox", "ImageID": "sha256:" + "1" * 64,
        "Command": "sleep 1000", "Created": 1700000000 + n, "Ports": [], "Labels": {}, "State": "running",
        "Status": "Up 3 seconds", "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {}}, "Mounts": [],
    }  # fmt: skip


class FakeContainers:
    def __init__(self, fake: Fake) -> None:
        self._fake = fake
        self._encoded = b""

    async def create(self, body: dict[str, Any], name: str | None, platform: str | None) -> Any:
        self._fake.called("create", body, name, platform)
        return {"Id": ID, "Warnings": []}

    async def list_(self, *, all_: bool, limit: int | None, size: bool, filters: Filters) -> Any:
        self._fake.called("list", all_, limit, size, filters)
        return [{**c, "SizeRw": 1, "SizeRootFs": 2} for c in self._fake.containers]

    async def list_encoded(self, *, all_: bool, limit: int | None, filters: Filters) -> bytes:
        import msgspec

        self._fake.called("list_encoded", all_, limit, filters)
        return b"[" + b",".join(msgspec.json.encode(c) for c in self._fake.containers) + b"]"

    async def inspect(self, ref: str, *, size: bool) -> Any:
        self._fake.called("inspect", ref, size)
        if ref == "nobody":
            raise NotFound(messages.no_such_container(ref))
        return {
            "Id": ID, "Name": "/" + ref, "Config": {"Tty": self._fake.tty, "Image": "busybox"},
            "State": {"Status": "running", "Running": True}, "HostConfig": {"LogConfig": {"Type": "json-file"}},
        }  # fmt: skip

    async def start(self, ref: str, *, detach_keys: str | None) -> None:
        self._fake.called("start", ref, detach_keys)

    async def stop(self, ref: str, *, timeout_s: int | None, signal: str | None) -> None:
        self._fake.called("stop", ref, timeout_s, signal)
        await self._fake.gate.wait()
        self._fake.calls.append(("stopped", ref))

    async def restart(self, ref: str, *, timeout_s: int | None, signal: str | None) -> None:
        self._fake.called("restart", ref, timeout_s, signal)

    async def kill(self, ref: str, *, signal: str | None) -> None:
        self._fake.called("kill", ref, signal)

    async def pause(self, ref: str) -> None:
        self._fake.called("pause", ref)

    async def unpause(self, ref: str) -> None:
        self._fake.called("unpause", ref)

    async def rename(self, ref: str, new_name: str) -> None:
        self._fake.called("rename", ref, new_name)

    async def update(self, ref: str, body: dict[str, Any]) -> Any:
        self._fake.called("update", ref, body)
        return {"Warnings": []}

    async def top(self, ref: str, ps_args: str) -> Any:
        self._fake.called("top", ref, ps_args)
        return {"Titles": ["PID"], "Processes": [["1"]]}

    async def wait(self, ref: str, condition: str) -> FakeWaiter:
        self._fake.called("wait", ref, condition)
        self._fake.wait_answer = asyncio.get_running_loop().create_future()
        return FakeWaiter(self._fake.calls, self._fake.wait_answer)

    async def attach(self, ref: str, plan: AttachPlan) -> EchoSession:
        self._fake.called("attach", ref, plan)
        return EchoSession(self._fake.calls, self._fake.tty)

    async def logs(self, ref: str, query: LogQuery) -> LogStream:
        self._fake.called("logs", ref, query)

        async def chunks() -> AsyncIterator[bytes]:
            try:
                for chunk in self._fake.log_chunks:
                    yield chunk
                while self._fake.endless:
                    yield b"\x01\0\0\0\0\x01\0\0" + b"x" * 65536
                    await asyncio.sleep(0)
            finally:
                self._fake.calls.append(("logs closed",))

        return LogStream(self._fake.tty, chunks())

    async def stats(self, ref: str, *, stream: bool, one_shot: bool) -> AsyncIterator[Any]:
        self._fake.called("stats", ref, stream, one_shot)

        async def samples() -> AsyncIterator[Any]:
            yield {"name": "/" + ref, "id": ID}

        return samples()

    async def changes(self, ref: str) -> Any:
        self._fake.called("changes", ref)
        return [{"Path": "/etc", "Kind": 0}]

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        self._fake.called("export", ref)

        async def pieces() -> AsyncIterator[bytes]:
            yield b"tar"

        return pieces()

    async def resize(self, ref: str, *, rows: int, cols: int) -> None:
        self._fake.called("resize", ref, rows, cols)

    async def remove(self, ref: str, *, force: bool, volumes: bool, link: bool) -> None:
        self._fake.called("remove", ref, force, volumes, link)

    async def prune(self, filters: Filters) -> dict[str, Any]:
        self._fake.called("prune", filters)
        return {"ContainersDeleted": [], "SpaceReclaimed": 0}

    async def exec_create(self, ref: str, body: dict[str, Any]) -> str:
        self._fake.called("exec_create", ref, body)
        return EXEC_ID

    async def exec_start(self, exec_id: str, body: dict[str, Any]) -> EchoSession | None:
        self._fake.called("exec_start", exec_id, body)
        return None if body.get("Detach") else EchoSession(self._fake.calls, self._fake.tty)

    async def exec_resize(self, exec_id: str, *, rows: int, cols: int) -> None:
        self._fake.called("exec_resize", exec_id, rows, cols)

    async def exec_kill(self, exec_id: str, *, signal: str | None) -> None:
        self._fake.called("exec_kill", exec_id, signal)

    async def exec_inspect(self, exec_id: str) -> dict[str, Any]:
        self._fake.called("exec_inspect", exec_id)
        return {"ID": exec_id, "Running": False, "ExitCode": 0, "ContainerID": ID}


class FakeImages:
    def __init__(self, fake: Fake) -> None:
        self._fake = fake

    async def _report(self, progress: ProgressSink) -> None:
        for message in self._fake.progress:
            progress(message)
            await asyncio.sleep(0)
        if self._fake.fail_after_progress is not None:
            raise self._fake.fail_after_progress

    async def pull(
        self, ref: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: ProgressSink
    ) -> None:
        self._fake.called("pull", ref, platform, auth)
        await self._report(progress)
        if ref == "slow:latest":
            await self._fake.gate.wait()
        self._fake.calls.append(("pulled",))

    async def import_(
        self, source: AsyncIterator[bytes], *, repo: str | None, tag: str | None, message: str, changes: list[str],
        platform: str | None, progress: ProgressSink,
    ) -> None:  # fmt: skip
        self._fake.called("import", repo, tag, message, changes, platform)
        await self._read(source)
        progress({"status": "sha256:" + "2" * 64})

    async def load(
        self, source: AsyncIterator[bytes], *, quiet: bool, platform: str | None, progress: ProgressSink
    ) -> None:
        self._fake.called("load", quiet)
        if self._fake.upload_gate:
            await self._fake.gate.wait()
        await self._read(source)
        progress({"stream": "Loaded image: busybox:latest\n"})

    async def _read(self, source: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in source:
                self._fake.uploaded += len(chunk)
        except BaseException as err:
            self._fake.calls.append(("upload failed", type(err).__name__))
            raise

    async def list_(
        self, *, all_: bool, digests: bool, filters: Filters, shared_size: bool = False, manifests: bool = False
    ) -> Any:
        self._fake.called("images", all_, digests, filters)
        return [
            {"Id": "sha256:" + "1" * 64, "ParentId": "", "RepoTags": ["busybox:latest"], "RepoDigests": [],
             "Created": 1700000000, "Size": 1000, "SharedSize": -1, "Labels": {}, "Containers": -1}
        ]  # fmt: skip

    async def inspect(self, ref: str) -> Any:
        self._fake.called("image_inspect", ref)
        return {"Id": "sha256:" + "1" * 64, "RepoTags": [ref]}

    async def history(self, ref: str) -> Any:
        self._fake.called("history", ref)
        return []

    async def tag(self, ref: str, repo: str, tag: str) -> None:
        self._fake.called("tag", ref, repo, tag)

    async def remove(self, ref: str, *, force: bool, prune: bool) -> Any:
        self._fake.called("image_remove", ref, force, prune)
        return [{"Untagged": ref}]


class FakeNetworks:
    def __init__(self, fake: Fake) -> None:
        self._fake = fake

    async def list_(self, filters: Filters) -> Any:
        self._fake.called("networks", filters)
        return [
            {"Id": "3" * 64, "Name": "bridge", "Driver": "bridge", "Scope": "local", "Created": "2026-01-01T00:00:00Z"}
        ]

    async def inspect(self, ref: str) -> Any:
        self._fake.called("network_inspect", ref)
        return {"Id": "3" * 64, "Name": ref}


class FakeSystem:
    def __init__(self, fake: Fake) -> None:
        self._fake = fake

    async def version(self) -> Any:
        self._fake.called("version")
        return {
            "Platform": {"Name": "Berth"}, "Version": "0.test", "ApiVersion": "1.51", "MinAPIVersion": "1.24",
            "Os": "linux", "Arch": "amd64", "KernelVersion": "6", "GoVersion": "python", "GitCommit": "",
            "BuildTime": "", "Components": [{"Name": "Engine", "Version": "0.test", "Details": {}}],
        }  # fmt: skip

    async def info(self) -> Any:
        self._fake.called("info")
        return {
            "ID": "fake", "Containers": 3, "ContainersRunning": 3, "Images": 1, "Driver": "overlay2", "Name": "fakehost",
            "ServerVersion": "0.test", "OSType": "linux", "Architecture": "x86_64", "NCPU": 2, "MemTotal": 1 << 30,
            "DockerRootDir": "/nowhere", "RegistryConfig": None, "Warnings": None,
            "Plugins": {"Volume": ["local"], "Network": ["bridge"], "Authorization": None, "Log": ["json-file"]},
            "Swarm": {"LocalNodeState": "inactive"},
        }  # fmt: skip

    async def events(self, *, since_ns: int | None, until_ns: int | None, filters: Filters) -> AsyncIterator[Any]:
        self._fake.called("events", since_ns, until_ns, filters)
        try:
            while True:
                yield {
                    "Type": "container", "Action": "start", "Actor": {"ID": ID, "Attributes": {"name": "name1"}},
                    "scope": "local", "time": 1700000000, "timeNano": 1700000000000000000,
                }  # fmt: skip
                if not self._fake.endless:
                    return
                await self._fake.gate.wait()
                self._fake.gate.clear()
        finally:
            self._fake.calls.append(("events closed",))


def fake_services(fake: Fake) -> Services:
    absent: Any = None  # nobody asks these
    return Services(
        FakeContainers(fake), FakeImages(fake), FakeNetworks(fake), FakeSystem(fake),
        disk=absent, registries=absent, volumes=absent,
    )  # fmt: skip


class ApiServer:
    """The API over a fake engine, with a loop of its own in a thread."""

    def __init__(self, *, uvloop: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self._uvloop = uvloop
        self._tls = tls
        self.tls_port = 0
        self._root = tempfile.mkdtemp(prefix="ba", dir="/tmp")
        self.path = f"{self._root}/s"
        self.host = f"unix://{self.path}"
        self.port = 0
        self.servers: list[Server] = []
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self.failure: BaseException | None = None

    def __enter__(self) -> ApiServer:
        self._thread.start()
        assert self._ready.wait(10), "the API's thread did not come up"
        if self.failure is not None:
            raise self.failure
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._end)
        self._thread.join(10)
        shutil.rmtree(self._root, ignore_errors=True)
        assert not self._thread.is_alive(), "the API's thread did not end"

    def _end(self) -> None:
        assert self._stop is not None
        self.fake.gate.set()
        self._stop.set()

    def _main(self) -> None:
        if self._uvloop:
            import uvloop

            runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        else:
            runner = asyncio.Runner()
        with runner:
            try:
                runner.run(self._serve())
            except BaseException as err:
                self.failure = err
                self._ready.set()
                raise

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.fake = Fake()
        self._stop = asyncio.Event()
        app = App(fake_services(self.fake), server_version="0.test", debug=True)
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(self.path)
        unix.listen(128)
        self.servers = [await app.serve(unix), await app.serve(socket.create_server(("127.0.0.1", 0)))]
        if self._tls is not None:
            self.servers.append(await app.serve(socket.create_server(("127.0.0.1", 0)), self._tls))
            self.tls_port = self.servers[2].address[1]
        self.port = self.servers[1].address[1]
        self._ready.set()
        await self._stop.wait()
        for server in self.servers:
            await server.close(1.0)

    # --- for tests

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a plain function in the API's loop and return what it returns."""

        async def run() -> Any:
            return function(*arguments)

        return self.run(run())

    def run(self, work: Coroutine[Any, Any, Any], timeout_s: float = 10.0) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def connect(self, *, tcp: bool = False) -> socket.socket:
        if tcp:
            return socket.create_connection(("127.0.0.1", self.port), timeout=10)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(10)
        sock.connect(self.path)
        return sock


def open_descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


__all__ = ["EXEC_ID", "ID", "ApiServer", "EchoSession", "Fake", "InvalidArgument", "fake_services", "open_descriptors"]
