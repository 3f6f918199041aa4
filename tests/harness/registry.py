"""``StandIn``: a registry of the tests' own on loopback, which can be made to behave as others do.

    with StandIn() as registry:
        registry.add("library/busybox", "latest", busybox_image())
        engine.docker("pull", f"{registry.host}/library/busybox")

It serves reads (with ranges) and writes, writes down every request (``seen``), can break off in the middle of a blob (``cut``),
ask for credentials (``guard``), send blobs elsewhere (``blobs_at``), and speak TLS (``tls``).
``PackagedRegistry`` is the real other side: Debian's docker-registry with a storage of its own.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from harness.eventually import eventually
from harness.images import OCI_INDEX, Entry, OciImage, digest, layer_tar, oci_image, packaged_program, to_json

_MANIFEST = re.compile(r"/v2/(.+)/manifests/([^/]+)")
_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/")
_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/(\d+)")
_TAGS = re.compile(r"/v2/(.+)/tags/list")
_REFERRERS = re.compile(r"/v2/(.+)/referrers/(sha256:[0-9a-f]{64})")
_PIECE = 1 << 16


def layered(count: int, *, salt: str = "", **how: Any) -> OciImage:
    """A small image of ``count`` layers; another ``salt`` makes others (see ``oci_image`` for ``how``)."""
    layers = [layer_tar([Entry(f"f{n}{salt}", f"{n}{salt}".encode() * 1000)]) for n in range(count)]
    return oci_image(layers, {"Cmd": ["x"]}, **how)


def skopeo(*args: str) -> str:
    """The other client. Raises: AssertionError with its words."""
    done = subprocess.run(["skopeo", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Seen(NamedTuple):
    """One request, as it came. ``path`` with its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query))

    @property
    def secret(self) -> str:
        """The Authorization header."""
        return self.headers.get("authorization", "")


class Reply(NamedTuple):
    """An answer that takes the place of the registry's own."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


Guard = Callable[[Seen], "Reply | None"]


def refusal(status: int, code: str, message: str, **headers: str) -> Reply:
    """An error body of the registry's protocol; ``Retry_After`` becomes ``Retry-After``."""
    body = to_json({"errors": [{"code": code, "message": message}]})
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"Content-Type": "application/json", **names}, body)


class StandIn:
    """``referrers``: has that API. ``cut``: (digest, begin, size) → bytes after which the line breaks, None for none."""

    def __init__(
        self, *, guard: Guard | None = None, referrers: bool = False, tls: tuple[str, str] | None = None,
        client_ca: str = "", address: str = "127.0.0.1", monolithic_limit: int = 0,
    ) -> None:  # fmt: skip
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.placed: dict[str, set[str]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.seen: list[Seen] = []
        self.sent_bytes = 0
        self.guard = guard
        self.referrers = referrers
        self.blobs_at = ""
        self.etags = False
        self.monolithic_limit = monolithic_limit
        self.cut: Callable[[str, int, int], int | None] = lambda digest, begin, size: None
        self.cut_upload: Callable[[int], int | None] = lambda size: None
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer((address, 0), _handler(self))
        self._server.daemon_threads = True
        self.scheme = "http"
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*tls)
            if client_ca:
                context.load_verify_locations(client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self.port = self._server.server_address[1]
        self.host = f"{address}:{self.port}"
        self.url = f"{self.scheme}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    # --- what it holds

    def add(self, name: str, tag: str, image: OciImage) -> str:
        """An image under a tag ("" for none); returns its digest."""
        for key, blob in image.blobs.items():
            self.add_blob(name, blob, key)
        return self.add_manifest(name, tag, image.manifest, image.media_type)

    def add_blob(self, name: str, blob: bytes, key: str = "") -> str:
        key = key or digest(blob)
        self.blobs[key] = blob
        self.placed.setdefault(name, set()).add(key)
        return key

    def add_manifest(self, name: str, tag: str, content: bytes, media_type: str) -> str:
        key = digest(content)
        for reference in filter(None, (tag, key)):
            self.manifests[(name, reference)] = (content, media_type)
        return key

    def add_index(
        self, name: str, tag: str, images: Mapping[str, OciImage], *, media_type: str = OCI_INDEX,
        more: Sequence[Mapping[str, Any]] = (),
    ) -> str:  # fmt: skip
        """An index: ``os/arch[/variant]`` → image. ``more``: further entries as they are."""
        entries: list[Mapping[str, Any]] = []
        for platform, image in images.items():
            self.add(name, "", image)
            parts = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
            entries.append(
                {
                    "mediaType": image.media_type,
                    "digest": image.digest,
                    "size": len(image.manifest),
                    "platform": parts,
                }
            )
        document = {"schemaVersion": 2, "mediaType": media_type, "manifests": [*entries, *more]}
        return self.add_manifest(name, tag, to_json(document), media_type)

    def find(self, name: str, reference: str) -> tuple[bytes, str] | None:
        """The manifest that a tag or digest means, with its media type."""
        return self.manifests.get((name, reference))

    def asked(self, method: str, part: str) -> list[Seen]:
        """Requests of a method whose path has ``part`` in it."""
        with self.lock:
            return [seen for seen in self.seen if seen.method == method and part in seen.path]

    def forget(self) -> None:
        with self.lock:
            self.seen.clear()
            self.sent_bytes = 0


def _handler(registry: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        owner = registry

    return Handler


class _Handler(BaseHTTPRequestHandler):
    owner: StandIn
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        try:
            body = self._body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen = Seen(self.command, self.path, headers, body if len(body) < 65536 else b"")
            with self.owner.lock:
                self.owner.seen.append(seen)
            reply = self.owner.guard(seen) if self.owner.guard is not None else None
            if reply is None:
                reply = self._answer(seen, urlsplit(self.path).path, body)
            if reply is not None:
                self._reply(reply)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            self.close_connection = True

    def _body(self) -> bytes:
        size = int(self.headers.get("Content-Length") or 0)
        cut = self.owner.cut_upload(size) if size else None
        if cut is not None:
            partial = self.rfile.read(cut)
            match = _UPLOAD.fullmatch(urlsplit(self.path).path)
            if match:
                self.owner.uploads[match[2]] += partial
            self.connection.close()
            raise ConnectionResetError
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(size) if size else b""

    def _reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _answer(self, seen: Seen, path: str, body: bytes) -> Reply | None:
        registry = self.owner
        if path == "/v2/":
            return Reply(200, {"Docker-Distribution-Api-Version": "registry/2.0"}, b"{}")
        if path == "/v2/_catalog":
            return self._paged(seen, "repositories", sorted({name for name, _ in registry.manifests}))
        if match := _TAGS.fullmatch(path):
            tags = sorted(ref for name, ref in registry.manifests if name == match[1] and ":" not in ref)
            return (
                self._paged(seen, "tags", tags) if tags else refusal(404, "NAME_UNKNOWN", "repository name not known")
            )
        if match := _REFERRERS.fullmatch(path):
            return self._referrers(match[1], match[2])
        if match := _MANIFEST.fullmatch(path):
            return self._manifest(match[1], match[2], body)
        if match := _UPLOADS.fullmatch(path):
            return self._begin_upload(seen, match[1])
        if match := _UPLOAD.fullmatch(path):
            return self._upload(seen, match[1], match[2], body)
        if match := _BLOB.fullmatch(path):
            return self._blob(match[1], match[2])
        return Reply(404, {}, b"404 page not found")

    def _paged(self, seen: Seen, key: str, values: list[str]) -> Reply:
        """Two entries a page, so that a client has to follow the links."""
        last = seen.query.get("last", "")
        rest = [value for value in values if value > last]
        page, more = rest[:2], rest[2:]
        path = urlsplit(seen.path).path
        link = {"Link": f'<{path}?n=2&last={page[-1]}>; rel="next"'} if more else {}
        return Reply(200, {"Content-Type": "application/json", **link}, to_json({key: page}))

    def _referrers(self, name: str, subject: str) -> Reply:
        if not self.owner.referrers:
            return Reply(404, {}, b"404 page not found")
        entries = []
        for (where, reference), (content, media_type) in self.owner.manifests.items():
            document = json.loads(content)
            if where == name and ":" in reference and (document.get("subject") or {}).get("digest") == subject:
                entries.append(
                    {
                        "mediaType": media_type,
                        "digest": reference,
                        "size": len(content),
                        "artifactType": document.get("artifactType", ""),
                    }
                )
        body = to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        return Reply(200, {"Content-Type": OCI_INDEX}, body)

    def _manifest(self, name: str, reference: str, body: bytes) -> Reply:
        registry = self.owner
        if self.command == "PUT":
            media_type = self.headers.get("Content-Type", "")
            key = registry.add_manifest(name, "" if ":" in reference else reference, body, media_type)
            more = (
                {"OCI-Subject": json.loads(body)["subject"]["digest"]}
                if registry.referrers and b'"subject"' in body
                else {}
            )
            return Reply(201, {"Docker-Content-Digest": key, "Location": self.path, **more})
        found = registry.find(name, reference)
        if found is None:
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        content, media_type = found
        return Reply(200, {"Content-Type": media_type, "Docker-Content-Digest": digest(content)}, content)

    def _blob(self, name: str, key: str) -> Reply | None:
        registry = self.owner
        blob = registry.blobs.get(key)
        if blob is None or key not in registry.placed.get(name, ()):
            return refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if registry.blobs_at and self.command == "GET":
            return Reply(307, {"Location": f"{registry.blobs_at}/{key}?X-Amz-Signature=abc"})
        begin = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        etag = f'"{key}"'
        if asked and self.headers.get("If-Range", etag) == etag:
            begin = int(asked[1])
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(blob) - begin)}
        if registry.etags:
            headers["ETag"] = etag
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(blob) - 1}/{len(blob)}"
        if self.command == "HEAD":
            return Reply(200, headers)
        self._send_blob(key, blob, begin, headers)
        return None

    def _send_blob(self, key: str, blob: bytes, begin: int, headers: Mapping[str, str]) -> None:
        cut = self.owner.cut(key, begin, len(blob))
        end = len(blob) if cut is None else min(len(blob), begin + cut)
        self.send_response(206 if begin else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for at in range(begin, end, _PIECE):
            piece = blob[at : min(at + _PIECE, end)]
            self.wfile.write(piece)
            with self.owner.lock:
                self.owner.sent_bytes += len(piece)
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _begin_upload(self, seen: Seen, name: str) -> Reply:
        registry, query = self.owner, seen.query
        if query.get("mount") in registry.placed.get(query.get("from", ""), ()):
            registry.placed.setdefault(name, set()).add(query["mount"])
            return Reply(
                201, {"Docker-Content-Digest": query["mount"], "Location": f"/v2/{name}/blobs/{query['mount']}"}
            )
        with registry.lock:
            number = str(len(registry.uploads) + 1)
            registry.uploads[number] = bytearray()
        return Reply(202, {"Location": f"/v2/{name}/blobs/uploads/{number}?_state=x", "Range": "0-0"})

    def _upload(self, seen: Seen, name: str, number: str, body: bytes) -> Reply:
        registry = self.owner
        upload = registry.uploads.get(number)
        if upload is None:
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self.command == "PUT" and body and registry.monolithic_limit and len(body) > registry.monolithic_limit:
            return Reply(413, {}, b"<html>too large</html>")
        if (
            self.command == "PATCH"
            and (given := self.headers.get("Content-Range"))
            and not given.startswith(f"{len(upload)}-")
        ):
            return refusal(416, "BLOB_UPLOAD_INVALID", "blob upload invalid")
        upload += body
        where = {"Location": f"/v2/{name}/blobs/uploads/{number}?_state=y", "Range": f"0-{max(0, len(upload) - 1)}"}
        if self.command == "PATCH":
            return Reply(202, where)
        if self.command == "GET":
            return Reply(204, where)
        key = seen.query["digest"]
        if digest(bytes(upload)) != key:
            return refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        registry.add_blob(name, bytes(upload), key)
        return Reply(201, {"Docker-Content-Digest": key, "Location": f"/v2/{name}/blobs/{key}"})


# --- Debian's own

_HTPASSWD = "tester:$2a$05$ATaTw0H9gnZ7zEmhc.mvF.PShd/zCfN2J8rGcbYPGMCWji9VGh30W\n"


class PackagedRegistry:
    """CNCF's registry from Debian's docker-registry package, unpacked into the tests' cache, never installed.

    ``password``: asks for user ``tester`` and password ``secret``.
    """

    def __init__(self, *, password: bool = False, delete: bool = True) -> None:
        self.root = tempfile.mkdtemp(prefix="br", dir="/tmp")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": f"{self.root}/storage"}, "delete": {"enabled": delete}},
            "http": {"addr": self.host},
        }
        if password:
            with open(f"{self.root}/htpasswd", "w", encoding="ascii") as file:
                file.write(_HTPASSWD)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": f"{self.root}/htpasswd"}}
        with open(f"{self.root}/config.yml", "w", encoding="ascii") as file:
            json.dump(config, file)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PackagedRegistry:
        program = packaged_program("docker-registry", "usr/bin/docker-registry")
        with open(f"{self.root}/log", "wb") as log:
            self._process = subprocess.Popen(
                [program, "serve", f"{self.root}/config.yml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
            )  # fmt: skip
        eventually(self._answers, 20, every_s=0.05, why="docker-registry answers")
        return self

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log()
        connection = http.client.HTTPConnection(self.host, timeout=2)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
        except OSError:
            return False
        finally:
            connection.close()

    def log(self) -> str:
        with open(f"{self.root}/log", encoding="utf-8", errors="replace") as file:
            return file.read()[-4000:]

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.root, ignore_errors=True)
