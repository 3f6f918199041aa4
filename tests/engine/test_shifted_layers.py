"""``--userns-remap`` where the kernel shows no file through an id map: layers are copied with the host's ids."""

from __future__ import annotations

import glob
import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import cli, reference
from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root

SHIFTED = {"BERTH_FAILPOINTS": "daemon.idmap=error:EINVAL"}
CHANGE = "echo x > /new; chown 1000:50 /new; chmod 4755 /new; ln /new /hard; rm /etc/group; rm -r /home; mkdir /home"


@pytest.fixture(scope="module", params=["overlay2", "vfs"])
def shifting(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    if reference.ADDRESS:
        pytest.skip("needs a daemon of its own")
    with Daemon("--userns-remap=default", f"--storage-driver={request.param}", env=SHIFTED) as daemon:
        daemon.load_busybox()
        yield daemon


@pytest.fixture
def engine(shifting: Daemon) -> Iterator[Daemon]:
    yield shifting
    shifting.remove_all()


def owner_of(engine: Daemon, *flags: str) -> str:
    return engine.docker("run", "--rm", *flags, "stat", "-c", "%u:%g %a %h", "/new").out


def rerun(engine: Daemon) -> list[str]:
    """Start box once more; the last lines that it wrote."""
    engine.docker("start", "box")
    engine.docker("wait", "box")
    return engine.docker("logs", "--tail", "2", "box").out.splitlines()


def test_what_leaves_has_the_images_ids(engine: Daemon) -> None:
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", CHANGE)
    engine.docker("commit", "box", "made")
    try:
        assert owner_of(engine, "--userns=host", "made") == owner_of(engine, "made") == "1000:50 4755 2\n"
        gone = engine.docker("run", "--rm", "made", "sh", "-c", "ls /etc/group /home/user", check=False)
        assert gone.out == "" and gone.err.count("No such file") == 2
    finally:
        engine.docker("rmi", "made")
    for words in (("export", "box"), ("cp", "box:/new", "-")):
        raw = subprocess.run(
            [cli.docker_program(), *words], env=cli.client_environ(engine.host), capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            member = next(m for m in tar.getmembers() if m.name in ("new", "hard") and m.isreg())
            assert (member.uid, member.gid) == (1000, 50), words


def test_what_comes_has_the_containers_ids(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "put").write_text("x")
    engine.docker("create", "--name", "box", "busybox", "stat", "-c", "%u:%g %n", "/put", "/again")
    for name in ("put", "again"):  # before its first start, and after it
        engine.docker("cp", str(tmp_path / "put"), f"box:/{name}")
        last = rerun(engine)
    assert last == ["0:0 /put", "0:0 /again"]


def test_a_copy_is_made_once_and_goes_with_its_image(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon("--userns-remap=default", env=SHIFTED)

    def copies() -> list[Path]:
        return sorted(Path(path) for path in glob.glob(f"{engine.data_root}/snapshots/*/ids-*"))

    def layers_size() -> int:
        return int(engine.api("GET", "/system/df").body["LayersSize"])

    before = layers_size()
    engine.docker("run", "--rm", "busybox", "true")
    made = [(p, p.stat().st_ctime_ns) for p in copies()]
    assert made and layers_size() > before + 1_000_000
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", "touch /new; rm /etc/group")
    assert engine.docker("diff", "box").lines == ["C /etc", "D /etc/group", "A /new"]
    engine.docker("rm", "box")
    assert [(p, p.stat().st_ctime_ns) for p in copies()] == made
    engine.docker("rmi", "busybox")
    assert copies() == []


@pytest.mark.parametrize(
    "words", [("image", "prune", "-af"), ("system", "prune", "-af"), ("image", "rm", "busybox", "other")]
)
def test_a_prune_takes_the_shifted_copies_along(make_daemon: Callable[..., Daemon], words: tuple[str, ...]) -> None:
    """Nothing of them is left on the disk, at once or for the next daemon to find."""
    engine = make_daemon("--userns-remap=default", busybox=False, env=SHIFTED)
    snapshots = Path(engine.data_root, "snapshots")
    at_first = sorted(p.name for p in snapshots.iterdir())
    engine.load_busybox()
    engine.docker("run", "--name", "box", "busybox", "sh", "-c", "echo x > /made")
    engine.docker("commit", "box", "other")
    engine.docker("run", "--rm", "other", "cat", "/made")
    assert len(list(snapshots.glob("*/ids-*"))) == 2
    engine.docker("rm", "box")
    engine.docker(*words)
    eventually(lambda: list(snapshots.glob("*/ids-*")) == [])
    assert int(engine.api("GET", "/system/df").body["LayersSize"]) == 0
    engine.restart()
    eventually(lambda: sorted(p.name for p in snapshots.iterdir()) == at_first)


def test_a_kernel_that_learns_it(make_daemon: Callable[..., Daemon]) -> None:
    """Files that were moved are moved back, whoever starts the container then."""
    engine = make_daemon("--userns-remap=default", env=SHIFTED)
    script = "[ -e /new ] || (touch /new /kept/new; chown 7 /new /kept/new); stat -c %u /new /kept/new"
    engine.docker("run", "--name", "box", "-v", "kept:/kept", "busybox", "sh", "-c", script)
    for env, flags in (({}, True), (SHIFTED, True), ({}, False)):
        engine.stop()
        engine.env = dict(env)
        engine.flags = ["--userns-remap=default"] if flags else []
        engine.start()
        assert rerun(engine) == ["7", "7"]
