"""Lives of containers: some commands of the stock CLI, and what inspect, the list and the events then say.

``{c}`` is the container's name. What differs between two runs (ids, times, addresses, pids) is replaced by its kind.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from typing import Any
from urllib.parse import quote

from golden.observe import normal
from harness.daemon import Daemon
from harness.eventually import eventually

NAME = "golden-life"
_SLEEPER = "busybox sh -c 'trap exit TERM; sleep 1000 & wait'"
LIVES: dict[str, list[str]] = {
    "created": ["create --name {c} busybox true"],
    "running": ["run -d --name {c} " + _SLEEPER],
    "ended": ["run --name {c} busybox true"],
    "ended with a status": ["run --name {c} -l a=1 busybox sh -c 'exit 3'"],
    "attached and removed": ["run --rm --name {c} busybox true"],
    "stopped": ["run -d --name {c} " + _SLEEPER, "stop {c}"],
    "killed": ["run -d --name {c} " + _SLEEPER, "kill {c}"],
    "sent a signal": ["run -d --name {c} " + _SLEEPER, "kill -s TERM {c}", "wait {c}"],
    "paused": ["run -d --name {c} " + _SLEEPER, "pause {c}"],
    "paused and on": ["run -d --name {c} " + _SLEEPER, "pause {c}", "unpause {c}"],
    "restarted": ["run -d --name {c} " + _SLEEPER, "restart {c}"],
    "started again": ["run -d --name {c} " + _SLEEPER, "stop {c}", "start {c}"],
    "renamed": ["run -d --name {c} " + _SLEEPER, "rename {c} {c}-new", "rename {c}-new {c}"],
    "updated": ["run -d --name {c} -m 64m " + _SLEEPER, "update -m 128m --memory-swap 256m --cpus 1 --restart always {c}"],
    "updated wrongly": ["create --name {c} busybox", "update -m 1m {c}", "update --cpus 1000 {c}", "update --restart x {c}",
                        "update --pids-limit 9 {c}", "update {c}"],
    "with an exec": ["run -d --name {c} " + _SLEEPER, "exec {c} true", "exec {c} sh -c 'exit 4'"],
    "execs that fail": ["run -d --name {c} " + _SLEEPER, "exec {c} nowhere", "exec {c} /etc", "exec -u nobodyhere {c} true",
                        "exec -w /nowhere {c} true"],
    "looked at": ["run -d --name {c} " + _SLEEPER, "logs {c}", "port {c}"],
    "no such command": ["run --name {c} busybox nowhere"],
    "not executable": ["run --name {c} busybox /etc/passwd"],
    "on the host's network": ["run -d --name {c} --network host " + _SLEEPER],
    "without a network": ["run -d --name {c} --network none " + _SLEEPER],
    "with published ports": ["run -d --name {c} -p 127.0.0.1:18089:80 -p 127.0.0.1:18090:81/udp --expose 82 " + _SLEEPER],
    "with mounts": ["run -d --name {c} -v /anonymous -v /etc:/e:ro --tmpfs /t --mount type=tmpfs,dst=/m " + _SLEEPER],
    "with mounts, stopped": ["run -d --name {c} -v /anonymous " + _SLEEPER, "stop {c}"],
    "with a terminal": ["run -d -t --name {c} " + _SLEEPER],
    "privileged": ["run -d --privileged --name {c} " + _SLEEPER],
    "healthy": ["run -d --name {c} --health-cmd true --health-interval 60s " + _SLEEPER],
    "taken down": ["run -d --name {c} " + _SLEEPER, "rm -f {c}"],
    "wrong verbs": ["create --name {c} busybox true", "create --name {c} busybox", "pause {c}", "unpause {c}", "kill {c}",
                    "exec {c} true", "attach {c}", "top {c}", "rename {c} {c}", "rename {c} bad/name", "rename {c} ''",
                    "stop {c}", "rm {c}-nobody", "start {c}-nobody", "wait {c}-nobody",
                    "rm -l {c}", "inspect {c}-nobody", "logs {c}-nobody", "port {c} 80", "update -m 64m {c}-nobody"],
    "wrong while it runs": ["run -d --name {c} " + _SLEEPER, "rm {c}", "start {c}", "unpause {c}", "kill -s NONSENSE {c}",
                            "pause {c}", "pause {c}", "exec {c} true", "attach {c}", "start {c}", "rm {c}"],
}  # fmt: skip


def live(engine: Daemon, life: str) -> dict[str, Any]:
    """Run a life; what its commands answered where they failed, and what there is to see at its end."""
    begun = time.time()
    said = []
    for line in LIVES[life]:
        result = engine.docker(*shlex.split(line.replace("{c}", NAME)), check=False)
        if result.code:
            said.append({"command": line, "code": result.code, "err": result.err.strip()})
    found = engine.api("GET", f"/containers/{NAME}/json")
    try:
        entries = engine.api("GET", "/containers/json?all=1").body
        events = _events(engine, begun)
        ident = str(found.body.get("Id") or next(e["Actor"]["ID"] for e in events if e["Type"] == "container"))
    finally:
        engine.api("DELETE", f"/containers/{NAME}?force=1&v=1")
    seen = {
        "said": said, "events": _in_order([_event(e) for e in events]), "list": [_listed(e) for e in entries],
        "inspect": _inspected(found.body) if found.status == 200 else None,
    }  # fmt: skip
    return dict(normal(json.loads(_plain(json.dumps(seen), ident)), short=ident[:12], name=NAME))


def _events(engine: Daemon, begun: float) -> list[dict[str, Any]]:
    """Those of this life, told once they are all there."""
    last: list[dict[str, Any]] = []

    def settled() -> bool:
        nonlocal last
        filters = quote(json.dumps({"type": ["container", "network", "volume"]}))
        text = engine.api("GET", f"/events?since={begun:.6f}&until={time.time():.6f}&filters={filters}").body
        found = [json.loads(line) for line in text.splitlines()] if isinstance(text, str) else [text]
        same, last = found == last and bool(found), found
        return same

    eventually(settled, every_s=0.25)
    return last


def _event(event: dict[str, Any]) -> str:
    attributes = {k: v for k, v in event["Actor"]["Attributes"].items() if k not in ("execDuration", "execID")}
    if attributes.get("container"):
        attributes["container"] = "<id>"
    words = ", ".join(f"{key}={value}" for key, value in sorted(attributes.items()))
    return f"{event['Type']} {event['Action']} ({words}) {event['scope']}"


_TOLD_TOGETHER = ("die", "disconnect", "stop", "unmount")


def _in_order(events: list[str]) -> list[str]:
    """What Docker tells of an end comes in any order: sort it."""
    result: list[str] = []
    run: list[str] = []
    for event in events:
        if event.split()[1] in _TOLD_TOGETHER:
            run.append(event)
            continue
        result += [*sorted(run), event]
        run = []
    return result + sorted(run)


def _listed(entry: dict[str, Any]) -> dict[str, Any]:
    status = re.sub(r"(About an?|Less than a|\d+) (second|minute|hour)s?", "<span>", entry["Status"])
    ports = sorted(entry["Ports"], key=lambda p: (p["PrivatePort"], p.get("IP", "")))
    return {**entry, "Created": 0, "Status": status, "Ports": ports, "Mounts": _mounts(entry["Mounts"])}


def _mounts(mounts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(mounts, key=lambda m: str(m["Destination"]))


def _inspected(body: dict[str, Any]) -> dict[str, Any]:
    state = {**body["State"], "Pid": 1 if body["State"]["Pid"] else 0}
    if "Health" in state:
        state["Health"] = {**state["Health"], "Log": []}
    kept = {k: v for k, v in body.items() if k not in ("GraphDriver", "HostConfig", "Config")}
    return {**kept, "State": state, "Mounts": _mounts(body["Mounts"])}


def _plain(text: str, ident: str) -> str:
    """Addresses and paths by their kind."""
    text = re.sub(r"\b(10\.231|172\.17|10\.88)\.\d+\.1\b", "<gateway>", text)
    text = re.sub(r"\b(10\.231|172\.17|10\.88)\.\d+\.\d+\b", "<address>", text)
    text = re.sub(r"\"([0-9a-f]{2}:){5}[0-9a-f]{2}\"", '"<mac>"', text)
    text = re.sub(r'"SandboxKey": "/[^"]*"', '"SandboxKey": "<key>"', text)
    text = re.sub(r"\"IPPrefixLen\": \d+", '"IPPrefixLen": 1', text)
    return text.replace(ident[:12] + '"', '<short id>"')
