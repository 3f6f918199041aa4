"""Random image operations with the daemon killed in between: the store verifies, and nothing that was acknowledged is lost.

A model beside the daemon knows which names exist and what they mean. An operation that a kill cut short may have happened or
not, as a whole; the model takes what it finds then. ``BERTH_TEST_SEED`` repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.daemon import Daemon
from harness.images import Entry, docker_archive, layer_tar

pytestmark = pytest.mark.root
Make = Callable[..., Daemon]

_LAYERS = 5
_ARCHIVES = 6


class Model:
    """What must be there: name → image id, and the containers' ids → image id."""

    def __init__(self, daemon: Daemon, folder: str, seed: int) -> None:
        self.daemon = daemon
        self.random = random.Random(seed)
        self.names: dict[str, str] = {}
        self.containers: dict[str, str] = {}
        self.did: list[str] = []
        self.archives = [self._archive(folder, number) for number in range(_ARCHIVES)]

    def _archive(self, folder: str, number: int) -> tuple[bytes, str, str]:
        """One of a few images that share layers: (archive, name, id)."""
        noise = random.Random(number)
        pool = [layer_tar([Entry(f"l{n}", bytes([n]) * (3000 + n))]) for n in range(_LAYERS)]
        layers = [*pool[: noise.randint(1, 3)], pool[noise.randint(3, 4)]]
        name = f"r/image{number}:1"
        path = f"{folder}/{number}.tar"
        image_id = docker_archive(path, [name], layers, {"Cmd": ["/x"], "Labels": {"n": str(number)}})
        return Path(path).read_bytes(), name, image_id

    # --- operations: each acknowledged one changes the model

    def load(self) -> None:
        archive, name, image_id = self.random.choice(self.archives)
        self._ask("POST", "/images/load?quiet=1", archive, ok=lambda: self.names.update({name: image_id}))

    def tag(self) -> None:
        if self.names:
            source, number = self.random.choice(sorted(self.names)), self.random.randrange(8)
            name, image_id = f"r/tag{number}:1", self.names[source]
            path = f"/images/{quote(source, '')}/tag?repo=r/tag{number}&tag=1"
            self._ask("POST", path, ok=lambda: self.names.update({name: image_id}))

    def remove(self) -> None:
        if self.names:
            name = self.random.choice(sorted(self.names))
            force = self.random.choice(("", "?force=1"))
            self._ask("DELETE", f"/images/{quote(name, '')}{force}", ok=lambda: self.names.pop(name))

    def create(self) -> None:
        if self.names:
            image_id = self.names[name := self.random.choice(sorted(self.names))]
            answer = self._ask("POST", "/containers/create", json.dumps({"Image": name}).encode())
            if answer:
                self.containers[answer["Id"]] = image_id

    def commit(self) -> None:
        if self.containers:
            ident, number = self.random.choice(sorted(self.containers)), self.random.randrange(4)
            answer = self._ask("POST", f"/commit?container={ident}&repo=r/made{number}&tag=1", b"{}")
            if answer:
                self.names[f"r/made{number}:1"] = answer["Id"]

    def remove_container(self) -> None:
        if self.containers:
            ident = self.random.choice(sorted(self.containers))
            self._ask("DELETE", f"/containers/{ident}", ok=lambda: self.containers.pop(ident))

    def save(self) -> None:
        if self.names:
            name = self.random.choice(sorted(self.names))
            self._ask("GET", f"/images/{quote(name, '')}/get")

    def prune(self) -> None:
        every = self.random.random() < 0.3

        def forget() -> None:
            used = set(self.containers.values())
            self.names = {name: image for name, image in self.names.items() if image in used}

        filters = quote(json.dumps({"dangling": [str(not every).lower()]}))
        self._ask("POST", f"/images/prune?filters={filters}", ok=forget if every else None)

    # ---

    def _ask(self, method: str, path: str, body: bytes | None = None, ok: Callable[[], object] | None = None) -> object:
        """An answered request's body. What a kill cut short may be done or not: the model looks."""
        self.did.append(f"{method} {path}")
        try:
            answer = self.daemon.api(method, path, body, headers={"Content-Type": "application/json"})
        except (OSError, AssertionError, ValueError, HTTPException):
            self._killed()
            return None
        if answer.status >= 400:
            assert answer.status == 409, (answer, self.did[-20:])  # in use: a conflict is the one refusal that is right
            return None
        if ok is not None:
            ok()
        return answer.body

    def _killed(self) -> None:
        """The daemon died under the last request."""
        assert self.daemon.process is not None
        self.daemon.process.wait(10)
        self.daemon.env.clear()
        self.daemon.start()
        found = self.found()
        step = self.did[-1]
        lost = {name for name in self.names if found.get(name) != self.names[name]}
        assert len(lost) <= (0 if step.startswith(("GET", "POST /containers", "DELETE /containers")) else _allowed(step, lost)), (
            lost, self.did[-20:],
        )  # fmt: skip
        self.names = found
        rows = self.daemon.api("GET", "/containers/json?all=1").body
        now = {row["Id"]: row["ImageID"] for row in rows}
        assert len(set(self.containers) - set(now)) <= (1 if step.startswith("DELETE /containers") else 0), self.did[
            -20:
        ]
        self.containers = now

    def found(self) -> dict[str, str]:
        images = self.daemon.api("GET", "/images/json?all=1").body
        return {tag: image["Id"] for image in images for tag in image["RepoTags"] or () if tag.startswith("r/")}

    def check(self) -> None:
        assert self.found() == self.names, self.did[-20:]

    def kill_soon(self) -> None:
        """The daemon is killed while the next operations are under way."""
        assert self.daemon.process is not None
        process, wait_s = self.daemon.process, self.random.uniform(0.0, 0.05)
        timer = threading.Timer(wait_s, process.kill)
        timer.start()
        while timer.is_alive() or process.poll() is None:
            self.step()
            if self.daemon.process is not process:
                return
        timer.join()
        self.did.append("killed at rest")
        if self.daemon.process is process:
            process.wait(10)
            self.daemon.start()
        self.check()

    def step(self) -> None:
        kinds = (
            self.load,
            self.load,
            self.tag,
            self.tag,
            self.remove,
            self.create,
            self.remove_container,
            self.save,
            self.prune,
        )
        self.random.choice(kinds)()


def _allowed(step: str, lost: set[str]) -> int:
    """How many names the step that was cut short may have taken away or changed."""
    return len(lost) if "prune" in step else 1


def _is_whole(daemon: Daemon) -> None:
    command = [sys.executable, "-m", "berth.daemon.verify", "--data-root", daemon.data_root, "--deep"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def _live(make_daemon: Make, folder: Path, seed: int, count: int, kills: int) -> None:
    daemon = make_daemon(busybox=False)
    model = Model(daemon, str(folder), seed)
    when = set(random.Random(seed).sample(range(count), kills))
    for number in range(count):
        model.kill_soon() if number in when else model.step()
        if number % 20 == 0:
            model.check()
    model.check()
    daemon.stop()
    _is_whole(daemon)
    daemon.start()
    model.check()
    for ident in model.containers:
        daemon.api("DELETE", f"/containers/{ident}?force=1")
    assert daemon.api("POST", "/images/prune?filters=" + quote('{"dangling":["false"]}')).status == 200
    assert model.found() == {}
    daemon.stop()
    _is_whole(daemon)
    assert (
        os.listdir(f"{daemon.data_root}/content/blobs/sha256") == os.listdir(f"{daemon.data_root}/content/ingest") == []
    )
    assert not [name for name in os.listdir(f"{daemon.data_root}/snapshots") if name.isdecimal()]


def _seed() -> int:
    return int(os.environ.get("BERTH_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)


def test_sixty_operations_and_three_deaths(make_daemon: Make, tmp_path: Path) -> None:
    seed = _seed()
    print(f"BERTH_TEST_SEED={seed}")
    _live(make_daemon, tmp_path, seed, 60, 3)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_thousand_operations_and_sixty_deaths(make_daemon: Make, tmp_path: Path) -> None:
    seed = _seed()
    print(f"BERTH_TEST_SEED={seed}")
    _live(make_daemon, tmp_path, seed, 1000, 60)
