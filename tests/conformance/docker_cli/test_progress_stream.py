"""The JSON that a pull and a push stream, message by message: what CLIs and libraries match on.

Holds for Docker 28.5.2 as well (``BERTH_BENCH_STORE=graph .venv/bin/python -m bench.docker -- ...``).
"""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from harness.daemon import Daemon
from harness.images import Entry, OciImage, layer_tar, oci_image
from harness.registry import StandIn

pytestmark = pytest.mark.root
Messages = list[dict[str, Any]]
NO_AUTH = {"X-Registry-Auth": base64.urlsafe_b64encode(b"{}").decode()}
OFTEN = {"Downloading", "Extracting", "Pushing"}
"""Said many times or never, as time goes."""


@pytest.fixture
def engine(shared_daemon: Daemon) -> Daemon:
    """Without the look for what is left: a connection to a registry is kept for some seconds."""
    return shared_daemon


@pytest.fixture
def registry() -> Iterator[StandIn]:
    with StandIn() as found:
        yield found


@pytest.fixture
def image(registry: StandIn, engine: Daemon) -> Iterator[OciImage]:
    """app:1, two layers, the first of three megabytes that do not compress."""
    noise = random.Random(3).randbytes(3_000_000)
    found = oci_image([layer_tar([Entry("n", noise)]), layer_tar([Entry("x", b"x")])], {"Cmd": ["x"]}, docker=True)
    registry.add("app", "1", found)
    yield found
    for name in ("app:1", "copy:2"):
        engine.api("DELETE", f"/images/{registry.host}/{name}?force=1")


def stream(engine: Daemon, path: str, **how: Any) -> Messages:
    answer = engine.api("POST", path, **how)
    assert answer.status == 200, answer
    if isinstance(answer.body, dict):
        return [answer.body]
    return [json.loads(line) for line in answer.body.splitlines() if line.strip()]


def pull(engine: Daemon, name: str, tag: str) -> Messages:
    return stream(engine, f"/images/create?fromImage={quote(name, safe='')}&tag={tag}")


def push(engine: Daemon, name: str, tag: str) -> Messages:
    return stream(engine, f"/images/{name}/push?tag={tag}", headers=NO_AUTH)


def layers_of(messages: Messages) -> dict[str, list[str]]:
    """What is said of each layer, in order, repetitions once."""
    said: dict[str, list[str]] = {}
    for message in messages:
        if len(message.get("id", "")) == 12:
            said.setdefault(message["id"], []).append(message["status"])
    return {key: [status for status, _ in itertools.groupby(words)] for key, words in said.items()}


def test_a_pull(engine: Daemon, registry: StandIn, image: OciImage) -> None:
    messages = pull(engine, f"{registry.host}/app", "1")
    assert messages[0] == {"status": "Pulling from app", "id": "1"}
    assert messages[-2:] == [
        {"status": f"Digest: {image.digest}"},
        {"status": f"Status: Downloaded newer image for {registry.host}/app:1"},
    ]
    shorts = [entry["digest"].removeprefix("sha256:")[:12] for entry in json.loads(image.manifest)["layers"]]
    said = layers_of(messages)
    assert list(said) == shorts
    steps = ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"]
    for words in said.values():
        assert [word for word in words if word not in OFTEN] == steps
    assert said[shorts[0]][1] == "Downloading"
    for message in messages[1:-2]:
        assert set(message) - {"progress"} == {"status", "progressDetail", "id"}
        if message["status"] not in OFTEN:
            assert message["progressDetail"] == {}


def test_the_numbers_of_a_download_and_their_bar(engine: Daemon, registry: StandIn, image: OciImage) -> None:
    total = json.loads(image.manifest)["layers"][0]["size"]
    found = [m for m in pull(engine, f"{registry.host}/app", "1") if m["status"] == "Downloading"]
    large = [message for message in found if message["progressDetail"]["total"] == total]
    currents = [message["progressDetail"]["current"] for message in large]
    assert currents == sorted(currents) and 0 < currents[0] <= total
    for message in large:
        filled = message["progressDetail"]["current"] * 50 // total
        assert message["progress"].startswith(f"[{'=' * filled}>{' ' * (50 - filled)}] ")
        assert message["progress"].endswith("B/3.001MB")


def test_a_pull_of_what_is_here(engine: Daemon, registry: StandIn, image: OciImage) -> None:
    pull(engine, f"{registry.host}/app", "1")
    assert pull(engine, f"{registry.host}/app", "1") == [
        {"status": "Pulling from app", "id": "1"},
        {"status": f"Digest: {image.digest}"},
        {"status": f"Status: Image is up to date for {registry.host}/app:1"},
    ]


def test_pushes(engine: Daemon, registry: StandIn, image: OciImage) -> None:
    """To a repository that lacks it but a sibling has it, again, and where nobody has it."""
    pull(engine, f"{registry.host}/app", "1")
    engine.api("POST", f"/images/{registry.host}/app:1/tag?repo={registry.host}/copy&tag=2")
    for last in ("Mounted from app", "Layer already exists"):
        messages = push(engine, f"{registry.host}/copy", "2")
        assert messages[0] == {"status": f"The push refers to repository [{registry.host}/copy]"}
        assert list(layers_of(messages).values()) == [["Preparing", last]] * 2
        content, _ = registry.manifests[("copy", "2")]
        key = messages[-1]["aux"]["Digest"]
        assert messages[-2] == {"status": f"2: digest: {key} size: {len(content)}"}
        assert messages[-1] == {"progressDetail": {}, "aux": {"Tag": "2", "Digest": key, "Size": len(content)}}
    registry.placed.clear()
    messages = push(engine, f"{registry.host}/copy", "2")
    for words in layers_of(messages).values():
        assert [word for word in words if word not in OFTEN] == ["Preparing", "Pushed"]


def test_errors_in_the_stream(engine: Daemon, registry: StandIn, image: OciImage) -> None:
    pull(engine, f"{registry.host}/app", "1")
    registry.add_index("other", "1", {"linux/s390x": image})
    platform = "no matching manifest for linux/amd64 in the manifest list entries"
    assert pull(engine, f"{registry.host}/other", "1")[1:] == [error(platform)]
    absent = f"An image does not exist locally with the tag: {registry.host}/nobody"
    assert push(engine, f"{registry.host}/nobody", "1")[1:] == [error(absent)]
    assert push(engine, f"{registry.host}/app", "9")[1:] == [error(f"tag does not exist: {registry.host}/app:9")]


def error(sentence: str) -> dict[str, Any]:
    return {"errorDetail": {"message": sentence}, "error": sentence}
