"""Images as archives, for the golden data of ``image inspect``, ``images`` and ``history``: what an engine says of each.

Each archive is a Docker archive made from the same bytes everywhere, so that ids, sizes and times are the same in every engine.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any
from urllib.parse import quote

from harness.daemon import Daemon
from harness.images import Entry, digest, docker_archive, layer_tar, to_json

VERSIONS = ("1.24", "1.42", "1.43", "1.44", "1.45", "1.47", "1.50", "1.51")
_WHEN = "2026-01-02T03:04:05.678901234Z"
_BASE = layer_tar([Entry("etc/", kind="dir"), Entry("etc/one", b"1" * 3000)])
_UPPER = layer_tar([Entry("etc/.wh.one"), Entry("two", b"2" * 500, mode=0o4755)])
_FULL_CONFIG: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "1000:1000", "AttachStdin": False, "AttachStdout": False,
    "AttachStderr": False, "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Tty": False, "OpenStdin": False,
    "StdinOnce": False, "Env": ["PATH=/bin", "A=b c"], "Cmd": ["-x"], "Entrypoint": ["/two"], "ArgsEscaped": True,
    "Image": "", "Volumes": {"/data": {}}, "WorkingDir": "/etc", "Labels": {"b": "2", "a": "1"}, "StopSignal": "SIGINT",
    "OnBuild": ["RUN true"], "Shell": ["/bin/sh", "-c"],
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5000000000, "Timeout": 1000000000, "Retries": 3},
}  # fmt: skip


def _document(layers: list[bytes], **more: Any) -> bytes:
    return to_json({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in layers]},
        **more,
    })  # fmt: skip


_STEPS = [
    {"created": _WHEN, "created_by": "ADD base / # buildkit", "comment": "buildkit.dockerfile.v0"},
    {"created": _WHEN, "created_by": "ENV A=b c", "empty_layer": True},
    {"created": _WHEN, "created_by": "/bin/sh -c #(nop)  CMD [\"-x\"]", "author": "somebody", "comment": "last"},
]  # fmt: skip
IMAGES: dict[str, tuple[list[str], list[bytes], bytes]] = {
    "plain": (["golden/plain:1"], [_BASE], _document([_BASE], created=_WHEN, config={"Cmd": ["sh"]})),
    "full": (
        ["golden/full:1", "golden/full:latest", "registry.example.com:5000/team/full:v2"], [_BASE, _UPPER],
        _document([_BASE, _UPPER], created=_WHEN, author="somebody <s@example.com>", docker_version="20.10.1",
                  config=_FULL_CONFIG, history=_STEPS, variant="v2", **{"os.version": "1.2"}),
    ),
    "nothing said": (["golden/bare:1"], [_BASE], _document([_BASE])),
    "no layers": (["golden/empty:1"], [], _document([], created=_WHEN, config={"Env": []})),
    "no name": ([], [_UPPER], _document([_UPPER], created="2020-02-03T04:05:06+02:00", comment="a comment")),
}  # fmt: skip
"""Name → tags, layers, config document."""


def seen(engine: Daemon) -> dict[str, Any]:
    """Load every image, and what the engine says of it by version of the API; the images are removed again."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (tags, layers, document) in IMAGES.items():
            path = os.path.join(folder, "image.tar")
            ident = docker_archive(path, tags, layers, raw_config=document)
            engine.docker("load", "-q", "-i", path)
            found[name] = {version: _of(engine, version, ident) for version in VERSIONS}
            for one in tags or [ident]:
                engine.docker("rmi", one)
    return found


def _of(engine: Daemon, version: str, ident: str) -> dict[str, Any]:
    listed = engine.api("GET", f"/v{version}/images/json?all=1").body
    entry = next(one for one in listed if one["Id"] == ident)
    return {
        "inspect": _normal(engine.api("GET", f"/v{version}/images/{quote(ident)}/json").body),
        "list": _normal(entry),
        "history": engine.api("GET", f"/v{version}/images/{quote(ident)}/history").body,
    }


def _normal(answer: dict[str, Any]) -> dict[str, Any]:
    if "GraphDriver" in answer:  # each store's own places
        answer["GraphDriver"] = {
            "Name": answer["GraphDriver"]["Name"],
            "Data": sorted(answer["GraphDriver"]["Data"] or {}),
        }
    if not answer.get("Metadata", {}).get("LastTagTime", "0001").startswith("0001"):
        answer["Metadata"]["LastTagTime"] = "<time>"
    return answer
