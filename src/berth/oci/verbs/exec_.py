"""``exec ID COMMAND...`` or ``exec -p FILE ID``: another process in the container's namespaces and cgroup."""

from __future__ import annotations

import json
import os
from typing import Any

from berth.base.errors import Conflict, InvalidArgument, NotFound
from berth.kernel import process as p
from berth.oci import bundle, launch, lives, making, record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, at_least

FLAGS = Flags(
    ("console-socket", "pidfd-socket", "cwd", "env,e", "user,u", "additional-gids,g", "process,p", "pid-file",
     "process-label", "apparmor", "cap,c", "preserve-fds", "cgroup"),
    ("tty,t", "detach,d", "no-new-privs", "ignore-paused"), stop=1,
)  # fmt: skip


def run(program: Program, options: Options) -> int:
    at_least(options, "exec", 1)
    found = record.load(program.root, options.words[0])
    status = found.status()
    if status == "stopped":
        raise Conflict("cannot exec in a stopped container")
    if status == "paused" and not options.on("ignore-paused"):
        raise Conflict("cannot exec in a paused container (use --ignore-paused to override)")
    process = _process(found, options)
    bundle.check_process(process)
    kept_fds = making.preserved_fds(options, process)
    if options.on("detach") and process.get("terminal") and not options.text("console-socket"):
        raise InvalidArgument("cannot allocate tty if runc will detach without setting console socket")
    p.prctl(p.PR_SET_DUMPABLE, 0)
    size = process.get("consoleSize") or {}
    pidfd = os.pidfd_open(found.pid)
    if record.start_time(found.pid) != found.state["init_process_start"]:
        raise Conflict("cannot exec in a stopped container")
    pid, _, console = launch.exec_process(
        pidfd, _group(found, options), found.spec["linux"], process, () if process.get("terminal") else (0, 1, 2),
        rows=int(size.get("height") or 0), cols=int(size.get("width") or 0),
        how={"id": found.id, "bundle": found.state["bundle"], "annotations": found.spec.get("annotations") or {},
             "keyring": ""}, kept_fds=kept_fds,
    )  # fmt: skip
    if options.text("pid-file"):
        making.write_pid_file(options.text("pid-file"), pid)
    if console >= 0 and options.text("console-socket"):
        making.send_console(options.text("console-socket"), console)
        os.close(console)
        console = -1
    if options.on("detach"):
        return 0
    if console >= 0:
        from berth.oci import terminal

        return terminal.serve(console, pid)
    return lives.wait(pid)


def _group(found: record.Record, options: Options) -> Any:
    """The container's group, or one below it (``--cgroup``)."""
    below = options.text("cgroup").strip("/")
    if not below:
        return found.group()
    from berth.kernel import cgroups

    parts = below.split("/")
    if ".." in parts or ":" in below or found.state.get("systemd_cgroup"):
        raise InvalidArgument(f"bad --cgroup {options.text('cgroup')!r}: a path below the container's cgroup is needed")
    group = cgroups.open_group(f"{found.state['cgroups_path']}/{below}")
    if not all(os.path.isdir(path) for path in group.paths().values()):
        raise NotFound(f"--cgroup {below}: the container has no such cgroup")
    return group


def _process(found: record.Record, options: Options) -> dict[str, Any]:
    path = options.text("process")
    if path:
        try:
            with open(path, encoding="utf-8") as file:
                process = json.load(file)
        except ValueError as err:
            raise InvalidArgument(f"{path} is not JSON: {err}") from err
        if not isinstance(process, dict):
            raise InvalidArgument(f"{path}: it must be an object")
        bundle.check_types({"process": process}, {"process": bundle._TYPES["process"]}, "")
        return process
    if len(options.words) < 2:
        raise InvalidArgument("process args cannot be empty")
    process = dict(found.spec["process"])
    for key in ("consoleSize", "terminal"):
        process.pop(key, None)
    process["args"] = options.words[1:]
    process["env"] = [*(process.get("env") or ()), *options.all("env")]
    process["terminal"] = options.on("tty")
    if options.text("cwd"):
        process["cwd"] = options.text("cwd")
    if options.text("apparmor"):
        process["apparmorProfile"] = options.text("apparmor")
    if options.text("process-label"):
        process["selinuxLabel"] = options.text("process-label")
    if options.on("no-new-privs"):
        process["noNewPrivileges"] = True
    if options.all("cap"):
        process["capabilities"] = _with_capabilities(process.get("capabilities") or {}, options.all("cap"))
    if options.text("user") or options.all("additional-gids"):
        process["user"] = _user(dict(process.get("user") or {}), options)
    return process


def _with_capabilities(sets: dict[str, Any], added: list[str]) -> dict[str, Any]:
    names = ("bounding", "effective", "permitted", *(["ambient"] if sets.get("ambient") else []))
    return {**sets, **{name: list(dict.fromkeys([*(sets.get(name) or ()), *added])) for name in names}}


def _user(user: dict[str, Any], options: Options) -> dict[str, Any]:
    text = options.text("user")
    if text:
        uid, _, gid = text.partition(":")
        if not uid.isdigit() or (gid and not gid.isdigit()):
            raise InvalidArgument(f"parsing --user {text!r}: numbers are needed, UID[:GID]")
        user["uid"] = int(uid)
        if gid:
            user["gid"] = int(gid)
    groups = options.all("additional-gids")
    if not all(g.isdigit() for g in groups):
        raise InvalidArgument("--additional-gids: numbers are needed")
    user["additionalGids"] = [*(user.get("additionalGids") or ()), *map(int, groups)]
    return user
