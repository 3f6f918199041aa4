"""The head of a request: bytes up to the empty line → ``Head``. Spec: RFC 9112; the words of refusals are Go's server's."""

from __future__ import annotations

from typing import Any, NamedTuple

import httptools

MAX_HEAD = 1 << 20  # Go's, and so Docker's: credentials for many registries travel in one header


class Malformed(Exception):
    """The request cannot be read on: ``status`` and a plain sentence, then the connection ends."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Head(NamedTuple):
    """``length`` is the body's, None when it comes in chunks. Names of headers are lower case, repeated ones are joined."""

    method: str
    target: bytes
    headers: dict[str, str]
    http_1_0: bool
    keep_alive: bool
    upgrade: bool
    length: int | None


class _Collector:
    """What httptools calls back."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.complete = False
        self.keep_alive = False
        self.parser: Any = httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.complete = True
        self.keep_alive = self.parser.should_keep_alive()  # asked now: the message's end forgets it


def parse_head(raw: bytes) -> Head:
    """``raw`` ends with the empty line. Raises: Malformed."""
    found = _Collector()
    parser = found.parser
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as err:
        raise Malformed(400, f"400 Bad Request: {err}") from None
    if not found.complete:
        raise Malformed(400, "400 Bad Request")
    headers = found.headers
    del found.parser  # it refers back: nothing is left for the collector
    version = parser.get_http_version()
    if version == "1.1" and "host" not in headers:
        raise Malformed(400, "400 Bad Request: missing required Host header")
    if headers.get("expect", "100-continue").lower() != "100-continue":
        raise Malformed(417, "417 Expectation Failed")
    upgrade = "upgrade" in headers and "upgrade" in headers.get("connection", "").lower()
    return Head(
        parser.get_method().decode(), found.target, headers, version == "1.0",
        upgrade or found.keep_alive, upgrade, _length(headers),
    )  # fmt: skip


def _length(headers: dict[str, str]) -> int | None:
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if coding.strip().lower() != "chunked":
            raise Malformed(501, f'501 Not Implemented: unsupported transfer encoding: "{coding}"')
        if "content-length" in headers:  # which of the two counts is how requests are smuggled
            raise Malformed(400, "400 Bad Request: both Content-Length and Transfer-Encoding")
        return None
    text = headers.get("content-length", "0").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise Malformed(400, f'400 Bad Request: bad Content-Length "{text}"')
    return int(text)
