"""``python -m bench.runtimes [RUNS]``: create to exited of ``true``, in one config and root, by several OCI runtimes in turns.

    runc, crun            Debian's programs: ``run``
    berth-runtime         our program: ``run``, a Python process each time
    shim, parked          what the engine does: a parked shim gets the config; until it says how the container ended
    shim, not parked      the same with the shim forked first, as a burst does that outruns the pool

Beside them what it costs to start each program at all (``--version``), and a bare Python. All run in a mount namespace
without a hybrid host's second cgroup tree, which crun refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME / name) for name in ("tests", "tools", "src")]

from berth.base.layout import Layout  # noqa: E402
from berth.engine.containers.runtime_spec import MASKED_PATHS, READONLY_PATHS  # noqa: E402
from berth.kernel.cgroups import detect  # noqa: E402
from berth.kernel.seccomp.default import default_profile  # noqa: E402
from berth.oci.driven.places import own_namespace  # noqa: E402
from berth.oci.stage import STAGED  # noqa: E402
from berth.shim_client import Shim, Zygote  # noqa: E402
from berth.spec.capabilities import DEFAULT_CAPABILITIES  # noqa: E402
from berth.spec.shim import CreateRequest  # noqa: E402
from harness.images import busybox_program  # noqa: E402

OURS = str(Path(sys.executable).with_name("berth-runtime"))
PARENT = "/berth-bench"


class Row(NamedTuple):
    """Milliseconds."""

    name: str
    median: float
    low: float
    high: float


def config(root: str) -> dict[str, Any]:
    """What the engine gives a container that asks for nothing, with no network to connect."""
    capabilities = list(DEFAULT_CAPABILITIES)
    masked = [path for path in MASKED_PATHS if os.path.lexists(path)]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "args": ["/bin/true"], "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "root": {"path": root},
        "hostname": "bench",
        "mounts": [{"destination": d, "type": t, "source": s, "options": list(o)} for d, t, s, o in STAGED.values()],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": masked, "readonlyPaths": list(READONLY_PATHS), "seccomp": "default",
        },
    }  # fmt: skip


def write_bundle(folder: str) -> str:
    """A bundle with busybox as its root; for programs the default filter is written out."""
    root = f"{folder}/rootfs"
    for name in ("bin", "proc", "sys", "dev", "etc"):
        os.makedirs(f"{root}/{name}")
    shutil.copy(busybox_program(), f"{root}/bin/busybox")
    os.symlink("busybox", f"{root}/bin/true")
    spec = config(root)
    spec["linux"]["seccomp"] = default_profile(frozenset(DEFAULT_CAPABILITIES))
    spec["linux"]["cgroupsPath"] = f"{PARENT}/program"
    Path(folder, "config.json").write_text(json.dumps(spec))
    return root


class Engine:
    """The engine's part below its daemon: a zygote, and shims that it forks."""

    def __init__(self, folder: str) -> None:
        self.layout = Layout(f"{folder}/data", f"{folder}/run")
        for path in (self.layout.data_root, self.layout.run_root, self.layout.shims):
            os.makedirs(path)
        masked = [path for path in MASKED_PATHS if os.path.lexists(path)]
        self.zygote = Zygote("bench", self.layout, masked=masked, readonly=READONLY_PATHS, cgroup_parent=PARENT)
        self._count = 0

    async def fork(self) -> Shim:
        self._count += 1
        return await self.zygote.fork_shim(f"park-{self._count:024}")

    async def life(self, shim: Shim, spec: dict[str, Any]) -> None:
        """From the config to the end of the container; the shim is let go afterwards, outside what is measured."""
        ended: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        shim.on_event = lambda event: ended.set_result(event) if not ended.done() else None
        ident = f"{self._count:064x}"
        request: CreateRequest = {
            "id": ident, "resources": spec["linux"]["resources"], "rootfs": None, "attach": [], "start": True,
            "stdio": {"tty": False, "stdin": False, "stdin_once": False, "rows": 0, "cols": 0},
            "log": {"driver": "json-file", "path": f"{self.layout.data_root}/log", "max_size": 1 << 20, "max_file": 3,
                    "compress": False, "attrs": {}},
            "shim_dir": self.layout.shim_dir(ident), "cgroup": {"parent": PARENT, "name": ident, "systemd": False},
        }  # fmt: skip
        await shim.create(request, spec, [])
        event = await ended
        if event.get("code") != 0:
            raise RuntimeError(f"the container ended with {event}")


def time_ms(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e3


def call(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def row(name: str, taken: list[float]) -> Row:
    return Row(name, statistics.median(taken), min(taken), max(taken))


async def measure(folder: str, runs: int) -> list[Row]:
    """``runs`` lives each, all kinds in turns; the first of each is not counted."""
    root = write_bundle(folder)
    engine = Engine(folder)
    await engine.zygote.start()
    spec = config(root)
    programs = {name: shutil.which(name) for name in ("runc", "crun")} | {"berth-runtime": OURS}
    taken: dict[str, list[float]] = {}
    try:
        for _ in range(runs + 1):
            for name, path in programs.items():
                if path is not None:
                    words = (path, "--root", f"{folder}/state-{name}", "run", "-b", folder, "bench")
                    taken.setdefault(name, []).append(time_ms(lambda words=words: call(*words)))  # type: ignore[misc]
            shim = await engine.fork()
            begin = time.perf_counter()
            await engine.life(shim, spec)
            taken.setdefault("shim, parked", []).append((time.perf_counter() - begin) * 1e3)
            await shim.delete()
            begin = time.perf_counter()
            shim = await engine.fork()
            await engine.life(shim, spec)
            taken.setdefault("shim, not parked", []).append((time.perf_counter() - begin) * 1e3)
            await shim.delete()
    finally:
        await engine.zygote.close()
    return [row(name, samples[1:]) for name, samples in taken.items()]


def starts(runs: int) -> Iterator[Row]:
    """What it costs to start each program, whatever it does then."""
    commands = {
        **{f"{name} --version": (path, "--version") for name in ("runc", "crun") if (path := shutil.which(name))},
        "berth-runtime --version": (OURS, "--version"),
        "python -I -S -c pass": (sys.executable, "-I", "-S", "-c", "pass"),
    }  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs + 1):
        for name, words in commands.items():
            taken[name].append(time_ms(lambda words=words: call(*words)))  # type: ignore[misc]
    for name, samples in taken.items():
        yield row(name, samples[1:])


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    own_namespace()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="runtimes", dir="/var/tmp"))
        stack.callback(detect().remove_parent, PARENT)
        rows = [*asyncio.run(measure(folder, runs)), *starts(runs)]
    theirs = next((r.median for r in rows if r.name == "runc"), 0.0)
    print(f"| {runs} runs each, in turns | ms, median (lowest–highest) | of runc's |\n| --- | --- | --- |")
    for found in rows:
        share = "" if "version" in found.name or "pass" in found.name or not theirs else f"{found.median / theirs:.2f}"
        print(f"| {found.name} | {found.median:.1f} ({found.low:.1f}–{found.high:.1f}) | {share} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
