"""runtime-spec 1.2 runtime.md: State, Lifecycle, Operations; what each refuses, and that nothing is left."""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.attack import RUNTIME, Bundle, told
from harness.eventually import eventually

pytestmark = pytest.mark.root


def status(bundle: Bundle) -> str:
    return str(json.loads(bundle.runtime("state", bundle.name).out)["status"])


def leftovers(bundle: Bundle) -> list[str]:
    state = glob.glob(f"{bundle.home}/state/*")
    return state + glob.glob(f"/sys/fs/cgroup/**/{bundle.group}", recursive=True)


@pytest.mark.spec("runtime.md#state", "runtime.md#query-state", "runtime.md#lifecycle", "config.md#annotations")
def test_the_states_in_their_order() -> None:
    with Bundle() as bundle:
        bundle.config["annotations"] = {"org.example.key": "value"}
        bundle.create()
        state = json.loads(bundle.runtime("state", bundle.name).out)
        assert state["status"] == "created" and state["id"] == bundle.name and state["bundle"] == bundle.home
        assert state["ociVersion"].startswith("1.2") and state["annotations"] == {"org.example.key": "value"}
        assert os.readlink(f"/proc/{state['pid']}/ns/pid") != os.readlink("/proc/self/ns/pid")
        bundle.runtime("start", bundle.name)
        assert status(bundle) == "running"
        assert Path(f"/proc/{state['pid']}/cmdline").read_bytes() == b"sleep\x001000\x00"
        bundle.runtime("pause", bundle.name)
        assert status(bundle) == "paused"
        bundle.runtime("resume", bundle.name)
        bundle.runtime("kill", bundle.name, "KILL")
        eventually(lambda: status(bundle) == "stopped")
        assert json.loads(bundle.runtime("state", bundle.name).out)["pid"] == 0
        bundle.runtime("delete", bundle.name)
        assert leftovers(bundle) == []


@pytest.mark.spec("runtime.md#scope-of-a-container")
def test_whoever_has_the_root_folder_has_the_container() -> None:
    """Another call, from another process and folder, works on it; one with another ``--root`` knows nothing of it."""
    with Bundle() as bundle:
        bundle.create()
        root = f"{bundle.home}/state"
        listed = bundle.runtime("--root", root, "list", "-q", cwd="/", root=False)
        assert listed.out == f"{bundle.name}\n"
        stranger = bundle.runtime("--root", f"{bundle.home}/other", "state", bundle.name, root=False, check=False)
        assert stranger.code == 1 and "container does not exist" in told(stranger)
        bundle.runtime("--root", root, "delete", "-f", bundle.name, cwd="/", root=False)
        assert leftovers(bundle) == []


@pytest.mark.spec("runtime.md#create", "runtime.md#start")
def test_the_program_does_not_run_before_start() -> None:
    with Bundle(args=["touch", "/ran"]) as bundle:
        bundle.create()
        assert not os.path.exists(f"{bundle.rootfs}/ran")
        bundle.runtime("start", bundle.name)
        eventually(lambda: os.path.exists(f"{bundle.rootfs}/ran"))


@pytest.mark.spec("runtime.md#lifecycle")
def test_changes_of_the_config_after_create_change_nothing() -> None:
    with Bundle(args=["touch", "/first"]) as bundle:
        bundle.create()
        bundle.config["process"]["args"] = ["touch", "/second"]
        Path(f"{bundle.home}/config.json").write_text(json.dumps(bundle.config))
        bundle.runtime("start", bundle.name)
        eventually(lambda: status(bundle) == "stopped")
        assert os.path.exists(f"{bundle.rootfs}/first") and not os.path.exists(f"{bundle.rootfs}/second")


@pytest.mark.spec("runtime.md#operations", "runtime.md#errors")
def test_what_operations_refuse() -> None:
    with Bundle() as bundle:
        for verb in ("state", "start", "kill", "delete", "pause", "exec"):
            words = [verb, "none-such", *(["true"] if verb == "exec" else [])]
            refused = bundle.runtime(*words, check=False)
            assert refused.code == (255 if verb == "exec" else 1) and "container does not exist" in told(refused), (
                refused
            )
        bundle.start()
        again = bundle.create(check=False)
        assert again.code == 1 and "container with given ID already exists" in told(again)
        assert status(bundle) == "running"
        refused = bundle.runtime("start", bundle.name, check=False)
        assert refused.code == 1 and "cannot start an already running container" in told(refused)
        refused = bundle.runtime("delete", bundle.name, check=False)
        assert f"cannot delete container {bundle.name} that is not stopped: running" in told(refused)
        refused = bundle.runtime("resume", bundle.name, check=False)
        assert "container not paused" in told(refused)
        bundle.runtime("kill", bundle.name, "9")
        eventually(lambda: status(bundle) == "stopped")
        for words, says in (
            (("kill", bundle.name), "container not running"),
            (("start", bundle.name), "cannot start a container that has stopped"),
            (("exec", bundle.name, "true"), "cannot exec in a stopped container"),
            (("pause", bundle.name), "container not running"),
        ):
            refused = bundle.runtime(*words, check=False)
            assert refused.code != 0 and says in told(refused), refused


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "ü", "a\n"])
@pytest.mark.spec("runtime.md#create")
def test_ids_that_are_none(name: str) -> None:
    with Bundle() as bundle:
        bundle.name, kept = name, bundle.name
        refused = bundle.create(check=False)
        bundle.name = kept
        assert refused.code == 1 and "invalid container ID format" in told(refused)
        assert leftovers(bundle) == []


@pytest.mark.spec("runtime.md#kill")
def test_kill_sends_the_signal_to_init_alone_and_all_to_everybody() -> None:
    script = "trap 'echo init >>/got' USR1; sh -c \"trap 'echo child >>/got' USR1; touch /up; while :; do sleep 0.1; done\" & " \
             "while :; do sleep 0.1; done"  # fmt: skip
    with Bundle(args=["sh", "-c", script]) as bundle:
        bundle.start()
        eventually(lambda: os.path.exists(f"{bundle.rootfs}/up"))
        got = Path(f"{bundle.rootfs}/got")
        bundle.runtime("kill", bundle.name, "SIGUSR1")
        eventually(lambda: got.exists() and got.read_text() == "init\n")
        bundle.runtime("kill", "--all", bundle.name, str(int(signal.SIGUSR1)))
        eventually(lambda: sorted(got.read_text().split()) == ["child", "init", "init"])


@pytest.mark.spec("runtime.md#kill")
def test_without_a_pid_namespace_sigkill_reaches_the_whole_group() -> None:
    with Bundle(args=["sh", "-c", "sleep 1000 & echo $! >/child; exec sleep 1000"]) as bundle:
        spaces = bundle.config["linux"]["namespaces"]
        spaces[:] = [s for s in spaces if s["type"] != "pid"]
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "proc"]
        bundle.start()
        child = int(eventually(lambda: Path(f"{bundle.rootfs}/child").read_text().strip()))
        bundle.runtime("kill", bundle.name, "KILL")
        eventually(lambda: not os.path.exists(f"/proc/{child}"))
        eventually(lambda: status(bundle) == "stopped")
        bundle.runtime("delete", bundle.name)


@pytest.mark.spec("runtime.md#delete")
def test_delete_force_ends_and_removes_everything_and_is_content_with_nothing() -> None:
    with Bundle() as bundle:
        bundle.start()
        bundle.runtime("exec", "-d", bundle.name, "sh", "-c", "exec sleep 1000 >/dev/null 2>&1")
        bundle.runtime("pause", bundle.name)
        bundle.runtime("delete", "-f", bundle.name)
        assert leftovers(bundle) == []
        assert bundle.runtime("delete", "-f", bundle.name).code == 0


@pytest.mark.spec("runtime.md#delete")
def test_a_created_container_is_deleted_without_force() -> None:
    with Bundle() as bundle:
        bundle.create()
        bundle.runtime("delete", bundle.name)
        assert leftovers(bundle) == []


@pytest.mark.spec("runtime.md#delete", "runtime.md#errors")
def test_a_killed_create_leaves_what_delete_force_removes() -> None:
    """The runtime dies while a hook runs: the record of the reserved id says what was made."""
    with Bundle() as bundle:
        bundle.config["hooks"] = {"createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", f"kill -9 $PPID; : {bundle.name}"]},
        ]}  # fmt: skip
        died = bundle.create(check=False)
        assert died.code == -signal.SIGKILL
        assert leftovers(bundle) != []
        bundle.runtime("delete", "--force", bundle.name)
        assert leftovers(bundle) == []


@pytest.mark.spec("runtime.md#start")
def test_the_init_that_died_before_start_is_told() -> None:
    with Bundle() as bundle:
        bundle.create()
        os.kill(bundle.pid, signal.SIGKILL)
        eventually(lambda: status(bundle) == "stopped")
        refused = bundle.runtime("start", bundle.name, check=False)
        assert refused.code == 1 and "cannot start a container that has stopped" in told(refused)


@pytest.mark.long
@pytest.mark.spec("runtime.md#delete")
def test_a_create_killed_at_any_moment_leaves_what_delete_force_removes() -> None:
    """Every few milliseconds of a creation is a step at which somebody may end the runtime."""
    with Bundle() as bundle:
        begin = time.monotonic()
        bundle.create()
        whole_s = time.monotonic() - begin
        bundle.runtime("delete", "--force", bundle.name)
        for part in range(40):
            command = [*RUNTIME, "--root", f"{bundle.home}/state", "create", "-b", bundle.home, bundle.name]
            null = subprocess.DEVNULL
            with subprocess.Popen(command, stdin=null, stdout=null, stderr=null) as runtime:
                try:
                    runtime.wait(whole_s * (part + 1) / 32)
                except subprocess.TimeoutExpired:
                    runtime.kill()
            bundle.runtime("delete", "--force", bundle.name)
            eventually(lambda: leftovers(bundle) == [], why=f"nothing is left after {part + 1}/32 of a creation")


@pytest.mark.parametrize(("hook", "says"), [
    ("createContainer", "died while it was set up"), ("createRuntime", "createRuntime hook #0: exit status 9"),
])  # fmt: skip
@pytest.mark.spec("runtime.md#errors")
def test_a_creation_that_ends_in_the_middle_says_where_and_leaves_nothing(hook: str, says: str) -> None:
    """createContainer's shell kills its parent, which is init, in the host's pid namespace; createRuntime's only fails."""
    with Bundle() as bundle:
        spaces = bundle.config["linux"]["namespaces"]
        spaces[:] = [space for space in spaces if space["type"] != "pid"]
        script = "kill -9 $PPID; sleep 5" if hook == "createContainer" else "exit 9"
        bundle.config["hooks"] = {hook: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
        failed = bundle.create(check=False)
        assert failed.code == 1 and says in told(failed), failed
        eventually(lambda: leftovers(bundle) == [], why="nothing is left")
