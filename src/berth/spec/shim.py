"""The protocol between the daemon (``shim_client``), the zygote and the shims: its messages as types.

Transport: a connected AF_UNIX SOCK_STREAM socket. A frame is a 4-byte big-endian length (at most ``MAX_FRAME``) and that
many bytes of JSON (UTF-8, one object). File descriptors travel by SCM_RIGHTS with the first byte of the frame that names
them; ``fds`` in the message says how many. A zero byte ends the JSON where a tail follows: bytes that are handed on
unread. Peers check SO_PEERCRED: uid 0 only.

Every request has ``seq`` (a number the asker chose) and ``op``; its answer has ``re`` = that seq and either ``ok`` (a
mapping) or ``error`` (``BerthError.to_wire()``). Events have ``event`` and ``n``, a number that grows by one per shim, so
that ``started`` is always seen before ``exited``; after a reconnect the shim repeats what was not acknowledged (``ack``).

    daemon                      zygote                     shim                          init
      | fork {slot} + socket      |                          |                             |
      |-------------------------->| fork ------------------->| park: cgroups, fork ------->| new namespaces, blocks
      |<----------------------------- parked {pids} + netns, rtnl fds                      |
      | create {...}              |                          | rename cgroups, limits, log | mounts, pivot_root
      |----------------------------------------------------->|---------------------------->|
      |   (meanwhile: veth, addresses, routes, ports by the daemon)                        |
      |<------------------------------------------ created --|<----------------------------| ready
      | start                     |                          |                             |
      |----------------------------------------------------->|---------------------------->| caps, seccomp, execve
      |<------------------------------------------ ok / error (errno of execve) -----------|
      |<------------------------------- event exited {code} -| reap, drain, log, exit.json
      | delete                    |                          |
      |----------------------------------------------------->| rmdir cgroups, exit

Protocol version: ``VERSION``; a daemon speaks N and N-1 (``hello`` tells).
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

VERSION = 1
MAX_FRAME = 16 << 20


class OverlayRootfs(TypedDict):
    """An overlay that init mounts in its own mount namespace. ``lower`` is top first, absolute paths; where it is empty,
    ``upper`` is the whole root by itself. ``shifted``: the files have the host's ids, so that no id map is laid over them."""

    lower: list[str]
    upper: str
    work: str
    volatile: bool  # no sync at unmount: only for containers that are removed when they exit
    shifted: NotRequired[bool]


class Stdio(TypedDict):
    """How the process's standard streams are made."""

    tty: bool
    stdin: bool  # keep standard input open for attached clients (OpenStdin); else /dev/null
    stdin_once: bool  # close it when the first attached client closes its side
    rows: int  # 0: not known yet
    cols: int


class LogConfig(TypedDict):
    """Where and how the shim writes the container's output. Sizes in bytes; -1 is unbounded."""

    driver: str  # "json-file" or "none"
    path: str
    max_size: int
    max_file: int
    compress: bool
    attrs: dict[str, str]  # written as "attrs" in each line when not empty (labels, env, tag options)


class AttachOptions(TypedDict):
    """One client that is handed over by its socket: the shim reads and writes it directly from then on.

    ``framed``: the 8-byte multiplexed framing (never with a tty). ``early`` (base64): bytes of standard input that came
    with or right after the upgrade request and were already read. ``detach_keys`` (base64): the key sequence that
    detaches; empty disables it.
    """

    stdin: bool
    stdout: bool
    stderr: bool
    framed: bool
    early: str
    detach_keys: str


class CgroupPlace(TypedDict):
    """The container's cgroup: ``<parent>/<name>`` under every hierarchy (``parent`` starts with "/").

    ``systemd``: a scope that systemd makes; ``parent`` is a slice then, and ``name`` what stands before ".scope".
    """

    parent: str
    name: str
    systemd: bool


class RuntimeProgram(TypedDict):
    """Another OCI runtime, in the place of ours: its name, the program's absolute path, arguments before the verb."""

    name: str
    path: str
    args: list[str]


class CreateRequest(TypedDict):
    """``create``: everything up to, but not, the execve. fds: one per entry of ``attach``, in order.

    The tail is an OCI runtime-spec config; its ``root.path`` is used when ``rootfs`` is None.
    Its ``linux.seccomp`` is either an OCI profile or the string "default" (compiled beforehand in the zygote).
    Answer: ``{"pid": int}`` (the init's pid in the host's pid namespace).
    """

    id: str
    resources: dict[str, Any]  # the config's linux.resources
    rootfs: OverlayRootfs | None
    stdio: Stdio
    log: LogConfig
    shim_dir: str
    cgroup: CgroupPlace
    attach: list[AttachOptions]
    start: NotRequired[bool]  # and ``start`` in one go: nothing is to be done between the two
    init: NotRequired[bool]  # run the engine's small init as pid 1 (--init)
    runtime: NotRequired[RuntimeProgram | None]  # None: ours


class ExecRequest(TypedDict):
    """``exec``: another process in the container. fds: [client socket] when ``attach`` is given.

    ``process`` is an OCI process object. Answer: ``{"pid": int}``; later the event ``exec_exited {exec_id, code}``.
    The client is attached before the process starts, and closed after its output is drained.
    """

    exec_id: str
    process: dict[str, Any]
    stdio: Stdio
    attach: AttachOptions | None


class ExitRecord(TypedDict):
    """``exit.json`` and the event ``exited``: how the container's init ended.

    ``code`` is what clients see (128 + signal when killed by one).
    """

    id: str
    code: int
    signal: int
    oom_killed: bool
    at_ns: int


Op = Literal[
    "fork", "park", "create", "start", "kill", "exec", "attach", "resize", "pause", "resume", "update", "state",
    "delete", "ack", "hello", "close_stdin", "reopen_log",
]  # fmt: skip
