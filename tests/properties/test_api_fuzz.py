"""Requests drawn from the OpenAPI document, against a real engine: no 500, no hang, and the engine is whole afterwards.

Left out are operations that reach beyond the engine: pulling, pushing, searching and logging in (registries), and those that
would take the image away that the others use. What a body may make on the host is kept inside the daemon's own folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.daemon import Daemon

pytestmark = pytest.mark.root

TIMEOUT_S = 20.0
READ_AT_MOST = 256 * 1024
LEFT_OUT = (
    "/auth", "/images/create", "/images/search", "/images/load", "/images/prune", "/images/{id}/push", "/distribution",
    "/registries", "/networks/create", "/networks/prune", "/networks/{id}/connect", "/build",
    "/session", "/grpc", "/openapi.json",
)  # fmt: skip
ALSO_LEFT_OUT = {("DELETE", "/images/{id}"), ("DELETE", "/networks/{id}"), ("POST", "/images/{id}/tag")}
MORE = int(os.environ.get("BERTH_FUZZ_EXAMPLES", "12"))


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[tuple[Daemon, str]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with Daemon("--host", f"tcp://127.0.0.1:{port}", "--tls=false") as daemon:
        daemon.load_busybox()
        yield daemon, f"http://127.0.0.1:{port}"


def operations() -> list[tuple[str, str]]:
    from berth.api.app import all_routes, api_version
    from berth.api.openapi import build

    paths = build(all_routes(), api_version())["paths"]
    return [
        (method.upper(), path)
        for path, found in paths.items()
        for method in found
        if not path.startswith(LEFT_OUT) and (method.upper(), path) not in ALSO_LEFT_OUT
    ]


def prepare(daemon: Daemon) -> dict[str, list[str]]:
    """Things to aim at: a container that runs, one that does not, an exec; made anew when the last request took them."""
    for name, command, start in (("runs", "sleep 1000", True), ("rests", "true", False)):
        body = {"Image": "busybox", "Cmd": command.split(), "OpenStdin": True, "StopSignal": "KILL"}
        daemon.api("POST", f"/containers/create?name={name}", body)
        if start:
            daemon.api("POST", f"/containers/{name}/unpause")
            daemon.api("POST", f"/containers/{name}/start")
    made = daemon.api("POST", "/containers/runs/exec", {"Cmd": ["true"]})
    execs = [made.body["Id"]] if made.status == 201 else []
    return {"exec": execs, "containers": ["runs", "rests"], "images": ["busybox"], "networks": ["bridge", "host"]}


@pytest.mark.parametrize(("method", "path"), operations(), ids=lambda part: str(part))
def test_no_500_and_no_hang(fuzzed: tuple[Daemon, str], method: str, path: str) -> None:
    daemon, url = fuzzed
    raw = daemon.api("GET", "/openapi.json").body
    schema = schemathesis.openapi.from_dict(raw)
    operation = schema[path][method]

    @given(case=operation.as_strategy(), aim=st.integers(0, 3))
    @settings(
        max_examples=MORE, deadline=None, database=None, derandomize="BERTH_FUZZ_EXAMPLES" not in os.environ,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case: Any, aim: int) -> None:
        targets = prepare(daemon).get(path.split("/")[1], []) if "{id}" in path else []
        identifier = case.path_parameters.get("id", "") if case.path_parameters else ""
        if targets and aim:
            identifier = targets[aim % len(targets)]
        send(daemon, url, method, path, identifier, case)

    ask()
    assert daemon.running, daemon.log()
    assert daemon.api("GET", "/_ping", timeout_s=5).status == 200
    daemon.remove_all()
    for found in daemon.api("GET", "/images/json?all=1").body:
        if "busybox:latest" not in (found["RepoTags"] or []):  # commit made it
            daemon.api("DELETE", f"/images/{found['Id']}?force=1")


def send(daemon: Daemon, url: str, method: str, path: str, identifier: str, case: Any) -> None:
    kwargs = case.as_transport_kwargs(base_url=url)
    target = url + path.replace("{id}", requests.utils.quote(str(identifier), safe="") or "none")
    sent = {key: kwargs[key] for key in ("params", "data", "json") if kwargs.get(key) is not None}
    if isinstance(sent.get("json"), dict):
        tame(daemon, path, sent["json"])
    params = dict(sent.get("params") or {})
    if "t" in params:
        params["t"] = 1  # less than nothing is for ever, as in Docker
    sent["params"] = params
    if path == "/commit":
        params["container"] = params.get("container") or "runs"
    headers = {"Content-Type": "application/json"} if "json" in sent or "data" in sent else {}
    with contextlib.closing(
        requests.request(method, target, headers=headers, stream=True, timeout=TIMEOUT_S, **sent)
    ) as response:
        body = response.raw.read(READ_AT_MOST) if "Content-Length" in response.headers else b""  # others may be endless
        assert response.status_code not in (500, 502, 504), (method, target, sent, body, daemon.log(20))
    if path == "/containers/create" and response.status_code == 201:
        start(daemon, json.loads(body)["Id"], sent)


def start(daemon: Daemon, ident: str, sent: dict[str, Any]) -> None:
    """What could be made is started, or says why not, and goes away again."""
    answer = daemon.api("POST", f"/containers/{ident}/start", timeout_s=TIMEOUT_S)
    message = answer.body["message"] if isinstance(answer.body, dict) else ""
    assert not message.startswith("internal error"), (message, sent, daemon.log(30))
    assert answer.status in (204, 304) or message, (answer, sent)
    gone = daemon.api("DELETE", f"/containers/{ident}?force=1&v=1", timeout_s=TIMEOUT_S)
    assert gone.status in (204, 404, 409), (gone, sent)


def tame(daemon: Daemon, path: str, body: dict[str, Any]) -> None:
    """The image and a command are there, and nothing is mounted from, or made at, places of the host."""
    if path.endswith("/exec"):
        body.setdefault("Cmd", ["true"])
    if not path.endswith("/create"):
        return
    body["Image"] = "busybox"
    host = body.get("HostConfig")
    if isinstance(host, dict):
        host.pop("Binds", None)
        host.pop("CgroupParent", None)
        for mount in host.get("Mounts") or []:
            if isinstance(mount, dict) and isinstance(mount.get("Source"), str):
                mount["Source"] = f"{daemon.root}/x"


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b"{", b'"x"', b"\xff\xfe", b'{"Cmd": {}, "Memory": {}}', b"0", b'{"a":' * 1000]
)
@pytest.mark.parametrize("path", ["/containers/create", "/containers/runs/exec", "/containers/runs/update"])
def test_bodies_that_are_wrong_as_a_whole(fuzzed: tuple[Daemon, str], path: str, raw: bytes) -> None:
    daemon, url = fuzzed
    prepare(daemon)
    response = requests.post(url + path, data=raw, headers={"Content-Type": "application/json"}, timeout=TIMEOUT_S)
    assert response.status_code == 400, response.text
    assert response.json()["message"]


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(
    query=st.dictionaries(st.sampled_from(["since", "until", "filters", "limit", "tail", "all", "t", "h"]), st.text())
)
def test_queries_that_are_wrong(query: dict[str, str]) -> None:
    """Decoding alone, on a fake engine's side of the door."""
    from types import SimpleNamespace

    from berth.api import codec
    from berth.base.errors import InvalidArgument

    request: Any = SimpleNamespace(query=query)
    for name in query:
        for decode in (lambda n: codec.timestamp(query[n], n), lambda n: codec.integer(request, n)):
            with contextlib.suppress(InvalidArgument):
                decode(name)
    with contextlib.suppress(InvalidArgument):
        codec.filters(request)
