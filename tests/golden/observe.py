"""What an engine makes of a case: its refusal, or what inspect then says, with ids, times and addresses taken out."""

from __future__ import annotations

import http.client
import os
import re
from typing import Any

from golden.cases import words_of
from harness.daemon import Daemon

_ID = re.compile(r"\b[0-9a-f]{64}\b")
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_PATHS = re.compile(r"/[^\s\":]*/(containers|volumes|overlay2|snapshots|image)/[^\s\"]*")


def creation(engine: Daemon, case: str) -> dict[str, Any]:
    """``docker create`` of a case: its refusal ``{code, err}``, or what inspect says. The container is removed again."""
    result = engine.docker("create", *words_of(case), check=False)
    if result.code:
        return {"code": result.code, "err": normal_text(result.err)}
    ident = result.out.strip()
    try:
        found = engine.api("GET", f"/containers/{ident}/json").body
    finally:
        engine.api("DELETE", f"/containers/{ident}?force=1&v=1")
    return {
        "code": 0,
        "err": normal_text(result.err),
        "inspect": normal(found, short=ident[:12], name=found["Name"][1:]),
    }


def posted(engine: Daemon, text: str, version: str = "1.51") -> dict[str, Any]:
    """What a create body (JSON text) is answered: ``{status, message}``, or the status and what inspect says.

    Status 0: the engine ended the connection (Docker's handler died).
    """
    path, headers = f"/v{version}/containers", {"Content-Type": "application/json"}
    try:
        answer = engine.api("POST", f"{path}/create", text.encode(), headers=headers)
    except http.client.RemoteDisconnected:
        return {"status": 0, "message": ""}
    if answer.status != 201:
        body = answer.body if isinstance(answer.body, dict) else {"message": answer.body}
        return {"status": answer.status, "message": normal_text(body["message"])}
    ident = answer.body["Id"]
    try:
        found = engine.api("GET", f"{path}/{ident}/json").body
    finally:
        engine.api("DELETE", f"/containers/{ident}?force=1&v=1")
    return {"status": 201, "warnings": answer.body["Warnings"],
            "inspect": normal(found, short=ident[:12], name=found["Name"][1:])}  # fmt: skip


def against(plain: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    """A creation, with only what inspect says otherwise than of a container without options."""
    if "inspect" not in seen:
        return seen
    return {**seen, "inspect": changes(plain, seen["inspect"])}


def normal_text(text: str) -> str:
    text = _ID.sub("<id>", text)
    text = re.sub(r"(docker|berth)( container)? (create|run) --help", "CLI --help", text)
    return _TIME.sub("<time>", text).strip()


def normal(value: Any, *, short: str, name: str) -> Any:
    """``value`` with what differs between two runs replaced by its kind."""
    if isinstance(value, dict):
        if not value.get("EndpointID", "x"):
            value = {**value, "NetworkID": ""}  # Docker knows it from the first start on
        return {normal_key(k): normal(v, short=short, name=name) for k, v in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], dict) and "Destination" in value[0]:
            value = sorted(value, key=lambda m: str(m["Destination"]))
        if value and isinstance(value[-1], str) and value[-1].startswith("PATH="):
            value = sorted(value)  # the stock CLI gives a map's order
        return [normal(v, short=short, name=name) for v in value]
    if isinstance(value, str):
        value = value.replace(os.uname().nodename, "<host>") if value == os.uname().nodename else value
        value = "<socket>" if value.endswith("/s") and value.startswith("/") and len(value) < 40 else value
        value = _PATHS.sub(r"<\1>", value)
        value = _TIME.sub("<time>", _ID.sub("<id>", value))
        if value == short:
            return "<short id>"
        return value.replace(name, "<name>") if len(name) > 6 else value
    return value


def normal_key(key: str) -> str:
    return _ID.sub("<id>", key)


def changes(base: Any, found: Any, path: str = "") -> dict[str, Any]:
    """What ``found`` says otherwise than ``base``: ``{"HostConfig.Memory": 67108864}``; a key that is gone has "<gone>"."""
    if not (isinstance(base, dict) and isinstance(found, dict)):
        return {} if base == found else {path: found}
    result: dict[str, Any] = {}
    for key in sorted({*base, *found}):
        below = f"{path}.{key}" if path else key
        if key not in found:
            result[below] = "<gone>"
        elif key not in base:
            result[below] = found[key]
        else:
            result |= changes(base[key], found[key], below)
    return result
