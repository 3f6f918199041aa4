"""``docker run`` with the options that people use daily, as the stock CLI sends them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import reference
from harness.daemon import Daemon

pytestmark = pytest.mark.root


def run(engine: Daemon, *args: str, **how: object) -> str:
    """Output of ``docker run --rm ARGS``, without its last newline."""
    return engine.docker("run", "--rm", *args, **how).out.rstrip("\n")  # type: ignore[arg-type]


def test_hello_world_prints_its_message(engine: Daemon) -> None:
    """Also where Docker Hub cannot be reached: then it is the image that Berth builds itself."""
    assert "Hello from " in run(engine, "hello-world", timeout_s=120)
    engine.docker("rmi", "hello-world")


def test_output_and_exit_status_are_the_programs_own(engine: Daemon) -> None:
    result = engine.docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 42", check=False)
    assert (result.code, result.out, result.err) == (42, "out\n", "err\n")


def test_a_program_killed_by_a_signal_ends_with_128_and_its_number(engine: Daemon) -> None:
    script = "sh -c 'kill -9 $$'; exit $?"  # pid 1 itself is deaf to signals of its own namespace
    assert engine.docker("run", "--rm", "busybox", "sh", "-c", script, check=False).code == 137


def test_the_images_own_command_runs_when_none_is_given(engine: Daemon) -> None:
    assert run(engine, "-i", "busybox", stdin="echo from $0\n") == "from sh"


def test_standard_input_is_piped_through_and_its_end_is_seen(engine: Daemon) -> None:
    payload = os.urandom(1 << 20)
    out = run(engine, "-i", "busybox", "sh", "-c", "cat | sha256sum", stdin=payload)
    import hashlib

    assert out.split()[0] == hashlib.sha256(payload).hexdigest()


def test_large_output_arrives_whole_and_in_order(engine: Daemon) -> None:
    out = run(engine, "busybox", "seq", "1", "200000")
    assert out.splitlines() == [str(n) for n in range(1, 200001)]


def test_detached_prints_the_id_and_the_container_runs_on(engine: Daemon) -> None:
    ident = engine.docker("run", "-d", "--name", "behind", "busybox", "sleep", "1000").out.strip()
    assert re.fullmatch(r"[0-9a-f]{64}", ident)
    assert engine.docker("inspect", "-f", "{{.State.Status}} {{.Name}}", ident[:12]).out == "running /behind\n"
    assert engine.docker("ps", "-q", "--no-trunc").lines == [ident]


def test_rm_removes_the_container_and_its_anonymous_volume(engine: Daemon) -> None:
    run(engine, "--name", "gone", "-v", "/anonymous", "busybox", "touch", "/anonymous/x")
    assert engine.docker("ps", "-aq").out == ""
    assert engine.docker("inspect", "gone", check=False).code == 1


def test_name_env_workdir_user_hostname_and_labels(engine: Daemon) -> None:
    script = "echo $A $B; pwd; id -u; id -g; hostname; echo $HOME"
    out = run(
        engine, "-e", "A=1", "--env", "B=two words", "-w", "/made/for/you", "-u", "1000:50", "-h", "ship",
        "-l", "colour=blue", "busybox", "sh", "-c", script,
    )  # fmt: skip
    assert out.splitlines() == ["1 two words", "/made/for/you", "1000", "50", "ship", "/home/user"]


def test_env_of_the_client_and_env_file(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# a comment\nFROM_FILE=yes\nEMPTY=\n")
    out = run(
        engine, "--env-file", str(tmp_path / "env"), "-e", "FROM_CLIENT", "busybox", "env", env={"FROM_CLIENT": "here"}
    )
    assert {"FROM_FILE=yes", "EMPTY=", "FROM_CLIENT=here"} <= set(out.splitlines())


def test_supplementary_groups_of_a_named_user(engine: Daemon) -> None:
    assert run(engine, "-u", "user", "busybox", "id", "-G") == "1000 50 2000"
    assert run(engine, "-u", "user", "--group-add", "4711", "busybox", "id", "-G") == "1000 50 2000 4711"


def test_bind_mounts_read_write_and_read_only(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("inside\n")
    out = run(engine, "-v", f"{tmp_path}:/w", "busybox", "sh", "-c", "cat /w/in; echo back > /w/out")
    assert out == "inside" and (tmp_path / "out").read_text() == "back\n"
    result = engine.docker("run", "--rm", "-v", f"{tmp_path}:/w:ro", "busybox", "touch", "/w/no", check=False)
    assert result.code == 1 and "Read-only file system" in result.err
    out = run(engine, "--mount", f"type=bind,src={tmp_path},dst=/m,readonly", "busybox", "cat", "/m/in")
    assert out == "inside"


def test_a_named_volume_keeps_its_files_between_containers(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon()
    run(engine, "-v", "kept:/data", "busybox", "sh", "-c", "echo kept > /data/f")
    assert run(engine, "-v", "kept:/data", "busybox", "cat", "/data/f") == "kept"


def test_a_new_volume_gets_what_the_image_has_there(engine: Daemon) -> None:
    assert run(engine, "-v", "/var/www", "busybox", "cat", "/var/www/index.html") == "hello from busybox"


def test_tmpfs(engine: Daemon) -> None:
    out = run(engine, "--tmpfs", "/scratch:size=1m,mode=700", "busybox", "sh", "-c", "grep ' /scratch ' /proc/mounts")
    assert out.startswith("tmpfs /scratch tmpfs") and "size=1024k" in out and "mode=700" in out


def test_entrypoint_replaces_and_is_removed_by_an_empty_one(engine: Daemon) -> None:
    assert run(engine, "--entrypoint", "echo", "busybox", "a", "b") == "a b"
    assert run(engine, "--entrypoint", "", "busybox", "echo", "c") == "c"


def test_read_only_root_with_a_writable_tmpfs(engine: Daemon) -> None:
    result = engine.docker("run", "--rm", "--read-only", "busybox", "touch", "/x", check=False)
    assert result.code == 1 and "Read-only file system" in result.err
    assert run(engine, "--read-only", "--tmpfs", "/tmp", "busybox", "sh", "-c", "touch /tmp/x && echo ok") == "ok"


def test_init_is_pid_1_and_reaps(engine: Daemon) -> None:
    script = "cat /proc/1/comm; (sleep 0.05 &) ; sleep 0.3; ps | grep -c '[Zz]ombie\\|\\[sleep\\]' || true"
    first, zombies = run(engine, "--init", "busybox", "sh", "-c", script).splitlines()
    assert "init" in first and zombies == "0"
    assert engine.docker("run", "--rm", "--init", "busybox", "sh", "-c", "exit 7", check=False).code == 7


def test_without_init_the_program_is_pid_1(engine: Daemon) -> None:
    assert run(engine, "busybox", "sh", "-c", "echo $$") == "1"


def test_cidfile_holds_the_id(engine: Daemon, tmp_path: Path) -> None:
    run(engine, "--cidfile", str(tmp_path / "cid"), "busybox", "true")
    assert re.fullmatch(r"[0-9a-f]{64}", (tmp_path / "cid").read_text())


def test_networks_none_and_host(engine: Daemon) -> None:
    assert run(engine, "--network", "none", "busybox", "ls", "/sys/class/net") == "lo"
    if not reference.ADDRESS:  # whose host is another room
        # the namespace and not its links: those of other engines on this machine come and go
        assert run(engine, "--network", "host", "busybox", "readlink", "/proc/self/ns/net") == os.readlink(
            "/proc/self/ns/net"
        )


def test_the_default_bridge_gives_an_address_a_route_and_names(engine: Daemon) -> None:
    out = run(
        engine, "--add-host", "there:10.9.8.7", "busybox", "sh", "-c", "ip -4 addr show eth0; ip route; cat /etc/hosts"
    )
    assert re.search(r"inet 10\.\d+\.\d+\.\d+/\d+|inet 172\.", out)
    assert "default via " in out and "10.9.8.7\tthere" in out


def test_two_containers_reach_each_other_on_the_bridge(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "server", "busybox", "httpd", "-f", "-h", "/var/www")
    address = engine.docker("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "server").out.strip()
    script = f"for i in 1 2 3 4 5 6 7 8 9; do wget -qO- http://{address}/ && break; sleep 0.1; done"
    assert run(engine, "busybox", "sh", "-c", script) == "hello from busybox"


def test_ulimits_and_sysctls(engine: Daemon) -> None:
    assert run(engine, "--ulimit", "nofile=100:200", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn") == "100\n200"
    assert (
        run(engine, "--sysctl", "net.ipv4.ip_default_ttl=42", "busybox", "cat", "/proc/sys/net/ipv4/ip_default_ttl")
        == "42"
    )


def test_devices_of_the_host(engine: Daemon) -> None:
    out = run(engine, "--device", "/dev/null:/dev/mine:r", "busybox", "sh", "-c", "cat /dev/mine && ls -l /dev/mine")
    assert re.search(r"^c.* 1, +3 ", out)


def test_attached_run_forwards_signals(engine: Daemon) -> None:
    import signal

    process = engine.docker_popen(
        "run", "--rm", "busybox", "sh", "-c", "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 5
    assert process.stdout.read() == b"got it\n"


def test_create_then_start_attached(engine: Daemon) -> None:
    ident = engine.docker("create", "-i", "busybox", "cat").out.strip()
    assert engine.docker("inspect", "-f", "{{.State.Status}}", ident).out == "created\n"
    assert engine.docker("start", "-ai", ident, stdin="through\n").out == "through\n"
    assert engine.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", ident).out == "exited 0\n"
    assert engine.docker("start", "-ai", ident, stdin="once more\n").out == "once more\n"
    engine.docker("rm", ident)
