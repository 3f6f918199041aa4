"""``start``: from a row to a running process.

    claim a parked shim ── allocate address ── write hosts files
      ├─ shim: create (rename cgroups, limits, overlay, mounts, pivot) ┐ side by side
      └─ network: link, address, route; published ports               ┘
    shim: start (capabilities, seccomp, execve) ── phase running ── event

A failure anywhere undoes what was done and leaves the container as it was, with its exit code and error set as Docker
does for a command that cannot run (127 not found, 126 not executable).
"""

from __future__ import annotations

import asyncio
import base64
import errno as errnos
from collections.abc import Awaitable, Coroutine
from typing import Any

from berth.base import failpoints
from berth.base.clock import now_ns
from berth.base.errors import BerthError, Conflict, InvalidArgument, NotFound, from_oserror
from berth.engine.containers import health, state
from berth.engine.containers.cgroup_place import cgroup_place
from berth.engine.containers.checks.logging import log_limits
from berth.engine.containers.deps import Deps, log, persist, publish, save
from berth.engine.containers.devices import resolve_devices, select_drivers
from berth.engine.containers.endpoints import allocate, ports_wished, publish_network, resolvers_of
from berth.engine.containers.exits import on_shim_event
from berth.engine.containers.links import link_env, refresh_parents
from berth.engine.containers.mounting import give_volumes_back, publish_mounts, take_volumes
from berth.engine.containers.network_files import give_files, write_network_files
from berth.engine.containers.options import DEFAULT_MAX_FILE, DEFAULT_MAX_SIZE
from berth.engine.containers.propagation import check_propagation
from berth.engine.containers.record import Container
from berth.engine.containers.remapping import lives_mapped, names_to_map, shift_for, with_shifted_images
from berth.engine.containers.runtime_spec import StartFacts, render_runtime_spec, render_spaces
from berth.networks.records import Endpoint
from berth.networks.sandbox import Sandbox
from berth.shim_client import Shim
from berth.spec import messages
from berth.spec.shim import CreateRequest, LogConfig

EXIT_CANNOT_EXECUTE = 126
EXIT_NOT_FOUND = 127
EXIT_FAILED = 128
JOINING_S = 2.0
"""How long a start waits for attaches that were accepted, so that they see the first words."""


async def start(deps: Deps, ref: str, *, detach_keys: str | None = None) -> None:
    """Start a container that does not run.

    Raises: NotFound, NotModified (it runs), Conflict, InvalidArgument (the command cannot run), Unavailable.
    """
    container = deps.containers.get(ref)
    async with deps.locks.hold(container.id):
        state.check_start(container)
        cancel_restart(container)
        container.row.stopped_by_user = False
        container.row.restart_count = 0
        container.delay_s = 0.0
        await start_locked(deps, container)


def cancel_restart(container: Container) -> None:
    """Forget a restart that waits for its delay."""
    if container.restart_task is not None and container.restart_task is not asyncio.current_task():
        container.restart_task.cancel()
    container.restart_task = None


async def start_locked(deps: Deps, container: Container) -> None:
    """The work of ``start``. Locks: the container's is held."""
    row = container.row
    started_before_ns = row.started_ns
    container.exited.clear()
    container.log_finished.clear()
    try:
        with deps.pool.start_under_way():
            await _launch(deps, container)
    except asyncio.CancelledError:
        raise
    except BerthError as err:
        row.exit_code = exit_code_of(err)
        row.error = err.message
        row.started_ns = started_before_ns
        row.phase = "exited" if row.started_ns else "created"
        container.exited.set()
        container.log_finished.set()
        drop_pending(container)
        save(deps, container)
        container.wake("not-running", row.exit_code, None)
        container.wake("next-exit", row.exit_code, None)
        if container.auto_remove and row.phase != "restarting":
            await _remove_failed(deps, container)
        raise


async def _remove_failed(deps: Deps, container: Container) -> None:
    """--rm holds for a start that failed too: the stock client waits for the removal before it shows the error."""
    from berth.engine.containers.remove import remove_locked

    try:
        await remove_locked(deps, container, volumes=True)
    except BerthError as err:
        log.warning("remove container %s after its failed start: %s", container.name, err)
        container.wake("removed", container.row.exit_code, err.message)


def exit_code_of(err: BerthError) -> int:
    """What Docker reports as exit code when the command could not run."""
    if err.errno == errnos.ENOENT:
        return EXIT_NOT_FOUND
    if err.errno in (errnos.EACCES, errnos.EPERM, errnos.ENOEXEC, errnos.EISDIR):
        return EXIT_CANNOT_EXECUTE
    return EXIT_FAILED


def drop_pending(container: Container) -> None:
    for pending in container.pending:
        pending.client.close()
    container.pending.clear()


async def _launch(deps: Deps, container: Container) -> None:
    row = container.row
    hc = row.host_config
    joined = StartFacts(
        netns_path=_joined(deps, container, "NetworkMode", "net"),
        ipcns_path=_joined(deps, container, "IpcMode", "ipc"),
        pidns_path=_joined(deps, container, "PidMode", "pid"),
        hostname_file="", hosts_file="", resolv_file="", userns=_userns(deps, container),
    )  # fmt: skip
    await deps.images.wear(container.id, shift_for(deps, row))
    rootfs = deps.images.rootfs(container.id, volatile=container.auto_remove)
    if container.leaving is not None:  # the last run's group and folder have the names that the next ones take
        await asyncio.wait([container.leaving])
        container.leaving = None
    shim = await _claim(deps, container, joined)
    endpoints: list[Endpoint] = []
    try:
        failpoints.hit("start.claimed")
        if row.mounts:
            check_propagation(row.mounts)
            await take_volumes(deps, container)
            joined = joined._replace(mapped_names=await names_to_map(deps, row))
        await allocate(deps, container, endpoints)
        files = write_network_files(deps, container, endpoints)
        if joined.userns is not None:
            give_files(files, deps.host.id_map)
        spec = render_runtime_spec(await with_shifted_images(deps, row), deps.host, joined._replace(
            hostname_file=files.hostname, hosts_file=files.hosts, resolv_file=files.resolv,
            shm_mntns=_joined(deps, container, "IpcMode", "mnt") or "",
        ))  # fmt: skip
        if hc.get("Links"):
            spec["process"]["env"] += link_env(deps, container)
        select_drivers(hc.get("DeviceRequests") or [])
        resolve_devices(spec)
        failpoints.hit("start.allocated")
        logging = log_config(deps, container)
        if container.joining:
            await asyncio.wait(container.joining, timeout=JOINING_S)
        pending, container.pending = container.pending, []
        shim.on_event = lambda event: on_shim_event(deps, container, event)
        rows, cols = console_size(hc)
        request: CreateRequest = {
            "id": row.id, "resources": spec["linux"].get("resources") or {}, "rootfs": rootfs,
            "stdio": {"tty": container.tty, "stdin": bool(row.config.get("OpenStdin")),
                      "stdin_once": bool(row.config.get("StdinOnce")), "rows": rows, "cols": cols},
            "log": logging,
            "shim_dir": deps.layout.shim_dir(row.id),
            "cgroup": cgroup_place(deps.settings, row),
            "attach": [p.options for p in pending],
            "init": bool(deps.settings.init if hc.get("Init") is None else hc["Init"]),
            "runtime": deps.runtimes.program(str(hc.get("Runtime") or "")),
        }  # fmt: skip
        wishes = ports_wished(container)
        connecting = deps.networks.connects(endpoints) or bool(wishes.bindings or wishes.exposed)
        # with nothing to connect there is nothing to be done before the program runs, so nothing to be heard either
        request["start"] = not connecting and request["runtime"] is None
        clients = [p.client for p in pending]
        try:
            created = asyncio.ensure_future(shim.create(request, spec, [c.fileno() for c in clients]))
            if request["runtime"] is not None:
                await created  # only then is it known whose process it is
            connected = _connect(deps, container, endpoints, shim) if connecting else None
            await _all_of(created, _let_run(deps, container, endpoints, shim, connected, told=request["start"]))
        finally:
            for client in clients:
                client.close()
        await _attach_late(container, shim)
        failpoints.hit("start.started")
    except BaseException as err:
        container.shim = None
        health.end(container)
        container.endpoints = []
        container.ports = {}
        row.pid = 0
        shim.on_event = None
        await shim.discard()
        await give_volumes_back(deps, container)
        await deps.networks.release(endpoints)
        if isinstance(err, OSError):
            raise from_oserror(err, f"start container {row.name}") from err
        if isinstance(err, BerthError):
            raise in_dockers_words(err) from err
        raise
    if row.mounts:
        publish_mounts(deps, container, "mount")
    for endpoint in endpoints:
        publish_network(deps, "connect", endpoint)
    publish(deps, container, "start")
    if row.id in deps.containers.linked:
        refresh_parents(deps, container)


async def _attach_late(container: Container, shim: Shim) -> None:
    """Clients that came while the start was under way."""
    late, container.pending = container.pending, []
    for pending in late:
        try:
            await shim.attach(pending.options, pending.client.fileno())
        except BerthError as err:
            log.warning(
                "an attach to container %s: %s", container.name, err
            )  # it has ended: so does the client's stream
        finally:
            pending.client.close()


async def _claim(deps: Deps, container: Container, start: StartFacts) -> Shim:
    """A parked shim, or one of its own for a container that shares the host's or another's processes."""
    hc = container.row.host_config
    place = cgroup_place(deps.settings, container.row)
    if place["systemd"] and deps.runtimes.program(str(hc.get("Runtime") or "")) is None:
        return await deps.pool.claim(
            unparked=True, linux=render_spaces(hc, deps.host, start), parent=place["parent"], scope=place["name"]
        )
    parent = "" if place["systemd"] else str(hc.get("CgroupParent") or "")
    if not parent and not hc.get("PidMode") and start.userns is None:
        return await deps.pool.claim()
    return await deps.pool.claim(unparked=True, linux=render_spaces(hc, deps.host, start), parent=parent)


def _userns(deps: Deps, container: Container) -> str | None:
    """``StartFacts.userns``."""
    if not lives_mapped(deps, container.row):
        return None
    paths = (_joined(deps, container, key, "user") for key in ("NetworkMode", "IpcMode", "PidMode"))
    return next((path for path in paths if path is not None), "")


async def _all_of(*work: Awaitable[Any]) -> None:
    """Let all of it end, then raise the first error."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _let_run(
    deps: Deps, container: Container, endpoints: list[Endpoint], shim: Shim, connected: Coroutine[Any, Any, None] | None,
    *, told: bool,
) -> None:  # fmt: skip
    """Once the network is there the program may run, and that it does is written down. ``told``: the shim knows already.

    It is told while it still creates: it takes one request after the other, and does not start what it could not create.
    """
    if connected is not None:
        await connected
    failpoints.hit("start.connected")
    await _all_of(*([] if told else [shim.start()]), _running(deps, container, shim, endpoints))


async def _running(deps: Deps, container: Container, shim: Shim, endpoints: list[Endpoint]) -> None:
    """Write down that it runs. Raises: ResourceExhausted."""
    row = container.row
    shim.release_network()
    container.shim = shim
    container.endpoints = endpoints
    row.pid = shim.init_pid
    row.phase = "running"
    row.started_ns = now_ns()
    row.exit_code = 0
    row.error = ""
    row.oom_killed = False
    health.begin(deps, container)
    await persist(deps, container)


async def _connect(deps: Deps, container: Container, endpoints: list[Endpoint], shim: Shim) -> None:
    """Links, addresses and routes, and the published ports beside them."""
    await deps.networks.attach(endpoints, Sandbox(shim.netns_fd, shim.rtnl_fd), resolvers_of(container))
    wishes = ports_wished(container)
    if wishes.bindings or wishes.exposed:
        container.ports = await deps.networks.publish(endpoints, wishes)


def in_dockers_words(err: BerthError) -> BerthError:
    """A failure of the runtime with the prefix that clients look for, as the same kind (InvalidArgument for execve)."""
    if err.op == "execve" or "exec:" in err.message:
        text = f"failed to create task for container: OCI runtime create failed: unable to start container process: error during container init: {err.message}"  # noqa: E501
        return InvalidArgument(text, op=err.op, path=err.path, errno=err.errno)
    return err


def _joined(deps: Deps, container: Container, key: str, kind: str) -> str | None:
    """``container:<id>`` → that container's namespace. Raises: NotFound, Conflict (it does not run)."""
    mode = str(container.row.host_config.get(key) or "")
    if not mode.startswith("container:"):
        return None
    try:
        other = deps.containers.get(mode.partition(":")[2])
    except NotFound as err:
        raise NotFound(f"joining {_SPACES[key]} namespace of container: {err.message}") from err
    if not other.running:
        raise Conflict(_not_running(other, key))
    if key == "IpcMode" and other.row.host_config.get("IpcMode") not in ("shareable", "host"):
        raise Conflict(
            f"can't join IPC of container {other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        )
    return f"/proc/{other.row.pid}/ns/{kind}"


def _not_running(other: Container, key: str) -> str:
    if key == "NetworkMode":
        return f"cannot join network namespace of a non running container: container {other.name} is {other.row.phase}"
    return f"failed to join {_SPACES[key]} namespace: {messages.not_running(other.id)}"


_SPACES = {"NetworkMode": "network", "IpcMode": "IPC", "PidMode": "PID"}


def console_size(hc: dict[str, Any]) -> tuple[int, int]:
    """Rows and columns; 0 when the client did not say."""
    size = hc.get("ConsoleSize") or [0, 0]
    return int(size[0]), int(size[1])


def log_config(deps: Deps, container: Container) -> LogConfig:
    config = container.row.host_config["LogConfig"]
    options = config.get("Config") or {}
    max_size, max_file, compress = log_limits(config["Type"], options, DEFAULT_MAX_SIZE, DEFAULT_MAX_FILE)
    return {
        "driver": "none" if config["Type"] == "none" else "json-file",
        "path": deps.layout.log_path(container.id),
        "max_size": max_size,
        "max_file": max_file,
        "compress": compress,
        "attrs": _log_attrs(container, options),
    }


def _log_attrs(container: Container, options: dict[str, Any]) -> dict[str, str]:
    attrs: dict[str, str] = {}
    labels = container.row.config.get("Labels") or {}
    for name in filter(None, str(options.get("labels") or "").split(",")):
        if name in labels:
            attrs[name] = str(labels[name])
    wanted = set(filter(None, str(options.get("env") or "").split(",")))
    for entry in container.row.config.get("Env") or []:
        key, _, value = entry.partition("=")
        if key in wanted:
            attrs[key] = value
    return attrs


def encode_bytes(raw: bytes) -> str:
    return base64.b64encode(raw).decode() if raw else ""
