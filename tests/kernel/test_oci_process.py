"""runtime-spec 1.2 config.md: Process, User, POSIX and Linux process, Hooks; config-linux.md: Seccomp, Personality."""

from __future__ import annotations

import array
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.attack import RUNTIME, Bundle, told
from harness.eventually import eventually

pytestmark = pytest.mark.root


def prints(bundle: Bundle, script: str) -> list[str]:
    """What a script prints as the container's program."""
    bundle.config["process"]["args"] = ["sh", "-c", script]
    return bundle.run().out.splitlines()


@pytest.mark.spec("config.md#process", "config.md#user", "config.md#posix-platform-user")
def test_user_groups_umask_cwd_env_and_args() -> None:
    with Bundle(env=["PATH=/bin", "A=b=c", "EMPTY="], cwd="/made/here") as bundle:
        bundle.config["process"]["user"] = {"uid": 1000, "gid": 2000, "additionalGids": [5, 6], "umask": 0o27}
        seen = prints(bundle, 'id -u; id -g; id -G; umask; pwd; echo $A; echo "<$EMPTY>"; echo $HOME')
        assert seen == ["1000", "2000", "2000 5 6", "0027", "/made/here", "b=c", "<>", "/"]


@pytest.mark.parametrize(
    ("process", "says"),
    [
        ({"args": []}, "args must not be empty"),
        ({"cwd": "rel"}, "Cwd must be an absolute path"),
        ({"cwd": ""}, "Cwd property must not be empty"),
        ({"args": ["nosuch"]}, 'exec: "nosuch": executable file not found in $PATH'),
        ({"args": ["/etc/passwd"]}, 'exec: "/etc/passwd": permission denied'),
        ({"args": ["/nosuch"]}, 'exec: "/nosuch": stat /nosuch: no such file or directory'),
        ({"rlimits": [{"type": "RLIMIT_MOON", "soft": 1, "hard": 1}]}, 'unknown rlimit "RLIMIT_MOON"'),
        ({"rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}] * 2}, 'duplicated rlimit "RLIMIT_CORE"'),
        ({"scheduler": {"policy": "SCHED_MOON"}}, "invalid scheduler policy: SCHED_MOON"),
        ({"ioPriority": {"class": "IOPRIO_CLASS_MOON", "priority": 1}}, "invalid ioPriority"),
        ({"execCPUAffinity": {"final": "moon"}}, "invalid CPU affinity: moon"),
        ({"terminal": True}, "without setting console socket"),
    ],
)
@pytest.mark.spec("config.md#process", "config.md#posix-process", "config.md#valid-values")
def test_processes_that_cannot_be(process: dict[str, Any], says: str) -> None:
    with Bundle() as bundle:
        bundle.config["process"].update(process)
        refused = bundle.create(check=False)
        assert refused.code == 1 and says in told(refused)


@pytest.mark.spec("config.md#linux-process")
def test_the_five_sets_of_capabilities() -> None:
    sets = {
        "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"], "permitted": ["CAP_KILL", "CAP_CHOWN"],
        "effective": ["CAP_KILL"], "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"],
    }  # fmt: skip
    with Bundle() as bundle:
        bundle.config["process"]["capabilities"] = sets
        bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
        bundle.start()
        lines = Path(f"/proc/{bundle.pid}/status").read_text().splitlines()
        seen = {line.split()[0]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}
        # a user's execve: what is ambient becomes permitted and effective, the rest is gone (capabilities(7))
        assert seen["CapBnd:"] == 1 << 5 | 1 << 0 | 1 << 13
        assert seen["CapInh:"] == seen["CapAmb:"] == seen["CapPrm:"] == seen["CapEff:"] == 1 << 0


@pytest.mark.spec("config.md#linux-process", "runtime.md#warnings")
def test_unknown_and_impossible_capabilities_are_warnings() -> None:
    with Bundle(args=["true"]) as bundle:
        bundle.config["process"]["capabilities"]["bounding"] = ["CAP_KILL", "CAP_MOON"]
        bundle.config["process"]["capabilities"]["ambient"] = ["CAP_KILL"]
        said = told(bundle.run())
        assert 'capability "CAP_MOON" is ignored' in said and "ambient capabilities" in said and "level=warning" in said


@pytest.mark.spec("config.md#linux-process", "config.md#posix-process")
def test_no_new_privileges_oom_score_and_rlimits() -> None:
    with Bundle(noNewPrivileges=True, oomScoreAdj=321) as bundle:
        bundle.config["process"]["rlimits"] = [
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 18446744073709551615},
        ]  # fmt: skip
        bundle.start()
        assert "NoNewPrivs:\t1" in Path(f"/proc/{bundle.pid}/status").read_text()
        assert Path(f"/proc/{bundle.pid}/oom_score_adj").read_text() == "321\n"
        limits = Path(f"/proc/{bundle.pid}/limits").read_text()
        assert "Max open files            100                  200" in limits
        assert "Max core file size        0                    unlimited" in limits
        assert bundle.sh("ulimit -n; ulimit -Hn").out == "100\n200\n"


@pytest.mark.spec("config.md#linux-process", "config-linux.md#personality")
def test_scheduler_io_priority_affinity_and_personality() -> None:
    with Bundle(scheduler={"policy": "SCHED_BATCH", "nice": 7}, ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 4},
                execCPUAffinity={"initial": "0", "final": "1"}) as bundle:  # fmt: skip
        bundle.config["linux"]["personality"] = {"domain": "LINUX32"}
        bundle.start()
        pid = bundle.pid
        assert os.sched_getscheduler(pid) == os.SCHED_BATCH and os.getpriority(os.PRIO_PROCESS, pid) == 7
        assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)  # of processes beside init alone
        assert "list:\t1\n" in bundle.sh("grep Cpus_allowed /proc/self/status").out
        assert bundle.sh("ionice -p 1").out.startswith("idle")
        assert int(Path(f"/proc/{pid}/personality").read_text(), 16) == 8


@pytest.mark.spec("runtime-linux.md#file-descriptors")
def test_nothing_but_the_streams_and_what_is_preserved_goes_in() -> None:
    with Bundle(args=["sh", "-c", "ls /proc/self/fd; cat <&4"]) as bundle:
        Path(f"{bundle.home}/config.json").write_text(json.dumps(bundle.config))
        Path(f"{bundle.home}/file").write_text("handed in")
        words = [
            *RUNTIME,
            "--root",
            f"{bundle.home}/state",
            "run",
            "--preserve-fds",
            "2",
            "-b",
            bundle.home,
            bundle.name,
        ]
        script = f'exec 3</dev/null 4<{bundle.home}/file; exec "$@"'
        done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        assert done.stdout.endswith("handed in") and done.stdout.split()[:5] == ["0", "1", "2", "3", "4"], done
        refused = bundle.runtime("run", "--preserve-fds", "9", "-b", bundle.home, bundle.name, check=False)
        assert "unable to preserve fds" in told(refused)


def console_of(bundle: Bundle, *words: str) -> int:
    """Run a verb that sends its terminal; the master."""
    path = f"{bundle.home}/console"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(1)
        command = [*RUNTIME, "--root", f"{bundle.home}/state", *words]
        caller = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        listener.settimeout(30)
        sock, _ = listener.accept()
        with sock:
            fds = array.array("i")
            _, ancillary, _, _ = sock.recvmsg(100, socket.CMSG_SPACE(4))
            fds.frombytes(ancillary[0][2])
        assert caller.wait(60) == 0
    os.unlink(path)
    return fds[0]


def read_until(master: int, text: str) -> str:
    seen = ""
    while text not in seen:
        seen += os.read(master, 1000).decode()
    return seen


@pytest.mark.spec("config.md#process", "config-linux.md#default-devices")
def test_a_terminal_goes_over_the_console_socket_for_create_and_exec() -> None:
    with Bundle(terminal=True, consoleSize={"height": 33, "width": 77}) as bundle:
        bundle.config["process"]["args"] = ["sh", "-c", "tty; stty size; exec sleep 1000"]
        Path(f"{bundle.home}/config.json").write_text(json.dumps(bundle.config))
        sock = f"{bundle.home}/console"
        master = console_of(bundle, "create", "--console-socket", sock, "-b", bundle.home, bundle.name)
        bundle.runtime("start", bundle.name)
        assert read_until(master, "33 77").startswith("/dev/pts/0")
        assert bundle.sh("stat -c %t:%T /dev/console").out == "88:0\n"
        other = console_of(
            bundle, "exec", "-d", "-t", "--console-socket", sock, bundle.name, "sh", "-c", "tty; sleep 1000"
        )
        assert "/dev/pts/1" in read_until(other, "/dev/pts/1")
        os.close(master)
        os.close(other)


@pytest.mark.spec("config.md#process")
def test_exec_takes_its_own_user_directory_environment_and_process_file() -> None:
    with Bundle() as bundle:
        bundle.start()
        done = bundle.runtime("exec", "--user", "1000:5", "-g", "6", "--cwd", "/tmp", "-e", "X=y", bundle.name,
                              "sh", "-c", "id -u; id -G; pwd; echo $X; exit 7", check=False)  # fmt: skip
        assert done.code == 7 and done.out.split() == ["1000", "5", "6", "/tmp", "y"]
        process = {**bundle.config["process"], "args": ["sh", "-c", "echo $$ >/pid; ulimit -n"],
                   "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 50}]}  # fmt: skip
        Path(f"{bundle.home}/process.json").write_text(json.dumps(process))
        done = bundle.runtime(
            "exec", "-p", f"{bundle.home}/process.json", "--pid-file", f"{bundle.home}/pid", bundle.name
        )
        assert done.out == "50\n" and Path(f"{bundle.home}/pid").read_text().isdigit()
        assert bundle.runtime("exec", bundle.name, "nosuch", check=False).code == 255
        assert "parsing --user" in told(bundle.runtime("exec", "-u", "joe", bundle.name, "true", check=False))


# --- hooks


def hook(bundle: Bundle, script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["FROM=hook"], **more}


@pytest.mark.spec(
    "config.md#posix-platform-hooks",
    "config.md#prestart",
    "config.md#createruntime-hooks",
    "config.md#createcontainer-hooks",
    "config.md#startcontainer-hooks",
    "config.md#poststart",
    "config.md#poststop",
    "config.md#summary",
    "runtime.md#hooks",
)
def test_the_six_hooks_run_in_their_order_and_places_with_the_state() -> None:
    with Bundle() as bundle:
        log = f"{bundle.home}/log"
        tells = f"(echo $0 $FROM $(cut -d'\"' -f12 | head -1) $(readlink /proc/self/ns/mnt) $(pwd)) >>{log}"
        outside = {n: [{"path": "/bin/sh", "args": ["sh", "-c", tells, n], "env": ["FROM=hook", "PATH=/bin:/usr/bin"]}]
                   for n in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")}  # fmt: skip
        inside = {"path": "/bin/sh", "args": ["sh", "-c", "cat >/state"], "env": ["PATH=/bin"]}
        bundle.config["hooks"] = {**outside, "startContainer": [inside]}
        bundle.create()
        pid = bundle.pid
        container = os.readlink(f"/proc/{pid}/ns/mnt")
        assert not os.path.exists(f"{bundle.rootfs}/state")
        bundle.runtime("start", bundle.name)
        bundle.runtime("delete", "-f", bundle.name)
        ours = os.readlink("/proc/self/ns/mnt")
        lines = [line.split() for line in Path(log).read_text().splitlines()]
        assert [line[:3] for line in lines] == [
            ["prestart", "hook", "creating"], ["createRuntime", "hook", "creating"], ["createContainer", "hook", "creating"],
            ["poststart", "hook", "running"], ["poststop", "hook", "stopped"],
        ]  # fmt: skip
        assert [line[3] for line in lines] == [ours, ours, container, ours, ours]
        assert lines[0][4] == bundle.home
        state = json.loads(Path(f"{bundle.rootfs}/state").read_text())
        assert state["status"] == "created" and state["pid"] == pid and state["id"] == bundle.name
        assert state["bundle"] == bundle.home and state["ociVersion"]


@pytest.mark.parametrize("name", ["prestart", "createRuntime", "createContainer"])
@pytest.mark.spec("config.md#posix-platform-hooks", "runtime.md#hooks")
def test_a_hook_that_fails_ends_the_creation(name: str) -> None:
    with Bundle() as bundle:
        bundle.config["hooks"] = {name: [hook(bundle, "echo its words; exit 9")]}
        refused = bundle.create(check=False)
        assert refused.code == 1
        assert f"error running {name} hook #0: exit status 9, stdout: its words" in told(refused)
        assert bundle.runtime("list", "-q").out == ""


@pytest.mark.parametrize("name", ["createRuntime", "createContainer"])
@pytest.mark.spec("config.md#posix-platform-hooks")
def test_a_hook_has_its_time(name: str) -> None:
    with Bundle() as bundle:
        bundle.config["hooks"] = {name: [hook(bundle, "exec sleep 100", timeout=1)]}
        refused = bundle.create(check=False)
        assert f"error running {name} hook #0: timeout of 1 s exceeded" in told(refused)


@pytest.mark.spec("config.md#poststart", "config.md#poststop", "runtime.md#warnings")
def test_failures_after_the_start_are_warnings() -> None:
    with Bundle() as bundle:
        bundle.config["hooks"] = {"poststart": [hook(bundle, "exit 1")], "poststop": [hook(bundle, "exit 2")]}
        bundle.create()
        started = bundle.runtime("start", bundle.name)
        assert "level=warning" in started.err and "poststart hook #0: exit status 1" in told(started)
        assert "poststop hook #0: exit status 2" in told(bundle.runtime("delete", "-f", bundle.name))


@pytest.mark.parametrize(
    ("hooks", "says"),
    [
        ({"prestart": [{"path": "sh"}]}, "needs an absolute path"),
        ({"prestart": [{"path": "/x", "timeout": 0}]}, "timeout"),
    ],
)
@pytest.mark.spec("config.md#posix-platform-hooks")
def test_hooks_that_are_none(hooks: dict[str, Any], says: str) -> None:
    with Bundle() as bundle:
        bundle.config["hooks"] = hooks
        assert says in told(bundle.create(check=False))


# --- seccomp


@pytest.mark.spec("config-linux.md#seccomp")
def test_seccomp_answers_compares_arguments_and_knows_flags() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        "syscalls": [
            {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 75},
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 11,
             "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]},
        ],
    }  # fmt: skip
    with Bundle() as bundle:
        bundle.config["linux"]["seccomp"] = profile
        bundle.start()
        said = bundle.sh("hostname x; mkdir /d; kill -USR1 $$; trap : USR2; kill -USR2 $$ && echo sent")
        assert "Value too large" in said.err and "Operation not permitted" in said.err
        assert "Resource temporarily unavailable" in said.err and said.out == "sent\n"
        assert "Seccomp:\t2" in Path(f"/proc/{bundle.pid}/status").read_text()


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ({"defaultAction": "SCMP_ACT_MOON"}, "SCMP_ACT_MOON"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_MOON"]}, "SECCOMP_FILTER_FLAG_MOON"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]},
         "needs a listenerPath"),
        ({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}, "cannot be used as default action"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nonexistent",
          "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}, "connect to the seccomp agent at /nonexistent"),
    ],
)  # fmt: skip
@pytest.mark.spec("config-linux.md#seccomp")
def test_profiles_that_cannot_be(profile: dict[str, Any], says: str) -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["seccomp"] = profile
        refused = bundle.create(check=False)
        assert refused.code == 1 and says in told(refused)


@pytest.mark.spec("config-linux.md#seccomp", "config-linux.md#the-container-process-state")
def test_a_seccomp_agent_gets_the_filter_and_the_state() -> None:
    with Bundle(args=["sh", "-c", "mkdir /asked"]) as bundle:
        path = f"{bundle.home}/agent"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(30)
            bundle.config["annotations"] = {"a": "b"}
            bundle.config["linux"]["seccomp"] = {
                "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "meta",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
            }  # fmt: skip
            bundle.create()
            bundle.runtime("start", bundle.name)
            sock, _ = listener.accept()
            with sock:
                fds = array.array("i")
                raw, ancillary, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(4))
                fds.frombytes(ancillary[0][2])
                assert sock.recv(10) == b""  # exactly one, then the connection is closed
        message = json.loads(raw)
        assert message["fds"] == ["seccompFd"] and message["metadata"] == "meta"
        assert message["state"]["id"] == bundle.name and message["state"]["annotations"] == {"a": "b"}
        assert message["pid"] == message["state"]["pid"] == bundle.pid
        assert os.readlink(f"/proc/self/fd/{fds[0]}") == "anon_inode:seccomp notify"
        assert not os.path.exists(f"{bundle.rootfs}/asked")
        os.close(fds[0])  # without its agent the call answers ENOSYS
        eventually(lambda: json.loads(bundle.runtime("state", bundle.name).out)["status"] == "stopped")


@pytest.mark.spec("config.md#linux-process")
def test_labels_of_modules_that_this_host_lacks() -> None:
    from berth.kernel import lsm

    for key, has, says in (
        ("apparmorProfile", lsm.has_apparmor(), "apparmor"),
        ("selinuxLabel", lsm.has_selinux(), "selinux"),
    ):
        with Bundle() as bundle:
            bundle.config["process"][key] = "no-such-label"
            refused = bundle.create(check=False)
            if not has:
                assert refused.code == 1 and says in told(refused) and "not supported" in told(refused)
