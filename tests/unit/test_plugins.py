"""Where plugins are found: sockets before .spec before .json, each in a folder of its own too."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from berth.base.errors import InvalidArgument, NotFound
from berth.plugins.client import Plugins
from berth.plugins.discovery import Folders, Place, Tls, find_place


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    for name in ("run", "etc", "usr"):
        (tmp_path / name).mkdir()
    return Folders(str(tmp_path / "run"), (str(tmp_path / "etc"), str(tmp_path / "usr")))


def test_a_socket_wins(folders: Folders) -> None:
    Path(folders.specs[0], "one.spec").write_text("tcp://10.0.0.1:8080\n")
    assert find_place("one", folders) == Place("one", "tcp://10.0.0.1:8080")
    Path(folders.sockets, "one").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folders.sockets}/one/one.sock")
        assert find_place("one:latest", folders) == Place("one", f"unix://{folders.sockets}/one/one.sock")


def test_a_description(folders: Folders) -> None:
    said = {
        "Name": "other",
        "Addr": "https://plugin.example:1",
        "TLSConfig": {"CAFile": "/ca", "InsecureSkipVerify": True},
    }
    Path(folders.specs[1], "one.json").write_text(json.dumps(said))
    assert find_place("one", folders) == Place("other", "https://plugin.example:1", Tls(True, "/ca", "", ""))


@pytest.mark.parametrize(("file", "words"), [
    ("one.spec", "ftp://x"), ("one.spec", ""), ("one.json", "{"), ("one.json", "[]"), ("one.json", '{"Name": "x"}'),
])  # fmt: skip
def test_descriptions_that_say_nothing(folders: Folders, file: str, words: str) -> None:
    Path(folders.specs[0], file).write_text(words)
    with pytest.raises(InvalidArgument, match="one"):
        find_place("one", folders)


@pytest.mark.parametrize("name", ["nobody", "../etc/passwd", "a/b", "", "-x"])
def test_nobody(folders: Folders, name: str) -> None:
    assert find_place(name, folders) is None
    with pytest.raises(NotFound, match="v1 plugin registry"):
        Plugins(folders).get(name, "NetworkDriver")
