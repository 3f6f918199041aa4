"""What a registry's refusal means: kinds of errors with Docker's sentences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from berth.base.errors import BerthError, Forbidden, Internal, InvalidArgument, NotFound, Unauthorized, Unavailable
from berth.registry.transport import read_bounded
from berth.spec.distribution import MESSAGES

if TYPE_CHECKING:
    import aiohttp

    from berth.spec.reference import Reference

_MAX_ERROR = 64 << 10


async def refusal(response: aiohttp.ClientResponse, ref: Reference, *, writing: bool) -> BerthError:
    """A response that is no success, as the kind and the sentence that Docker has for it."""
    code, message = _error_of(await _read_error(response))
    status, url = response.status, str(response.url)
    if status == 401 and 'error="insufficient_scope"' in response.headers.get("WWW-Authenticate", ""):
        return _denied(ref, "denied", MESSAGES["DENIED"], Forbidden, writing=writing)
    if status == 401 or code == "UNAUTHORIZED":
        return _denied(ref, "unauthorized", message or MESSAGES["UNAUTHORIZED"], Unauthorized, writing=writing)
    if status == 403 or code == "DENIED":
        return _denied(ref, "denied", message or MESSAGES["DENIED"], Forbidden, writing=writing)
    if status == 404 and "/manifests/" in url:
        name = f"{ref.familiar_name}@{ref.digest}" if ref.digest else f"{ref.familiar_name}:{ref.tag or 'latest'}"
        return NotFound(f"manifest for {name} not found: manifest unknown: {message or MESSAGES['MANIFEST_UNKNOWN']}")
    if status == 404:
        lowered = code.lower().replace("_", " ") if code else "not found"
        return NotFound(f"{lowered}: {message or MESSAGES['BLOB_UNKNOWN']}")
    if status == 429:
        return Unavailable(f"toomanyrequests: {message or response.reason}{_when(response)}")
    if status >= 500:
        return Unavailable(
            f"received unexpected HTTP status: {status} {response.reason} from {response.url.with_query(None)}"
        )
    if code in ("MANIFEST_INVALID", "DIGEST_INVALID", "SIZE_INVALID", "NAME_INVALID", "TAG_INVALID"):
        return InvalidArgument(f"{code.lower().replace('_', ' ')}: {message}")
    what = f"{code.lower().replace('_', ' ')}: {message}" if code else message or str(response.reason)
    return Internal(f"{ref.familiar_name}: unexpected status {status} from {response.url.with_query(None)}: {what}")


def _denied(ref: Reference, word: str, detail: str, kind: type[BerthError], *, writing: bool) -> BerthError:
    if writing:
        return kind(f"{word}: {detail}")
    return NotFound(
        f"pull access denied for {ref.familiar_name}, repository does not exist or may require 'docker login': "
        f"{'denied' if word == 'unauthorized' else word}: {detail}"
    )


def _when(response: aiohttp.ClientResponse) -> str:
    wait = response.headers.get("Retry-After", "")
    return f" (try again in {wait} s)" if wait.isdigit() else ""


async def _read_error(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await read_bounded(response, _MAX_ERROR)
    except BerthError:
        return b""


def _error_of(content: bytes) -> tuple[str, str]:
    """Code and message of an error body, as far as it is one. Control characters don't come through."""
    try:
        entry = json.loads(content)["errors"][0]
        code, message = str(entry.get("code") or ""), str(entry.get("message") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "", ""
    return _plain(code)[:60], _plain(message)[:300]


def _plain(text: str) -> str:
    return "".join(char for char in text if char.isprintable())
