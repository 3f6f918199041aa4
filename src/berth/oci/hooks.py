"""The six hooks of a config: programs that get the container's state on their standard input.

    prestart, createRuntime   by the parent, in the runtime's namespaces, after the mounts and before pivot_root
    createContainer           by init, in the container's namespaces, while the path still is the host's
    startContainer            by init, inside the container, right before its program
    poststart, poststop       by the parent: after the start, after the removal; a failure is only a warning there

Plain fork and exec: this runs in an init that has sealed its imports. Spec: OCI runtime-spec 1.2 config.md "Hooks".
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Mapping
from typing import Any

from berth.base.errors import DeadlineExceeded, Internal, InvalidArgument

NAMES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
OCI_VERSION = "1.2.0"
_MAX_OUTPUT = 16384


def state_of(request: Mapping[str, Any], status: str) -> dict[str, Any]:
    """The state as the specification has it. ``request``: id, pid (as the host sees it), bundle, annotations."""
    return {
        "ociVersion": OCI_VERSION, "id": request.get("id") or "", "status": status, "pid": request.get("pid") or 0,
        "bundle": request.get("bundle") or "", "annotations": request.get("annotations") or {},
    }  # fmt: skip


def check(hooks: Any) -> None:
    """Raises: InvalidArgument: what is wrong with ``hooks`` of a config."""
    if not isinstance(hooks, Mapping):
        raise InvalidArgument("config.json: hooks must be an object")
    for name in NAMES:
        for hook in hooks.get(name) or ():
            if not isinstance(hook, Mapping) or not str(hook.get("path") or "").startswith("/"):
                raise InvalidArgument(f"config.json: a {name} hook needs an absolute path")
            timeout = hook.get("timeout")
            if timeout is not None and (not isinstance(timeout, int) or timeout <= 0):
                raise InvalidArgument(f"config.json: the timeout of a {name} hook must be greater than zero")


def run_all(hooks: Mapping[str, Any], name: str, state: Mapping[str, Any], cwd: str = "") -> None:
    """Run the hooks of ``name`` in their order. Raises: Internal, DeadlineExceeded naming the one that failed."""
    for at, hook in enumerate(hooks.get(name) or ()):
        run(hook, f"{name} hook #{at}", json.dumps(state).encode(), cwd)


def run_leniently(hooks: Mapping[str, Any], name: str, state: Mapping[str, Any], cwd: str = "") -> list[str]:
    """Every hook is run; what failed comes back as warnings."""
    warnings = []
    for at, hook in enumerate(hooks.get(name) or ()):
        try:
            run(hook, f"{name} hook #{at}", json.dumps(state).encode(), cwd)
        except (Internal, DeadlineExceeded) as err:
            warnings.append(err.message)
    return warnings


def run(hook: Mapping[str, Any], what: str, state: bytes, cwd: str = "") -> None:
    """One hook: its exit status must be 0. Raises: Internal with its words, DeadlineExceeded (it was killed)."""
    stdin, feed = os.pipe()
    output, stdout = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(hook, stdin, stdout, cwd)
    os.close(stdin)
    os.close(stdout)
    timeout_s = hook.get("timeout")
    deadline = time.monotonic() + timeout_s if timeout_s else None
    try:
        text = _converse(pid, feed, output, state, deadline)
    except TimeoutError:
        raise DeadlineExceeded(f"error running {what}: timeout of {timeout_s} s exceeded", op="hook") from None
    finally:
        os.close(output)
    _, status = os.waitpid(pid, 0)
    if status:
        how = f"exit status {os.WEXITSTATUS(status)}" if os.WIFEXITED(status) else f"signal: {os.WTERMSIG(status)}"
        raise Internal(f"error running {what}: {how}, stdout: {text.decode(errors='replace').strip()}", op="hook")


def _converse(pid: int, feed: int, output: int, state: bytes, deadline: float | None) -> bytes:
    """Feed the state, take the output, until the hook has ended. Raises: TimeoutError, the hook is dead then."""
    pidfd = os.pidfd_open(pid)
    text = b""
    os.set_blocking(feed, False)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.register(feed, select.POLLOUT)
    poller.register(output, select.POLLIN)
    ended = False
    try:
        while not ended:
            left_ms = None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000))
            ready = poller.poll(left_ms)
            if not ready:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise TimeoutError
            for fd, _ in ready:
                if fd == feed and feed >= 0:
                    state = _feed(feed, state)
                    if not state:
                        poller.unregister(feed)
                        os.close(feed)
                        feed = -1
                elif fd == output:
                    chunk = os.read(output, 4096)
                    if chunk:
                        text = (text + chunk)[:_MAX_OUTPUT]
                    else:
                        poller.unregister(output)
                elif fd == pidfd:
                    ended = True
        os.set_blocking(output, False)
        try:
            text = (text + os.read(output, _MAX_OUTPUT))[:_MAX_OUTPUT]
        except BlockingIOError:
            pass  # a child of its own holds the pipe open
        return text
    finally:
        os.close(pidfd)
        if feed >= 0:
            os.close(feed)


def _feed(fd: int, state: bytes) -> bytes:
    try:
        return state[os.write(fd, state) :]
    except BrokenPipeError:
        return b""  # a hook need not read it
    except BlockingIOError:
        return state


def _become(hook: Mapping[str, Any], stdin: int, stdout: int, cwd: str) -> None:
    """The child: never returns."""
    try:
        for number, fd in ((0, stdin), (1, stdout), (2, stdout)):
            os.dup2(fd, number)
        for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(3, 1024)
        if cwd:
            os.chdir(cwd)
        path = str(hook["path"])
        env = dict(entry.split("=", 1) for entry in hook.get("env") or () if "=" in entry)
        os.execve(path, [str(a) for a in hook.get("args") or (path,)], env)
    except BaseException as err:
        os.write(2, f"{hook.get('path')}: {getattr(err, 'strerror', None) or err}".encode())
    os._exit(127)
