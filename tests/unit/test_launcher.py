"""The launcher's decisions: when a command needs this machine's engine, whose engine answers, what an environment is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from berth.cli import local

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tools"))

import pip_wheel  # noqa: E402
import prepare  # noqa: E402


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("run hello-world", True),
        ("--debug ps -a", True),
        ("--config /x ps", True),
        ("-l debug ps", True),
        ("run busybox ls --help", True),
        ("", False),
        ("--help", False),
        ("help run", False),
        ("run --help", False),
        ("--version", False),
        ("-H tcp://there:2375 ps", False),
        ("--host=unix:///x ps", False),
        ("--context other ps", False),
        ("context ls", False),
        ("image ls", True),
        ("image", False),
        ("image --help", False),
        ("image ls --help", False),
    ],
)
def test_which_commands_want_a_daemon(words: str, wanted: bool) -> None:
    assert local.wants_local(words.split()) is wanted


@pytest.mark.parametrize(
    ("header", "ours"),
    [("Server: Berth/0.1.0 (linux)", True), ("Server: Docker/28.2.2 (linux)", False), ("X: y", False)],
)
def test_only_a_berth_is_a_berth(tmp_path: Path, header: str, ours: bool) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(f"HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 2\r\n\r\n".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        assert local.is_berth(path) is ours
        thread.join()
    assert local.is_berth(path) is False  # nobody listens any more
    assert local.is_berth(str(tmp_path / "nothing")) is False


def test_an_environment_made_by_hand_is_one(tmp_path: Path) -> None:
    """What Python itself says of it: its prefix, its site-packages, our source on its path."""
    venv = tmp_path / ".venv"
    python = venv / "bin" / "python"
    (tmp_path / "pyproject.toml").write_text('[project]\nscripts = {tool = "os.path:abspath"}\n')
    prepare._make_environment(str(venv), str(python))
    prepare._link_checkout(str(venv), str(tmp_path), str(python))
    code = "import sys, site; print(sys.prefix); print(site.getsitepackages()[0]); print(sys.prefix != sys.base_prefix)"
    lines = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines == [str(venv), prepare._site_packages(str(venv)), "True"]
    assert (Path(prepare._site_packages(str(venv))) / "berth-checkout.pth").read_text() == f"{tmp_path}/src\n"
    assert os.access(venv / "bin" / "tool", os.X_OK)


def test_a_stamp_fits_only_its_lock(tmp_path: Path) -> None:
    lock = tmp_path / "runtime.lock"
    lock.write_text("a==1\n")
    prepare._stamp(str(tmp_path), "runtime", prepare._stamp_text(str(lock)))
    assert prepare._fits(str(tmp_path), "runtime", prepare._stamp_text(str(lock)), sys.executable)
    lock.write_text("a==2\n")
    assert not prepare._fits(str(tmp_path), "runtime", prepare._stamp_text(str(lock)), sys.executable)


def test_pip_comes_from_the_index_that_pip_is_set_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder as an index; content with another hash is refused."""
    index = tmp_path / "simple" / "pip"
    index.mkdir(parents=True)
    (index / "index.html").write_text(f'<a href="../../files/{pip_wheel.NAME}#sha256=x">pip</a>')
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / pip_wheel.NAME).write_bytes(b"not pip")
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split("port ")[1].split()[0]
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
        monkeypatch.setattr(pip_wheel, "URL", "http://127.0.0.1:9/nothing")
        with pytest.raises(pip_wheel.Unreachable, match="its sha256 is not the pinned one"):
            pip_wheel.fetch(str(tmp_path), lambda sentence: None)
        import hashlib

        monkeypatch.setattr(pip_wheel, "SHA256", hashlib.sha256(b"not pip").hexdigest())
        assert Path(pip_wheel.fetch(str(tmp_path), lambda sentence: None)).read_bytes() == b"not pip"
    finally:
        server.kill()
        server.communicate()


def test_the_locks_pin_by_hash_and_name_no_other_index() -> None:
    for lock in (HOME / "requirements").glob("*.lock"):
        lines = lock.read_text().splitlines()
        assert all(line.startswith(("#", "    --hash=sha256:")) or "==" in line for line in lines), lock
        assert not any("://" in line for line in lines)
