"""Pulls over a line that breaks: no byte is fetched twice, whatever breaks, the daemon included; retries with patience."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually
from harness.images import Entry, OciImage, layer_tar, oci_image
from harness.registry import Reply, Seen, StandIn, layered, refusal

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon("--max-download-attempts", "2") as engine:
        yield engine


def big(megabytes: int, layers: int, seed: int) -> OciImage:
    """Layers that do not compress."""
    noise = random.Random(seed)
    each = megabytes * 1000000 // layers
    contents = [layer_tar([Entry(f"noise{n}", noise.randbytes(each))]) for n in range(layers)]
    return oci_image(contents, compression="none")


def size_of(image: OciImage) -> int:
    return len(image.manifest) + sum(map(len, image.blobs.values()))


def test_a_line_cut_twenty_times(daemon: Daemon, stand_in: StandIn) -> None:
    image = big(40, 3, seed=1)
    stand_in.add("app", "1", image)
    noise, cuts = random.Random(7), []

    def cut(key: str, begin: int, size: int) -> int | None:
        with stand_in.lock:
            if len(cuts) >= 20 or size < 1000000:
                return None
            cuts.append(key)
        return min(noise.randrange(0, 3000000), size - begin - 1)

    stand_in.cut = cut
    out = daemon.docker("pull", f"{stand_in.host}/app:1").out
    assert f"Digest: {image.digest}" in out
    assert len(cuts) == 20
    assert stand_in.sent_bytes <= 1.05 * size_of(image), (stand_in.sent_bytes, size_of(image))
    ranges = [seen for seen in stand_in.asked("GET", "/blobs/") if "range" in seen.headers]
    assert len(ranges) >= 15


def test_the_daemon_is_killed_in_the_middle(make_daemon: Callable[..., Daemon], stand_in: StandIn) -> None:
    daemon = make_daemon(busybox=False)
    image = big(40, 2, seed=2)
    stand_in.add("app", "1", image)
    held, stall = threading.Event(), threading.Event()

    def hold(key: str, begin: int, size: int) -> int | None:
        if size < 1000000 or stall.is_set():
            return None
        return size * 2 // 3 if begin == 0 else int(not held.wait(30))

    stand_in.cut = hold
    client = daemon.docker_popen("pull", f"{stand_in.host}/app:1")
    ingests = f"{daemon.data_root}/content/ingest"
    eventually(lambda: _written(ingests) >= size_of(image) * 0.65, 30, why="what the server sends came and was written")
    daemon.kill9()
    client.wait(10)
    stall.set()
    held.set()
    daemon.start()
    out = daemon.docker("pull", f"{stand_in.host}/app:1").out
    assert f"Digest: {image.digest}" in out
    assert stand_in.sent_bytes <= 1.05 * size_of(image), (stand_in.sent_bytes, size_of(image))


def _written(folder: str) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        total += sum(os.stat(os.path.join(where, name)).st_size for name in names)
    return total


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_client_that_leaves_ends_its_pull_and_the_next_goes_on(
    number: signal.Signals, daemon: Daemon, stand_in: StandIn
) -> None:
    """Ctrl-C: nothing more is fetched; what came stays for the next pull."""
    image = big(40, 2, seed=20 + number)
    stand_in.add("app", "1", image)
    held, go_on = threading.Event(), threading.Event()

    def hold(key: str, begin: int, size: int) -> int | None:
        if size > 1000000 and not go_on.is_set():
            held.set()
            go_on.wait(30)
            return size // 2  # would go on after that
        return None

    stand_in.cut = hold
    client = daemon.docker_popen("pull", f"{stand_in.host}/app:1")
    assert held.wait(30)
    client.send_signal(number)
    client.wait(10)
    eventually(lambda: not _open_ingests(daemon), 10, why="the pull is over")
    go_on.set()
    stand_in.cut = lambda key, begin, size: None
    assert daemon.docker("image", "inspect", f"{stand_in.host}/app:1", check=False).code == 1
    assert daemon.berth("system", "verify").code == 0
    out = daemon.docker("pull", f"{stand_in.host}/app:1").out
    assert f"Digest: {image.digest}" in out


def test_one_of_two_who_wait_leaves(daemon: Daemon, stand_in: StandIn) -> None:
    """The other one's pull of the same image goes on."""
    image = big(20, 1, seed=30)
    stand_in.add("app", "1", image)
    held, go_on = threading.Event(), threading.Event()

    def hold(key: str, begin: int, size: int) -> int | None:
        if size > 1000000:
            held.set()
            go_on.wait(30)
        return None

    stand_in.cut = hold
    clients = [daemon.docker_popen("pull", f"{stand_in.host}/app:1") for _ in range(2)]
    assert held.wait(30)
    clients[0].send_signal(signal.SIGINT)
    clients[0].wait(10)
    go_on.set()
    out, err = clients[1].communicate(timeout=60)
    assert clients[1].returncode == 0 and image.digest.encode() in out, err


def _open_ingests(daemon: Daemon) -> list[str]:
    """Files of blobs on their way in that the daemon has open."""
    fds = f"/proc/{daemon.pid}/fd"
    found = []
    for name in os.listdir(fds):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"{fds}/{name}"))
    return [path for path in found if "/content/ingest/" in path]


def test_an_aborted_pull_goes_on_later(daemon: Daemon, stand_in: StandIn) -> None:
    """Attempts without any progress end it; what came stays for the next try."""
    image = big(8, 1, seed=3)
    stand_in.add("app", "1", image)
    stand_in.cut = lambda key, begin, size: (4000000 if begin == 0 else 0) if size > 1000000 else None
    failed = daemon.docker("pull", f"{stand_in.host}/app:1", check=False, timeout_s=90)
    assert failed.code == 1
    before = stand_in.sent_bytes
    stand_in.cut = lambda key, begin, size: None
    daemon.docker("pull", f"{stand_in.host}/app:1")
    assert stand_in.sent_bytes - before < 5000000


def test_if_range(daemon: Daemon, stand_in: StandIn) -> None:
    """A server that changed its mind about a blob is read from the start."""
    image = big(6, 1, seed=4)
    stand_in.add("app", "1", image)
    stand_in.etags = True
    asked: list[int] = []

    def cut(key: str, begin: int, size: int) -> int | None:
        if size < 1000000:
            return None
        asked.append(begin)
        return 2000000 if len(asked) == 1 else None

    stand_in.cut = cut
    daemon.docker("pull", f"{stand_in.host}/app:1")
    conditional = [seen for seen in stand_in.asked("GET", "/blobs/") if "if-range" in seen.headers]
    assert conditional and conditional[0].headers["if-range"].startswith('"sha256:')


def test_a_server_without_ranges(daemon: Daemon, stand_in: StandIn) -> None:
    """It answers a range with the whole: the bytes begin anew, and are not appended."""
    image = big(6, 1, seed=5)
    stand_in.add("app", "1", image)
    tries: list[str] = []

    def cut(key: str, begin: int, size: int) -> int | None:
        tries.append(key)
        return 2000000 if tries.count(key) == 1 and size > 1000000 else None

    stand_in.cut = cut
    stand_in.etags = True
    guard_etag = {"seen": False}

    def guard(seen: Seen) -> Reply | None:
        if "range" in seen.headers:
            guard_etag["seen"] = True
            key = seen.path.rpartition("/")[2]
            return Reply(200, {"Content-Type": "application/octet-stream"}, stand_in.blobs[key])
        return None

    stand_in.guard = guard
    out = daemon.docker("pull", f"{stand_in.host}/app:1").out
    assert guard_etag["seen"] and f"Digest: {image.digest}" in out


def test_a_range_that_was_not_asked_for(daemon: Daemon, stand_in: StandIn) -> None:
    image = big(4, 1, seed=6)
    stand_in.add("app", "1", image)
    stand_in.cut = lambda key, begin, size: 1000000 if size > 1000000 else None

    def guard(seen: Seen) -> Reply | None:
        if "range" in seen.headers:
            return Reply(206, {"Content-Range": "bytes 0-9/4000000"}, b"0123456789")
        return None

    stand_in.guard = guard
    failed = daemon.docker("pull", f"{stand_in.host}/app:1", check=False, timeout_s=90)
    assert failed.code == 1 and "bytes 0-9/4000000" in failed.err


def test_a_registry_that_stumbles_is_asked_again(daemon: Daemon, stand_in: StandIn) -> None:
    stand_in.add("app", "1", layered(1, salt="stumbles"))
    answers = [Reply(503), Reply(502), refusal(429, "TOOMANYREQUESTS", "slow down", Retry_After="1")]
    times: list[float] = []

    def guard(seen: Seen) -> Reply | None:
        times.append(time.monotonic())
        return answers.pop(0) if answers else None

    stand_in.guard = guard
    daemon.docker("pull", f"{stand_in.host}/app:1")
    assert not answers
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 0.25 <= gaps[0] < 3 and 0.5 <= gaps[1] < 4 and gaps[2] >= 1.0, gaps


def test_more_patience_than_people_have(daemon: Daemon, stand_in: StandIn) -> None:
    stand_in.guard = lambda seen: refusal(429, "TOOMANYREQUESTS", "come tomorrow", Retry_After="86400")
    failed = daemon.docker("pull", f"{stand_in.host}/app:1", check=False)
    assert "toomanyrequests: come tomorrow (try again in 86400 s)" in failed.err
    assert len(stand_in.seen) == 1


def test_an_upload_cut_off_goes_on(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    source, target = make_stand_in(), make_stand_in()
    image = big(40, 1, seed=8)
    source.add("app", "1", image)
    daemon.docker("pull", f"{source.host}/app:1")
    daemon.docker("tag", f"{source.host}/app:1", f"{target.host}/app:1")
    cuts = [25000000]
    target.cut_upload = lambda size: cuts.pop() if cuts and size > 1000000 else None
    daemon.docker("push", f"{target.host}/app:1")
    assert target.manifests[("app", "1")][0] == image.manifest
    pieces = target.asked("PATCH", "/uploads/")
    assert pieces and pieces[0].headers["content-range"].startswith("25000000-")


def test_a_bound_on_requests_in_between(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    """413 to a monolithic upload (a proxy's bound): it goes in pieces."""
    source, target = make_stand_in(), make_stand_in(monolithic_limit=20000000)
    image = big(40, 1, seed=9)
    source.add("app", "1", image)
    daemon.docker("pull", f"{source.host}/app:1")
    daemon.docker("tag", f"{source.host}/app:1", f"{target.host}/app:1")
    daemon.docker("push", f"{target.host}/app:1")
    assert target.manifests[("app", "1")][0] == image.manifest
    assert len(target.asked("PATCH", "/uploads/")) == 3


def test_two_pulls_of_one_image_at_once(daemon: Daemon, stand_in: StandIn) -> None:
    image = big(10, 2, seed=10)
    stand_in.add("one", "1", image)
    stand_in.add("two", "1", image)
    clients = [daemon.docker_popen("pull", f"{stand_in.host}/{name}:1") for name in ("one", "two", "one")]
    for client in clients:
        out, err = client.communicate(timeout=60)
        assert client.returncode == 0, err
        assert image.digest.encode() in out
    assert stand_in.sent_bytes <= 1.05 * size_of(image), stand_in.asked("GET", "/blobs/")
    assert json.loads(daemon.docker("image", "inspect", f"{stand_in.host}/two:1").out)
