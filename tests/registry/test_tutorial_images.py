"""The names that tutorials use, pulled through a mirror of docker.io and seen serving, with the commands as they stand there."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from urllib.error import URLError

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually
from harness.hub import Hub
from harness.ports import free_port
from harness.registry import skopeo

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
Offer = Callable[..., Daemon]


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def mirrored(hub: Hub) -> Iterator[Daemon]:
    with Daemon("--registry-mirror", hub.url) as engine:
        yield engine


@pytest.fixture
def offer(hub: Hub, mirrored: Daemon) -> Iterator[Offer]:
    """An engine for which docker.io has these images."""

    def offer(*names: str) -> Daemon:
        hub.offer(*names)
        return mirrored

    yield offer
    mirrored.remove_all()


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except (URLError, OSError) as err:
        raise AssertionError(f"{url}: {err}") from err


def says(engine: Daemon, container: str, *command: str, word: str, flags: tuple[str, ...] = ()) -> str:
    """The output of ``docker exec`` once it has ``word`` in it."""

    def said() -> str:
        done = engine.docker("exec", *flags, container, *command, check=False)
        assert word in done.out, f"{done}\n{engine.docker('logs', '--tail', '20', container, check=False)}"
        return done.out

    return eventually(said, 60, every_s=0.25, why=f"{command[0]} says {word}")


def test_hello_world_and_busybox(offer: Offer) -> None:
    engine = offer("hello-world", "busybox")
    assert "Hello from" in engine.docker("run", "--rm", "hello-world").out
    assert engine.docker("run", "--rm", "busybox:1.36", "echo", "hi").out == "hi\n"


def test_nginx(offer: Offer, hub: Hub) -> None:
    engine, port = offer("nginx"), free_port()
    hub.forget()
    engine.docker("run", "-d", "--name", "web", "-p", f"{port}:80", "nginx")
    assert eventually(lambda: "Welcome to nginx!" in get(f"http://127.0.0.1:{port}/"), 20, why="nginx answers")
    eventually(
        lambda: '"GET / HTTP/1.1" 200' in engine.docker("logs", "web").out, why="the access log is standard output"
    )
    assert hub.asked("GET", "/v2/library/nginx/manifests/latest")
    engine.docker("exec", "web", "sh", "-c", "echo changed > /usr/share/nginx/html/index.html")
    assert get(f"http://127.0.0.1:{port}/") == "changed\n"
    engine.docker("stop", "web")
    assert engine.inspect("web")["State"]["ExitCode"] == 0, "STOPSIGNAL is SIGQUIT"


def test_nginx_with_a_page_and_a_template_mounted(offer: Offer, tmp_path_factory: pytest.TempPathFactory) -> None:
    engine, port = offer("nginx"), free_port()
    html, templates = tmp_path_factory.mktemp("html"), tmp_path_factory.mktemp("templates")
    (html / "index.html").write_text("mine\n")
    (templates / "default.conf.template").write_text(
        "server { listen ${PORT}; location / { root /usr/share/nginx/html; add_header X-Uri $uri; } }\n"
    )
    for folder in (html, html.parent, templates):
        folder.chmod(0o755)
    engine.docker(
        "run", "-d", "-e", "PORT=8080", "-p", f"{port}:8080", "-v", f"{html}:/usr/share/nginx/html:ro",
        "-v", f"{templates}:/etc/nginx/templates", "nginx:1.27-alpine",
    )  # fmt: skip
    assert eventually(
        lambda: get(f"http://127.0.0.1:{port}/") == "mine\n", 20, why="nginx answers with the mounted page"
    )


def test_redis(offer: Offer) -> None:
    engine, port = offer("redis"), free_port()
    engine.docker("run", "-d", "--name", "cache", "-p", f"{port}:6379", "redis:7-alpine")
    says(engine, "cache", "redis-cli", "ping", word="PONG")
    with socket.create_connection(("127.0.0.1", port), 5) as line:  # from outside: the image has no protected mode
        line.sendall(b"SET a 1\r\nGET a\r\n")
        assert eventually(lambda: line.recv(100), 5)[:5] == b"+OK\r\n"
    assert engine.docker("exec", "cache", "stat", "-c", "%U", "/proc/1").out == "redis\n"
    volumes = [mount for mount in engine.inspect("cache")["Mounts"] if mount["Destination"] == "/data"]
    assert volumes and volumes[0]["Type"] == "volume"


def test_python(offer: Offer) -> None:
    engine = offer("python")
    assert engine.docker("run", "--rm", "python:3.12-slim", "python", "-c", "print(6 * 7)").out == "42\n"
    assert engine.docker("run", "--rm", "python", "pip", "--version").out.startswith("pip ")
    assert (
        "Python 3" in engine.docker("run", "-i", "--rm", "python", stdin="import sys; print('Python', sys.version)").out
    )


def test_an_image_that_nobody_offers_is_not_there(offer: Offer) -> None:
    failed = offer("busybox").docker("pull", "alpine", check=False)
    assert failed.code == 1 and "alpine" in failed.err


# --- larger ones


@pytest.mark.long
def test_debian_and_ubuntu(offer: Offer) -> None:
    engine = offer("debian", "ubuntu")
    assert (
        "VERSION_CODENAME=bookworm"
        in engine.docker("run", "--rm", "debian:bookworm-slim", "cat", "/etc/os-release").out
    )
    assert engine.docker("run", "--rm", "ubuntu:24.04", "echo", "hi").out == "hi\n"
    assert "ii  dpkg" in engine.docker("run", "--rm", "debian", "dpkg", "-l", "dpkg").out
    assert "bash" in engine.docker("run", "--rm", "-i", "ubuntu", stdin="echo $0\n").out, "its command is a shell"


@pytest.mark.long
def test_httpd(offer: Offer) -> None:
    engine, port = offer("httpd"), free_port()
    engine.docker("run", "-d", "--name", "web", "-p", f"{port}:80", "httpd:2.4")
    assert eventually(lambda: "It works!" in get(f"http://127.0.0.1:{port}/"), 20, why="httpd answers")
    engine.docker("stop", "web")
    assert engine.inspect("web")["State"]["ExitCode"] == 0


@pytest.mark.long
def test_registry(offer: Offer) -> None:
    engine, port = offer("registry", "busybox"), free_port()
    engine.docker("run", "-d", "-p", f"{port}:5000", "--restart", "always", "--name", "registry", "registry:2")
    eventually(lambda: get(f"http://127.0.0.1:{port}/v2/") == "{}", 20, why="the registry answers")
    engine.docker("pull", "busybox")
    engine.docker("tag", "busybox", f"localhost:{port}/my-busybox")
    engine.docker("push", f"localhost:{port}/my-busybox")
    found = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://localhost:{port}/my-busybox"))
    assert found["RepoTags"] == ["latest"]


@pytest.mark.long
def test_node(offer: Offer) -> None:
    engine = offer("node")
    assert engine.docker("run", "--rm", "node:lts-alpine", "node", "-e", "console.log(6 * 7)").out == "42\n"
    assert engine.docker("run", "--rm", "node", "npm", "--version").out.startswith("10.")
    assert engine.docker("run", "--rm", "node", "yarn", "--version").out.startswith("1.")
    assert engine.docker("run", "--rm", "-u", "node", "node", "id", "-u").out == "1000\n"


@pytest.mark.long
def test_postgres(offer: Offer) -> None:
    engine = offer("postgres")
    failed = engine.docker("run", "--rm", "postgres", check=False)
    assert failed.code == 1 and "POSTGRES_PASSWORD" in failed.err
    engine.docker(
        "run",
        "-d",
        "--name",
        "db",
        "-e",
        "POSTGRES_PASSWORD=secret",
        "-e",
        "POSTGRES_DB=shop",
        "--hostname",
        "pg",
        "postgres:16",
    )
    ask = ("db", "psql", "-h", "pg", "-U", "postgres", "-d", "shop", "-Atc")
    right = ("-e", "PGPASSWORD=secret")
    assert says(engine, *ask, "select 'answer ' || 6 * 7", word="answer", flags=right) == "answer 42\n"
    wrong = engine.docker("exec", "-e", "PGPASSWORD=wrong", *ask, "select 1", check=False)
    assert wrong.code != 0 and "password authentication failed" in wrong.err
    engine.docker("stop", "db")
    assert engine.inspect("db")["State"]["ExitCode"] == 0


@pytest.mark.long
@pytest.mark.parametrize("name", ["mariadb", "mysql"])
def test_mariadb_and_mysql(offer: Offer, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    engine = offer(name)
    scripts = tmp_path_factory.mktemp("initdb")
    scripts.chmod(0o755)
    scripts.parent.chmod(0o755)
    (scripts / "10-goods.sql").write_text(
        "CREATE TABLE goods (name VARCHAR(20)); INSERT INTO goods VALUES ('a lamp');\n"
    )
    engine.docker(
        "run", "-d", "--name", "db", "-e", "MYSQL_ROOT_PASSWORD=secret", "-e", "MYSQL_DATABASE=shop", "-e", "MYSQL_USER=ann",
        "-e", "MYSQL_PASSWORD=it's", "-v", f"{scripts}:/docker-entrypoint-initdb.d:ro", name,
    )  # fmt: skip
    ask = ("db", "mysql", "-h127.0.0.1")
    says(engine, *ask, "-uann", "-pit's", "shop", "-e", "SELECT * FROM goods", word="a lamp")
    says(engine, *ask, "-uroot", "-psecret", "-e", "SHOW DATABASES", word="shop")
    wrong = engine.docker("exec", *ask, "-uroot", "-pwrong", "-e", "SELECT 1", check=False)
    assert wrong.code == 1 and "Access denied" in wrong.err
