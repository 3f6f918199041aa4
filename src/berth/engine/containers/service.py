"""``ContainerService``: the Protocol ``Containers`` of the API's seam, delegating to the verbs.

Verbs that change something run as tasks of the engine: they go to their end even when the client hangs up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from berth.engine.containers import (
    archive,
    commit,
    control,
    create,
    execs,
    filesystem,
    filters,
    remove,
    render,
    start,
    stats,
    stop,
)
from berth.engine.containers.attach import AttachSession, attach
from berth.engine.containers.deps import Deps
from berth.engine.containers.execs import ExecSession
from berth.engine.containers.logs import logs
from berth.engine.containers.record import Container
from berth.engine.containers.wait import ContainerWaiter, wait
from berth.spec.api.container_stats import ContainerStatsResponse
from berth.spec.api.containers import (
    ContainerCreateResponse,
    ContainerInspectResponse,
    ContainerSummary,
    ContainerTopResponse,
    ContainerUpdateResponse,
    FilesystemChange,
)
from berth.spec.signals import parse_signal
from berth.spec.streams import AttachPlan, CommitRequest, LogQuery, LogStream, PathArchive, PathStat

Filters = Mapping[str, list[str]]


class ContainerService:
    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def create(self, body: dict[str, Any], name: str | None, platform: str | None) -> ContainerCreateResponse:
        work = create.create(self._deps, body, name, platform)
        result: ContainerCreateResponse = await self._deps.tasks.run(work, "create")
        return result

    async def list_(self, *, all_: bool, limit: int | None, size: bool, filters: Filters) -> list[ContainerSummary]:
        summaries = []
        for container in self._chosen(all_, limit, filters):
            entry = render.render_summary(self._deps, container)
            if size:
                entry["SizeRw"], entry["SizeRootFs"] = await self._deps.images.rootfs_usage(container.id)
            summaries.append(entry)
        return summaries

    async def list_encoded(self, *, all_: bool, limit: int | None, filters: Filters) -> bytes:
        chosen = self._chosen(all_, limit, filters)
        return b"[" + b",".join([render.encoded_summary(self._deps, c) for c in chosen]) + b"]"

    def _chosen(self, all_: bool, limit: int | None, wanted: Filters) -> list[Container]:
        """Newest first; ``limit`` counts containers of every phase, as Docker's does."""
        index = self._deps.containers
        containers = sorted(index, key=lambda c: c.row.created_ns, reverse=True)
        if wanted:
            filters.check(wanted, self._deps.containers)
            containers = [c for c in containers if filters.fits(c, wanted, index, self._ancestors)]
        if not (all_ or (limit or 0) > 0 or filters.narrows_to_stopped(wanted)):
            containers = [c for c in containers if c.running or c.row.phase == "restarting"]
        return containers[:limit] if limit and limit > 0 else containers

    def _ancestors(self, ref: str) -> list[str]:
        """Image ids whose containers descend from ``ref``."""
        return self._deps.images.descendants(ref)

    async def inspect(self, ref: str, *, size: bool) -> ContainerInspectResponse:
        container = self._deps.containers.get(ref)
        result = render.render_inspect(self._deps, container)
        if size:
            result["SizeRw"], result["SizeRootFs"] = await self._deps.images.rootfs_usage(container.id)
        return result

    async def start(self, ref: str, *, detach_keys: str | None) -> None:
        await self._deps.tasks.run(start.start(self._deps, ref, detach_keys=detach_keys), "start")

    async def stop(self, ref: str, *, timeout_s: int | None, signal: str | None) -> None:
        await self._deps.tasks.run(stop.stop(self._deps, ref, timeout_s=timeout_s, signal=signal), "stop")

    async def restart(self, ref: str, *, timeout_s: int | None, signal: str | None) -> None:
        await self._deps.tasks.run(stop.restart(self._deps, ref, timeout_s=timeout_s, signal=signal), "restart")

    async def kill(self, ref: str, *, signal: str | None) -> None:
        await self._deps.tasks.run(stop.kill(self._deps, ref, signal=signal), "kill")

    async def pause(self, ref: str) -> None:
        await self._deps.tasks.run(control.pause(self._deps, ref), "pause")

    async def unpause(self, ref: str) -> None:
        await self._deps.tasks.run(control.unpause(self._deps, ref), "unpause")

    async def rename(self, ref: str, new_name: str) -> None:
        await self._deps.tasks.run(control.rename(self._deps, ref, new_name), "rename")

    async def update(self, ref: str, body: dict[str, Any]) -> ContainerUpdateResponse:
        result: ContainerUpdateResponse = await self._deps.tasks.run(control.update(self._deps, ref, body), "update")
        return result

    async def top(self, ref: str, ps_args: str) -> ContainerTopResponse:
        return await control.top(self._deps, ref, ps_args)

    async def wait(self, ref: str, condition: str) -> ContainerWaiter:
        return await wait(self._deps, ref, condition)

    async def attach(self, ref: str, plan: AttachPlan) -> AttachSession:
        return await attach(self._deps, ref, plan)

    async def logs(self, ref: str, query: LogQuery) -> LogStream:
        return await logs(self._deps, ref, query)

    async def stats(self, ref: str, *, stream: bool, one_shot: bool) -> AsyncIterator[ContainerStatsResponse]:
        return await stats.stats(self._deps, ref, stream=stream, one_shot=one_shot)

    async def changes(self, ref: str) -> list[FilesystemChange]:
        return await filesystem.changes(self._deps, ref)

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        return await filesystem.export(self._deps, ref)

    async def stat_path(self, ref: str, path: str) -> PathStat:
        return await archive.stat_path(self._deps, ref, path)

    async def read_path(self, ref: str, path: str) -> PathArchive:
        return await archive.read_path(self._deps, ref, path)

    async def write_path(
        self, ref: str, path: str, source: AsyncIterator[bytes], *, keep_kind: bool, as_user: bool
    ) -> None:
        work = archive.write_path(self._deps, ref, path, source, keep_kind=keep_kind, as_user=as_user)
        await self._deps.tasks.run(work, "extract")

    async def commit(self, wanted: CommitRequest) -> str:
        image_id: str = await self._deps.tasks.run(commit.commit(self._deps, wanted), "commit")
        return image_id

    async def resize(self, ref: str, *, rows: int, cols: int) -> None:
        await control.resize(self._deps, ref, rows=rows, cols=cols)

    async def remove(self, ref: str, *, force: bool, volumes: bool, link: bool) -> None:
        work = remove.remove(self._deps, ref, force=force, volumes=volumes, link=link)
        await self._deps.tasks.run(work, "remove")

    async def prune(self, filters: Filters) -> dict[str, Any]:
        result: dict[str, Any] = await self._deps.tasks.run(remove.prune(self._deps, dict(filters)), "prune")
        return result

    async def exec_create(self, ref: str, body: dict[str, Any]) -> str:
        return await execs.exec_create(self._deps, ref, body)

    async def exec_start(self, exec_id: str, body: dict[str, Any]) -> ExecSession | None:
        return await execs.exec_start(self._deps, exec_id, body)

    async def exec_resize(self, exec_id: str, *, rows: int, cols: int) -> None:
        await execs.exec_resize(self._deps, exec_id, rows=rows, cols=cols)

    async def exec_kill(self, exec_id: str, *, signal: str | None) -> None:
        await execs.exec_kill(self._deps, exec_id, parse_signal(signal or "KILL"))

    async def exec_inspect(self, exec_id: str) -> dict[str, Any]:
        return await execs.exec_inspect(self._deps, exec_id)
