"""Archives drawn at random are loaded, images are pushed to registries that answer at random: no 500, no hang, nothing lost.

An archive is a good one with a document of it replaced, bytes changed or its end cut off. The registry listens on loopback.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.daemon import Daemon
from harness.images import Entry, image_config, layer_tar, to_json

pytestmark = pytest.mark.root

TIMEOUT_S = 30.0
EXAMPLES = [200, pytest.param(2000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
_LAYER = layer_tar([Entry("etc/", kind="dir"), Entry("etc/one", b"1" * 3000)])
_CONFIG = image_config([_LAYER], {"Cmd": ["sh"]})
_IDENT = hashlib.sha256(_CONFIG).hexdigest()


def bounded(examples: int) -> Any:
    return settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[Daemon]:
    with Daemon() as daemon:
        daemon.load_busybox("busybox:latest")
        yield daemon


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
_KEYS = st.sampled_from(
    ["Config", "RepoTags", "Layers", "created", "config", "history", "rootfs", "architecture", "os", "variant", "author"]
)  # fmt: skip


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A Docker archive that is almost right."""
    config, manifest = (
        json.loads(_CONFIG),
        {"Config": f"{_IDENT}.json", "RepoTags": ["fuzz:1"], "Layers": ["layer.tar"]},
    )
    for document in (config, manifest):
        for key in draw(st.sets(_KEYS, max_size=2)):
            document[key] = draw(_JSON)
    files = {
        f"{_IDENT}.json": to_json(config), "layer.tar": draw(st.sampled_from([_LAYER, _LAYER[:700], b"", b"\x1f\x8b"])),
        "manifest.json": draw(st.sampled_from([to_json([manifest]), to_json(manifest), to_json([manifest] * 3)])),
    }  # fmt: skip
    for name in draw(st.sets(st.sampled_from(sorted(files)), max_size=1)):
        del files[name]
    whole = bytearray(layer_tar(Entry(name, blob) for name, blob in files.items()))
    for at, byte in draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4)):
        whole[at] = byte
    return bytes(whole[: draw(st.just(len(whole)) | st.integers(0, len(whole)))])


_PLATFORMS = st.sampled_from([None, None, None, "x", "{}", '{"os":"linux","architecture":"amd64"}'])


def checked(engine: Daemon, path: str, body: bytes, query: dict[str, str | None], **headers: str) -> None:
    text = "&".join(f"{key}={quote(value)}" for key, value in query.items() if value is not None)
    answer = engine.api("POST", f"{path}?{text}", body, headers=headers, timeout_s=TIMEOUT_S)
    assert answer.status not in (500, 502, 504), (path, text, answer, engine.log(20))
    assert "internal error" not in str(answer.body), (path, text, answer.body, engine.log(20))


def whole(engine: Daemon) -> None:
    """It still answers, and what it had runs."""
    assert engine.running, engine.log()
    assert engine.docker("run", "--rm", "busybox", "echo", "whole").out == "whole\n"
    engine.remove_all()
    for found in engine.api("GET", "/images/json?all=1").body:
        if "busybox:latest" not in found["RepoTags"]:
            engine.api("DELETE", f"/images/{found['Id']}?force=1")


@pytest.mark.parametrize("examples", EXAMPLES)
def test_archives_that_are_almost_right(engine: Daemon, examples: int) -> None:
    @given(archive=archives(), quiet=st.sampled_from([None, "1", "x"]), platform=_PLATFORMS)
    @bounded(examples)
    def load(archive: bytes, quiet: str | None, platform: str | None) -> None:
        checked(engine, "/images/load", archive, {"quiet": quiet, "platform": platform})

    load()
    whole(engine)


class Moody(http.server.ThreadingHTTPServer):
    """A registry that gives the answers of a list, one after another and around again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The engine may hang up on it."""


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Moody

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = self.server.answers[self.server.asked % len(self.server.answers)]
        self.server.asked += 1
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


_STATUS = st.sampled_from([200, 201, 202, 204, 301, 307, 400, 401, 403, 404, 405, 409, 416])
_VALUES = st.sampled_from(
    ["", "/", "/v2/x/blobs/uploads/1", "nonsense", "http://127.0.0.1:1/", "0-5", "5-0", "sha256:" + "0" * 64, "sha256:x",
     'Bearer realm="http://127.0.0.1:1/t"', 'Basic realm="x"', "Bearer", "1"]
)  # fmt: skip
_HEADERS = st.dictionaries(
    st.sampled_from(["Location", "Range", "WWW-Authenticate", "Docker-Content-Digest", "OCI-Chunk-Min-Length"]), _VALUES
)
_BODIES = st.sampled_from(
    [b"", b"{", b"null", b'{"errors":[{"code":"DENIED","message":"no"}]}', b'{"errors":7}', b"\xff"]
)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_pushes_to_a_registry_that_answers_anything(engine: Daemon, examples: int) -> None:
    server = Moody()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"127.0.0.1:{server.server_port}/x"
    engine.docker("tag", "busybox", f"{name}:1")

    @given(
        answers=st.lists(st.tuples(_STATUS, _HEADERS, _BODIES), min_size=1, max_size=6),
        tag=st.sampled_from(["1", "1", "1", "", "none", "!"]),
        platform=_PLATFORMS, auth=st.sampled_from(["", "e30=", "!", "bnVsbA=="]),
    )  # fmt: skip
    @bounded(examples)
    def push(answers: list[Any], tag: str, platform: str | None, auth: str) -> None:
        server.answers, server.asked = answers, 0
        checked(engine, f"/images/{name}/push", b"", {"tag": tag, "platform": platform}, **{"X-Registry-Auth": auth})

    try:
        push()
    finally:
        server.shutdown()
        server.server_close()
    engine.docker("rmi", f"{name}:1")
    whole(engine)
