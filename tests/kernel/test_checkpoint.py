"""``berth-runtime checkpoint`` and ``restore`` with a CRIU that gets on with this kernel (``./dev setup`` finds one)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.attack import RUNTIME, Bundle, told
from harness.cli import Result
from harness.criu import CRIU, needs_criu
from harness.eventually import PATIENCE, eventually

pytestmark = [pytest.mark.root, needs_criu]
COUNT = "n=0; while :; do n=$((n+1)); echo $n > /count; echo line $n; sleep 0.1; done"
FAR = 1000
"""What the count cannot have come to by going on, and would not fall below by starting anew."""


class Counter(Bundle):
    """A container that counts, into a file of its own and to standard output: a pipe that is read into ``said``."""

    def __init__(self, script: str = COUNT, **process: Any) -> None:
        super().__init__(args=["sh", "-c", script], **process)
        self.images = f"{self.home}/images"
        reading, self.pipe = os.pipe()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(reading,))
        self._reader.start()

    def _read(self, reading: int) -> None:
        with os.fdopen(reading) as lines:
            self.said.extend(lines)

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        os.close(self.pipe)
        self._reader.join()

    def call(self, *words: str, out: int = -1) -> None:
        """A verb whose container keeps the streams of the call."""
        Path(f"{self.home}/config.json").write_text(json.dumps(self.config))
        out = self.pipe if out < 0 else out
        done = subprocess.run(
            [*RUNTIME, "--root", f"{self.home}/state", "--criu", CRIU, *words, "-b", self.home], timeout=60 * PATIENCE,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
        assert done.returncode == 0, self.said[-5:]

    @property
    def count(self) -> int:
        path = Path(self.rootfs, "count")
        return int(path.read_text().strip() or 0) if path.exists() else 0

    def begin(self) -> None:
        self.call("run", "-d", self.name)
        eventually(lambda: self.count > 5)

    def checkpoint(self, *words: str, check: bool = True, images: str = "") -> Result:
        return self.runtime(
            "--criu", CRIU, "checkpoint", "--image-path", images or self.images, *words, self.name, check=check
        )

    def restore(self, name: str, *words: str, images: str = "", out: int = -1) -> int:
        """Detached; its pid."""
        self.call("restore", "-d", "--image-path", images or self.images, *words, name, out=out)
        return int(self.state(name)["pid"])

    def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.runtime("state", name).out)
        return found

    def goes_on(self, after: int) -> None:
        eventually(lambda: self.count > after + 2)
        assert self.count < after + FAR


@contextmanager
def another(counter: Counter) -> Iterator[str]:
    """A second name for it, gone at the end."""
    name = f"{counter.name}b"
    try:
        yield name
    finally:
        counter.runtime("delete", "--force", name, check=False)


def test_a_container_goes_on_where_it_was_and_so_does_its_log() -> None:
    with Counter() as counter:
        counter.begin()
        counter.checkpoint()
        assert "does not exist" in told(counter.runtime("state", counter.name, check=False))
        at_rest = counter.count
        pid = counter.restore(counter.name)
        counter.goes_on(at_rest)
        eventually(lambda: f"line {at_rest + 2}\n" in counter.said)
        assert counter.said.count("line 1\n") == 1
        assert counter.state(counter.name)["status"] == "running"
        assert counter.group in Path(f"/proc/{pid}/cgroup").read_text()
        assert "sleep" in counter.sh("ps").out
        counter.runtime("pause", counter.name)
        assert counter.state(counter.name)["status"] == "paused"
        counter.runtime("resume", counter.name)
        counter.checkpoint()  # and once more
        at_rest = counter.count
        counter.restore(counter.name)
        counter.goes_on(at_rest)


def test_a_log_file_of_the_hosts_is_written_on() -> None:
    with Counter() as counter, open(f"{counter.home}/log", "ab") as log:
        counter.call("run", "-d", counter.name, out=log.fileno())
        eventually(lambda: counter.count > 5)
        counter.checkpoint()
        at_rest = counter.count
        counter.restore(counter.name, out=log.fileno())
        text = Path(log.name).read_text
        eventually(lambda: f"line {at_rest + 2}\n" in text())
        assert text().startswith("line 1\nline 2\n")


def test_it_may_run_on_and_be_restored_under_another_name() -> None:
    script = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.1; done"  # a file would be another than at the dump
    with Counter(script) as counter, another(counter) as name:

        def told_lines() -> list[int]:
            return [int(line.split()[1]) for line in counter.said if line.startswith("line ")]

        counter.config["linux"]["resources"]["pids"] = {"limit": 77}
        counter.call("run", "-d", counter.name)
        eventually(lambda: len(counter.said) > 5)
        counter.checkpoint("--leave-running", "--work-path", f"{counter.home}/work")
        assert Path(counter.home, "work/dump.log").exists() and not Path(counter.images, "dump.log").exists()
        assert counter.state(counter.name)["status"] == "running"
        so_far = len(counter.said)
        eventually(lambda: len(counter.said) > so_far + 5)
        counter.runtime("delete", "--force", counter.name)
        lines = told_lines()
        assert lines == list(range(1, len(lines) + 1))
        counter.restore(name)
        eventually(lambda: len(counter.said) > len(lines) + 2)
        again = told_lines()[len(lines) :]
        assert 5 < again[0] < lines[-1]  # from where it was dumped, not from where it ended
        limit = counter.runtime(
            "exec", name, "sh", "-c", "cd /sys/fs/cgroup; cat pids.max || cat pids/pids.max", check=False
        )
        assert limit.out == "77\n"


def test_what_is_bound_and_masked_is_there_again() -> None:
    with Counter() as counter:
        for at in ("one", "two"):
            Path(counter.home, at).mkdir()
            Path(counter.home, at, "word").write_text(at)
        counter.config["mounts"] += [
            {"destination": "/bound", "type": "bind", "source": f"{counter.home}/one", "options": ["rbind", "ro"]},
            {"destination": "/file", "type": "bind", "source": f"{counter.home}/one/word", "options": ["bind"]},
            {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"},
        ]
        counter.begin()
        counter.sh("echo kept > /scratch/kept; echo shared > /dev/shm/word")
        looks = "cat /bound/word /file /scratch/kept /dev/shm/word; wc -c < /proc/keys; ls /proc/acpi /sys/firmware"
        before = counter.sh(looks).out
        assert before.startswith("oneonekept\nshared\n0\n")
        counter.checkpoint()
        counter.restore(counter.name)
        assert counter.sh(looks).out == before
        assert "Read-only" in counter.sh("touch /bound/new").err
        assert "Read-only" in counter.sh("echo 1 > /proc/sys/kernel/pid_max").err


def test_pipes_become_those_of_the_call_and_the_foreground_waits_for_the_end() -> None:
    with Counter(COUNT.replace("sleep", "[ $n -lt 5000 ] && [ ! -e /end ] || exit 7; sleep")) as counter:
        Path(f"{counter.home}/config.json").write_text(json.dumps(counter.config))
        run = [*RUNTIME, "--root", f"{counter.home}/state"]
        with subprocess.Popen(
            [*run, "run", "-b", counter.home, counter.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as first:
            eventually(lambda: counter.count > 5)
            counter.checkpoint()
            out, _ = first.communicate(timeout=20 * PATIENCE)
            assert f"line {counter.count}\n".encode() in out
        at_rest = counter.count
        command = [*run, "--criu", CRIU, "restore", "-b", counter.home, "--image-path", counter.images, counter.name]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as second:
            counter.goes_on(at_rest)
            Path(counter.rootfs, "end").touch()
            out, _ = second.communicate(timeout=20 * PATIENCE)
            assert second.returncode == 7
            assert out.startswith((f"line {at_rest}\n".encode(), f"line {at_rest + 1}\n".encode()))
        assert "does not exist" in told(counter.runtime("state", counter.name, check=False))


def test_a_terminal_comes_back_over_the_console_socket() -> None:
    with Counter(COUNT, terminal=True) as counter:
        path = f"{counter.home}/console"

        def master_of(verb: str, *words: str) -> int:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen()
                counter.call(verb, "--console-socket", path, *words, counter.name)
                taken, _ = listener.accept()
                with taken:
                    _, fds, _, _ = socket.recv_fds(taken, 64, 1)
            os.unlink(path)
            return fds[0]

        master = master_of("create")
        counter.runtime("start", counter.name)
        eventually(lambda: counter.count > 5)
        counter.checkpoint()
        os.close(master)
        at_rest = counter.count
        again = master_of("restore", "-d", "--image-path", counter.images)
        counter.goes_on(at_rest)
        assert b"line" in os.read(again, 100)
        os.close(again)


def test_connections_and_locks_need_their_words_and_a_refused_dump_changes_nothing() -> None:
    script = (
        "sleep 1000 | /bin/busybox nc -l -p 4000 > /heard & sleep 0.5; "
        "(while [ ! -e /say ]; do sleep 0.1; done; echo again; sleep 1000) | "
        "/bin/busybox nc 127.0.0.1 4000 & "
        f"(flock -x 9; exec sleep 1000) 9> /lock & {COUNT}"
    )
    with Counter(script) as counter:  # flock is the host's
        counter.config["mounts"].append(
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["bind", "ro"]}
        )
        for name in ("lib", "lib64"):
            Path(counter.rootfs, name).symlink_to(f"usr/{name}")
        counter.begin()
        eventually(lambda: counter.sh("cat /proc/net/tcp /proc/net/tcp6").out.count(" 01 ") == 2)
        eventually(lambda: counter.sh("flock -n /lock true").code == 1)
        for words in ((), ("--tcp-established",), ("--file-locks",)):
            refused = counter.checkpoint(*words, check=False)
            assert refused.code == 1 and "criu failed: " in told(refused), refused
            assert counter.state(counter.name)["status"] == "running"
        counter.goes_on(counter.count)
        both = ("--tcp-established", "--file-locks")
        counter.checkpoint(*both)
        counter.restore(counter.name, *both)
        assert counter.sh("flock -n /lock true").code == 1
        Path(counter.rootfs, "say").touch()
        eventually(lambda: Path(counter.rootfs, "heard").read_text() == "again\n")


def test_a_joined_network_stays_outside_of_the_dump() -> None:
    with Counter("sleep 1000") as owner, Counter() as counter:
        owner.start()
        spaces = counter.config["linux"]["namespaces"]
        next(s for s in spaces if s["type"] == "network")["path"] = f"/proc/{owner.pid}/ns/net"
        counter.begin()
        counter.checkpoint()
        at_rest = counter.count
        pid = counter.restore(counter.name)
        counter.goes_on(at_rest)
        assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{owner.pid}/ns/net")


def test_in_a_user_namespace_and_with_a_filter() -> None:
    with Counter() as counter:
        ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        linux = counter.config["linux"]
        linux["namespaces"].append({"type": "user"})
        linux.update(uidMappings=ids, gidMappings=ids)
        no_folders = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}
        linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [no_folders]}
        os.chmod(counter.home, 0o755)
        for folder, _, names in os.walk(counter.rootfs):
            for name in (".", *names):
                os.lchown(os.path.join(folder, name), 100000, 100000)
        counter.begin()
        counter.checkpoint()
        at_rest = counter.count
        pid = counter.restore(counter.name)
        counter.goes_on(at_rest)
        assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", "100000", "65536"]
        assert "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
        assert counter.sh("mkdir /new").code != 0


def test_hooks_run_in_the_restored_namespaces() -> None:
    with Counter() as counter:
        kinds = ("prestart", "createRuntime", "poststop")
        counter.config["hooks"] = {
            kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat >> {counter.home}/{kind}"]}] for kind in kinds
        }
        counter.begin()
        counter.checkpoint()
        first = {kind: len(Path(counter.home, kind).read_text()) for kind in kinds}
        pid = counter.restore(counter.name)
        for kind in kinds[:2]:
            state = json.JSONDecoder().raw_decode(Path(counter.home, kind).read_text()[first[kind] :])[0]
            assert (state["id"], state["pid"]) == (counter.name, pid)
        assert Path(counter.home, "poststop").exists()


def test_a_paused_one_is_restored_running() -> None:
    with Counter() as counter:
        counter.begin()
        counter.runtime("pause", counter.name)
        counter.checkpoint()
        at_rest = counter.count
        counter.restore(counter.name)
        counter.goes_on(at_rest)


@pytest.mark.skipif(not os.environ.get("BERTH_TEST_VM"), reason="needs a kernel that tracks written memory")
def test_memory_is_dumped_ahead_and_what_changed_after_it() -> None:
    with Counter() as counter:
        counter.begin()
        counter.checkpoint("--pre-dump", images=f"{counter.images}/first")
        assert counter.state(counter.name)["status"] == "running"
        counter.goes_on(counter.count)
        counter.checkpoint("--parent-path", "../first", images=f"{counter.images}/second")
        at_rest = counter.count
        counter.restore(counter.name, images=f"{counter.images}/second")
        counter.goes_on(at_rest)


def test_bad_words_are_refused_and_a_failed_restore_leaves_nothing() -> None:
    with Counter() as counter, another(counter) as name:
        counter.begin()
        for words, said in (
            (("--manage-cgroups-mode", "some"), "Invalid manage-cgroups-mode value: some"),
            (("--parent-path", "/x"), "--parent-path must be relative"),
            (("--parent-path", "../x"), "does not exist"),
            (("--page-server", "nowhere"), "ADDRESS:PORT"),
        ):
            refused = counter.checkpoint(*words, check=False)
            assert refused.code == 1 and said in told(refused)
        at = ("--criu", CRIU, "restore", "-d", "-b", counter.home, "--image-path")
        assert "does not exist" in told(counter.runtime(*at, f"{counter.home}/none", name, check=False))
        Path(counter.home, "empty").mkdir()
        counter.runtime("delete", "--force", counter.name)
        failed = counter.runtime(*at, f"{counter.home}/empty", name, check=False)
        assert failed.code == 1 and "criu failed: " in told(failed)
        assert "does not exist" in told(counter.runtime("state", name, check=False))
        assert counter.home not in Path("/proc/self/mountinfo").read_text()
