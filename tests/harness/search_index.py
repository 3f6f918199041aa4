"""A stand-in of Docker Hub's search: the old index API (``/v1/_ping``, ``/v1/search``) on loopback.

    with SearchIndex() as host:
        engine.docker("search", f"{host}/app")

Its port is fixed, since the name of the index is part of the golden command lines.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PORT = 28421
_LONG = "A description that goes on after the forty-fifth letter, and has\na second line"


def _entry(
    name: str, description: str, stars: int, official: bool = False, automated: bool = False
) -> dict[str, object]:
    return {
        "name": name, "description": description, "star_count": stars, "is_official": official, "is_automated": automated
    }  # fmt: skip


ENTRIES = [
    _entry("app", "The official one", 316, official=True),
    _entry("team/app", _LONG, 50),
    _entry("robot/app", "", 3, automated=True),
    _entry("someone/app-of-a-rather-long-name", "exactly forty-five letters and not one more..", 2),
    _entry("other/app", 'quotes " and <angles> & ünïcode', 0),
]
"""What is found for any term with "app" in it; nothing is found for others."""


class SearchIndex:
    """Serves while it is entered; entering gives ``host:port``."""

    def __enter__(self) -> str:
        self._server = ThreadingHTTPServer(("127.0.0.1", PORT), _Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return f"127.0.0.1:{PORT}"

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/v1/_ping":
            self._answer({"version": "0.6.1", "standalone": True})
        elif parts.path == "/v1/search" and query.get("q") != "broken":
            found = ENTRIES[: int(query.get("n", 25))] if "app" in query.get("q", "") else []
            self._answer({"query": query.get("q"), "num_results": len(found), "results": found})
        else:
            self.send_error(503)

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Docker-Registry-Standalone", "true")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Not on the tests' output."""
