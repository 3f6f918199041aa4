"""``docker cp`` both ways, of running and of stopped containers."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root

SETUP = (
    "mkdir -p /d/sub; echo hi >/d/f; chown 5:6 /d/f; chmod 640 /d/f; ln -s f /d/l; ln -s /d /dl; ln /d/f /d/hard; "
    "ln -s /nowhere /dangle; echo v >/vol/x; "
)


@pytest.fixture(params=["running", "stopped"])
def box(engine: Daemon, request: pytest.FixtureRequest) -> Daemon:
    """A container ``box`` with files in its layer and in a volume."""
    end = "exec sleep 1000" if request.param == "running" else "true"
    engine.docker("run", "-d", "--name", "box", "-v", "/vol", "busybox", "sh", "-c", f"{SETUP} touch /ready; {end}")
    if request.param == "running":
        engine.docker("exec", "box", "sh", "-c", "until [ -e /ready ]; do true; done")
    else:
        engine.docker("wait", "box")
    return engine


def test_a_directory_comes_out_whole(box: Daemon, tmp_path: Path) -> None:
    box.docker("cp", "-a", "box:/d", str(tmp_path))
    found = tmp_path / "d"
    assert sorted(p.name for p in found.iterdir()) == ["f", "hard", "l", "sub"]
    assert (found / "f").read_text() == "hi\n"
    assert (found / "l").readlink() == Path("f")
    assert (found / "f").stat().st_mode & 0o777 == 0o640
    assert os.path.samefile(found / "f", found / "hard")


@pytest.mark.parametrize(
    ("source", "name", "content"),
    [
        ("box:/d/f", "out", "hi\n"),
        ("box:d/f", "out", "hi\n"),
        ("box:/dl/f", "out", "hi\n"),
        ("box:/vol/x", "out", "v\n"),
    ],
)
def test_a_file(box: Daemon, tmp_path: Path, source: str, name: str, content: str) -> None:
    box.docker("cp", source, str(tmp_path / name))
    assert (tmp_path / name).read_text() == content


def test_links_are_copied_or_followed(box: Daemon, tmp_path: Path) -> None:
    box.docker("cp", "box:/dl", str(tmp_path / "link"))
    assert (tmp_path / "link").readlink() == Path("/d")
    box.docker("cp", "-L", "box:/dl", str(tmp_path / "followed"))
    assert (tmp_path / "followed" / "f").read_text() == "hi\n"
    box.docker("cp", "box:/dangle", str(tmp_path / "dangle"))
    assert (tmp_path / "dangle").readlink() == Path("/nowhere")


def test_contents_of_a_directory_to_standard_output(box: Daemon, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    box.docker("cp", "box:/d/.", str(tmp_path / "inner"))
    assert (tmp_path / "inner" / "f").exists()
    with open(tmp_path / "tar", "wb") as out:
        assert box.docker_popen("cp", "box:/d/.", "-", stdout=out).wait(60) == 0
    with tarfile.open(tmp_path / "tar") as tar:
        assert tar.getnames() == [".", "./f", "./hard", "./l", "./sub"]


def test_into_a_directory(box: Daemon, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "file").write_bytes(os.urandom(3 << 20))
    (tree / "link").symlink_to("deep/file")
    os.chown(tree / "deep" / "file", 7, 8)
    os.chmod(tree / "deep" / "file", 0o604)
    box.docker("cp", "-a", str(tree), "box:/dl")  # through a link to a directory
    box.docker("cp", str(tree / "deep" / "file"), "box:/vol/renamed")
    box.docker("start", "box")
    back = tmp_path / "back"
    box.docker("cp", "-a", "box:/d/tree", str(back))
    assert (back / "deep" / "file").read_bytes() == (tree / "deep" / "file").read_bytes()
    assert (back / "link").readlink() == Path("deep/file")
    assert (back / "deep" / "file").stat().st_mode & 0o777 == 0o604
    box.docker("cp", "box:/vol/renamed", str(tmp_path / "renamed"))
    assert (tmp_path / "renamed").read_bytes() == (tree / "deep" / "file").read_bytes()


def test_what_is_copied_in_is_there_inside(box: Daemon, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("seen\n")
    box.docker("cp", str(tmp_path / "note"), "box:/d/note")
    box.docker("cp", str(tmp_path / "note"), "box:/vol/note")
    other = ("run", "--rm", "--volumes-from", "box", "busybox", "cat", "/vol/note")
    assert box.docker(*other).out == "seen\n"
    assert box.docker("diff", "box").out.count("A /d/note") == 1


def test_a_tar_from_standard_input(box: Daemon) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo("piped")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"pipe"))
    box.docker("cp", "-", "box:/d", stdin=out.getvalue())
    assert box.api("GET", "/containers/box/archive?path=/d/piped").status == 200


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("box:/nope", "{}", "Could not find the file /nope in container box"),
        ("box:/d/f/", "{}", "not a directory"),
        ("{}/file", "box:/nope/deep", "Could not find the file /nope in container box"),
        ("{}/dir", "box:/d/f", "cannot copy directory"),
        ("{}/file", "box:/d/f/", "no such directory"),
        ("nobody:/x", "{}", "No such container: nobody"),
    ],
)
def test_what_cannot_be(box: Daemon, tmp_path: Path, source: str, target: str, words: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dir").mkdir()
    result = box.docker("cp", source.format(tmp_path), target.format(tmp_path), check=False)
    assert result.code != 0
    assert words in result.err


def test_a_container_that_was_never_started(engine: Daemon, tmp_path: Path) -> None:
    engine.docker("create", "--name", "box", "-v", "/new/place", "busybox", "cat", "/new/place/a", "/etc/b")
    (tmp_path / "a").write_text("volume\n")
    (tmp_path / "b").write_text("layer\n")
    engine.docker("cp", str(tmp_path / "a"), "box:/new/place/a")
    engine.docker("cp", str(tmp_path / "b"), "box:/etc/b")
    engine.docker("cp", "box:/new/place/a", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "volume\n"
    assert engine.docker("start", "-a", "box").out == "volume\nlayer\n"


def test_read_only(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "file").write_text("x")
    flags = ("--read-only", "-v", "/vol", "-v", f"{tmp_path}/shared:/shared:ro", "--tmpfs", "/tmp")
    engine.docker("run", "-d", "--name", "box", *flags, "busybox", "sleep", "1000")
    for target, words in (
        ("/etc", "container rootfs is marked read-only"),
        ("/shared", "mounted volume is marked read-only"),
    ):
        result = engine.docker("cp", f"{tmp_path}/file", f"box:{target}", check=False)
        assert words in result.err and result.code == 1
    engine.docker("cp", f"{tmp_path}/file", "box:/vol")
    assert engine.docker("exec", "box", "cat", "/vol/file").out == "x"
    assert not list((tmp_path / "shared").iterdir())


def test_a_paused_container(engine: Daemon, tmp_path: Path) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    engine.docker("pause", "box")
    (tmp_path / "file").write_text("x")
    engine.docker("cp", f"{tmp_path}/file", "box:/file")
    engine.docker("cp", "box:/file", f"{tmp_path}/back")
    engine.docker("unpause", "box")
    assert (tmp_path / "back").read_text() == "x"


def test_events(engine: Daemon, tmp_path: Path) -> None:
    engine.docker("create", "--name", "box", "busybox", "true")
    (tmp_path / "file").write_text("x")
    now = ("info", "-f", "{{.SystemTime}}")
    before = engine.docker(*now).out.strip()
    engine.docker("cp", f"{tmp_path}/file", "box:/file")
    engine.docker("cp", "box:/file", f"{tmp_path}/back")
    span = ("--since", before, "--until", engine.docker(*now).out.strip())
    seen = engine.docker("events", *span, "--filter", "container=box", "--format", "{{.Action}}").lines
    assert seen == ["extract-to-dir", "archive-path"]
