"""The daemon's program: TLS for the stock CLI, sockets of systemd, notifications, reload, --validate, its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from harness import cli, leaks
from harness.certificates import for_docker
from harness.daemon import Daemon
from harness.eventually import eventually
from harness.ports import free_port
from harness.wire import Wire

pytestmark = pytest.mark.root

MakeDaemon = Callable[..., Daemon]


def berthd(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "berth.daemon.main", *argv], capture_output=True, text=True, timeout=60, check=False
    )


def test_stock_cli_over_tls(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    for_docker(str(tmp_path))
    for_docker(str(tmp_path / "others"))
    port = free_port()
    daemon = make_daemon(
        "--host", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", f"{tmp_path}/ca.pem",
        "--tlscert", f"{tmp_path}/server-cert.pem", "--tlskey", f"{tmp_path}/server-key.pem",
    )  # fmt: skip

    def docker(*words: str, stdin: str = "", certificates: Path = tmp_path, check: bool = True) -> cli.Result:
        env = {
            "DOCKER_HOST": f"tcp://127.0.0.1:{port}",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(certificates),
        }
        return cli.run(
            [cli.docker_program(), *words], env=cli.client_environ(daemon.host, env), stdin=stdin, check=check
        )

    assert docker("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo after", stdin="in\n").out == "in\nafter\n"
    docker("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
    assert docker("exec", "-i", "c1", "wc", "-c", stdin="x" * 300_000).out == "300000\n"
    assert docker("exec", "c1", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)[:1] == (3,)
    many = docker("exec", "c1", "head", "-c", "3000000", "/dev/zero")
    assert len(many.out) == 3_000_000
    refused = docker("ps", certificates=tmp_path / "others", check=False)
    assert refused.code != 0 and "certificate" in refused.err


def test_plain_tcp_only_when_it_is_asked_for() -> None:
    refused = berthd("--host", "tcp://127.0.0.1:0", "--validate")
    assert refused.returncode == 1 and "without TLS: whoever reaches it is root" in refused.stderr
    assert berthd("--host", "tcp://127.0.0.1:0", "--tls=false", "--validate").stdout == "configuration OK\n"


def test_certificates_that_are_missing_are_named(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--host", "tcp://127.0.0.1:0", "--tlsverify", "--tlscert", "/no/cert.pem", start=False)
    daemon.spawn()
    assert daemon.process is not None and daemon.process.wait(60) == 1
    assert "could not read --tlscert /no/cert.pem: No such file or directory" in daemon.log()


def test_sockets_of_systemd_and_what_it_hears(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    passed = socket.socket(socket.AF_UNIX)
    passed.bind(str(tmp_path / "passed.sock"))
    passed.listen(10)
    hears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    hears.bind(str(tmp_path / "notify.sock"))
    hears.settimeout(30)
    config = tmp_path / "daemon.json"
    config.write_text("{}")
    daemon = make_daemon("--host", "fd://", "--config-file", str(config), start=False)
    script = f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    with open(daemon.log_path, "ab") as out:
        daemon.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *daemon.command()], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            pass_fds=[passed.fileno()], start_new_session=True,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify.sock")},
        )  # fmt: skip
    assert hears.recv(100) == b"READY=1", daemon.log()
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(tmp_path / "passed.sock"))
    assert Wire(client).ask("GET", "/_ping").status == 200
    assert daemon.answers()
    daemon.process.send_signal(signal.SIGHUP)
    assert hears.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert hears.recv(100) == b"READY=1"
    client.close()
    passed.close()
    assert daemon.stop() == 0
    assert hears.recv(100) == b"STOPPING=1"
    assert (tmp_path / "passed.sock").exists()  # it is systemd's


def test_fd_without_systemd_is_refused(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--host", "fd://", start=False)
    daemon.spawn()
    assert daemon.process is not None and daemon.process.wait(60) == 1
    assert "no sockets found via socket activation" in daemon.log()


def test_sighup_takes_new_values_over(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    config = tmp_path / "daemon.json"

    def write(**keys: Any) -> None:
        config.write_text(json.dumps(keys))

    write(labels=["stage=one"], debug=False)
    daemon = make_daemon("--config-file", str(config), busybox=False)
    assert daemon.api("GET", "/info").body["Labels"] == ["stage=one"]
    write(**{
        "labels": ["stage=two", "rack=7"], "debug": True, "live-restore": False, "max-concurrent-downloads": 7,
        "registry-mirrors": ["http://127.0.0.1:1"], "insecure-registries": ["10.0.0.0/8"],
    })  # fmt: skip
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.api("GET", "/info").body["Labels"] == ["stage=two", "rack=7"])
    info = daemon.api("GET", "/info").body
    assert info["Debug"] is True and info["LiveRestoreEnabled"] is False
    assert [m.rstrip("/") for m in info["RegistryConfig"]["Mirrors"]] == ["http://127.0.0.1:1"]
    event = _reloads(daemon)[-1]
    assert event["Action"] == "reload"
    assert event["Actor"]["ID"] == info["ID"]
    assert event["Actor"]["Attributes"] == {
        "name": info["Name"], "labels": '["stage=two","rack=7"]', "debug": "true", "log-level": "info", "live-restore": "false",
        "max-concurrent-downloads": "7", "max-concurrent-uploads": "5", "max-download-attempts": "5", "shutdown-timeout": "15",
        "registry-mirrors": '["http://127.0.0.1:1"]', "insecure-registries": '["10.0.0.0/8"]', "registries": "map[]",
        "default-runtime": "berth", "runtimes": "", "default-shm-size": "67108864", "default-ipc-mode": "private",
        "default-cgroupns-mode": "private", "features": "map[]",
    }  # fmt: skip


def test_sighup_changes_what_new_containers_get(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    config = tmp_path / "daemon.json"
    config.write_text("{}")
    daemon = make_daemon("--config-file", str(config))
    daemon.docker("create", "--name", "before", "busybox")
    config.write_text(json.dumps({
        "runtimes": {"other": {"path": "/usr/bin/other", "runtimeArgs": ["--debug"]}, "more": {"path": "/usr/bin/more"}},
        "default-runtime": "other", "default-shm-size": "1m", "default-ipc-mode": "shareable", "default-cgroupns-mode": "host",
        "features": {"x": True, "a": False}, "shutdown-timeout": 7,
    }))  # fmt: skip
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.api("GET", "/info").body["DefaultRuntime"] == "other")
    daemon.docker("create", "--name", "after", "busybox")
    names = ("Runtime", "ShmSize", "IpcMode", "CgroupnsMode")
    shown = {name: [daemon.inspect(name)["HostConfig"][key] for key in names] for name in ("before", "after")}
    assert shown == {
        "before": ["berth", 64 << 20, "private", "private"],
        "after": ["other", 1 << 20, "shareable", "host"],
    }
    told = _reloads(daemon)[-1]["Actor"]["Attributes"]
    assert told["runtimes"] == "other:/usr/bin/other more:/usr/bin/more" and told["features"] == "map[a:false x:true]"


@pytest.mark.parametrize(("text", "why"), [
    ("{", "Expecting property name"), ('{"nonsense": 1}', "don't match any configuration option: nonsense"),
    ('{"labels": ["stage=two"], "default-runtime": "nope"}', "specified default runtime 'nope' does not exist"),
    ('{"labels": ["stage=two"], "runtimes": {"berth": {"path": "x"}}}', "runtime name 'berth' is reserved"),
    ('{"labels": ["stage=two"], "max-concurrent-downloads": -1}', "invalid max concurrent downloads: -1"),
    ('{"labels": ["stage=two"], "registries": {"a": 5}}', "registries"),
])  # fmt: skip
def test_a_wrong_file_at_sighup_changes_nothing(text: str, why: str, reloading: tuple[Daemon, Path]) -> None:
    daemon, config = reloading
    before = {k: v for k, v in daemon.api("GET", "/info").body.items() if k in _RELOADED}
    told = daemon.log(1000).count("the configuration was not reloaded")
    config.write_text(text)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.log(1000).count("the configuration was not reloaded") == told + 1)
    assert why in next(line for line in reversed(daemon.log(1000).splitlines()) if "was not reloaded" in line)
    assert {k: v for k, v in daemon.api("GET", "/info").body.items() if k in _RELOADED} == before
    assert not _reloads(daemon)


def _reloads(daemon: Daemon) -> list[dict[str, Any]]:
    answer = daemon.api("GET", f"/events?since=0&until={time.time()}&filters=" + quote('{"event": ["reload"]}')).body
    return [json.loads(line) for line in answer.splitlines()] if isinstance(answer, str) else [answer]


_RELOADED = ("Labels", "Debug", "DefaultRuntime", "Runtimes", "LiveRestoreEnabled", "RegistryConfig")


@pytest.fixture(scope="module")
def reloading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Path]]:
    config = tmp_path_factory.mktemp("reload") / "daemon.json"
    config.write_text('{"labels": ["stage=one"]}')
    with Daemon("--config-file", str(config)) as daemon:
        yield daemon, config


def test_host_gateway_of_both_families(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--host-gateway-ip", "10.9.8.7", "--host-gateway-ip", "fd00::7")
    hosts = daemon.docker("run", "--rm", "--add-host", "up:host-gateway", "busybox", "cat", "/etc/hosts").out
    assert "10.9.8.7\tup\nfd00::7\tup\n" in hosts


def test_defaults_of_containers(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    profile = tmp_path / "seccomp.json"
    profile.write_text(json.dumps({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }))  # fmt: skip
    daemon = make_daemon(
        "--default-shm-size", "8m", "--init", "--no-new-privileges", "--default-ulimit", "nofile=100:200",
        "--seccomp-profile", str(profile), "--log-format", "json",
    )  # fmt: skip
    script = (
        "df -k /dev/shm | tail -1 | awk '{print $2}'; ulimit -Sn; ulimit -Hn; "
        "grep NoNewPrivs /proc/self/status; echo $$; mkdir /x"
    )
    ran = daemon.docker("run", "--rm", "busybox", "sh", "-c", script, check=False)
    assert ran.out.split() == ["8192", "100", "200", "NoNewPrivs:", "1", ran.out.split()[-1]]
    assert int(ran.out.split()[-1]) > 1  # the init is number 1
    assert "Operation not permitted" in ran.err
    off = daemon.docker(
        "run", "--rm", "--security-opt", "no-new-privileges=false", "--security-opt", "seccomp=unconfined",
        "busybox", "sh", "-c", "grep NoNewPrivs /proc/self/status; mkdir /x",
    )  # fmt: skip
    assert off.out.split() == ["NoNewPrivs:", "0"]
    assert {"level", "msg", "time"} <= set(json.loads(daemon.log().splitlines()[0]))


def test_validate_asks_the_parts_too(tmp_path: Path) -> None:
    for argv, why in (
        (("--default-runtime", "nope"), "specified default runtime 'nope' does not exist"),
        (("--tls", "--tlscert", "/nowhere"), "could not read --tlscert /nowhere: No such file or directory"),
        (("--exec-opt", "a=b"), "Unknown option: a"),
    ):
        refused = berthd("--validate", *argv)
        assert (refused.returncode, refused.stdout) == (1, "") and why in refused.stderr


def test_validate_tells_the_first_wrong_thing(tmp_path: Path) -> None:
    config = tmp_path / "daemon.json"
    config.write_text('{"unknown-key": 1}')
    refused = berthd("--validate", "--config-file", str(config))
    assert refused.returncode == 1
    assert "the following directives don't match any configuration option: unknown-key" in refused.stderr
    assert berthd("--nonsense").returncode == 1


def test_shutdown_waits_for_containers_at_most_so_long(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon("--live-restore=false", "--shutdown-timeout", "20")
    daemon.docker("run", "-d", "--name", "c1", "--stop-timeout", "1", "busybox", "sh", "-c", "trap '' TERM; sleep 1000")
    daemon.docker("run", "-d", "--name", "c2", "busybox", "sh", "-c", "trap 'exit 5' TERM; sleep 1000 & wait")
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.inspect("c1")["State"]["ExitCode"] == 137
    assert daemon.inspect("c2")["State"]["ExitCode"] == 5


def test_a_clean_stop_leaves_no_process_and_no_cgroup(make_daemon: MakeDaemon) -> None:
    """Nothing of the engine's stays where no container needs it; where one runs on, it stays for that."""
    engine = make_daemon()
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    engine.stop()
    assert list(leaks.cgroup_dirs(engine.instance_id))
    engine.start()
    assert engine.docker("exec", "box", "echo", "alive").out == "alive\n"
    engine.docker("rm", "-f", "box")
    engine.stop()
    assert list(leaks.processes(engine.instance_id, engine.run_root)) == []
    assert list(leaks.cgroup_dirs(engine.instance_id)) == []
    engine.start()
    assert engine.docker("run", "--rm", "busybox", "echo", "again").out == "again\n"


def test_waiting_inits_keep_no_filesystem_of_the_hosts_busy(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """Born while a volume with options, or a disk of the user's, was mounted, they let go of it with the host."""
    subprocess.run(["mount", "-t", "tmpfs", "berth-test", str(tmp_path)], check=True)
    engine = make_daemon(start=False)
    try:
        engine.start().load_busybox()
        engine.docker("volume", "create", "--opt=type=tmpfs", "--opt=device=tmpfs", "own")
        engine.docker(
            "run", "-d", "--name", "box", "-v", "own:/data", "-v", f"{tmp_path}:/disk", "busybox", "sleep", "1000"
        )
        for number in range(6):  # so that others are born
            assert engine.docker("run", "--rm", "busybox", "echo", str(number)).out == f"{number}\n"
        engine.settled()
        engine.docker("rm", "-f", "box")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
    places = (str(tmp_path), f"{engine.data_root}/volumes/own")
    waiting = [pid for pid, name in leaks.processes(engine.instance_id, engine.run_root) if name == "berth-init"]
    assert waiting
    for pid in waiting:
        table = Path(f"/proc/{pid}/mountinfo").read_text()
        assert not [line for line in table.splitlines() if line.split()[4].startswith(places)], table
