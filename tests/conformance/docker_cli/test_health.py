"""Health checks: probes run inside, their results counted, told by inspect, ps and events."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root

FAST = ("--health-interval", "100ms", "--health-timeout", "5s")


def run(engine: Daemon, *flags: str, command: str = "sleep 1000") -> str:
    return engine.docker("run", "-d", *flags, "busybox", "sh", "-c", f"trap exit TERM; {command} & wait").out.strip()


def health(engine: Daemon, ident: str) -> dict[str, object]:
    return dict(engine.inspect(ident)["State"]["Health"])


def test_starting_then_healthy(engine: Daemon) -> None:
    ident = run(engine, "--health-cmd", "test -e /ok && echo fine", *FAST, "--health-retries", "1000")
    assert health(engine, ident)["Status"] == "starting"
    assert "(health: starting)" in engine.docker("ps", "--format", "{{.Status}}").out
    engine.docker("exec", ident, "touch", "/ok")
    eventually(lambda: health(engine, ident)["Status"] == "healthy")
    assert engine.docker("ps", "--filter", "health=healthy", "--format", "{{.Status}}").out.endswith("(healthy)\n")
    entry = health(engine, ident)["Log"][-1]  # type: ignore[index]
    assert (entry["ExitCode"], entry["Output"]) == (0, "fine\n")


def test_unhealthy_after_so_many_failures(engine: Daemon) -> None:
    ident = run(engine, "--health-cmd", "echo no >&2; exit 3", *FAST, "--health-retries", "2")
    eventually(lambda: health(engine, ident)["Status"] == "unhealthy")
    eventually(lambda: len(health(engine, ident)["Log"]) == 5)  # type: ignore[arg-type]
    found = health(engine, ident)
    assert int(str(found["FailingStreak"])) >= 2
    entry = found["Log"][-1]  # type: ignore[index]
    assert (entry["ExitCode"], entry["Output"]) == (3, "no\n")
    assert entry["Start"] < entry["End"]


def test_failures_of_the_start_period_do_not_count(engine: Daemon) -> None:
    ident = run(
        engine, "--health-cmd", "false", "--health-interval", "50ms", "--health-start-period", "1h",
        "--health-start-interval", "50ms", "--health-retries", "1",
    )  # fmt: skip
    eventually(lambda: len(health(engine, ident)["Log"]) >= 3)  # type: ignore[arg-type]
    assert (health(engine, ident)["Status"], health(engine, ident)["FailingStreak"]) == ("starting", 0)


def test_a_probe_that_takes_too_long_is_ended(engine: Daemon) -> None:
    ident = run(
        engine, "--health-cmd", "echo slow; exec sleep 1001", "--health-interval", "100ms", "--health-timeout", "300ms",
        "--health-retries", "1",
    )  # fmt: skip
    eventually(lambda: health(engine, ident)["Status"] == "unhealthy")
    entry = health(engine, ident)["Log"][0]  # type: ignore[index]
    assert entry["ExitCode"] == -1 and entry["Output"].startswith("Health check exceeded timeout (300ms): slow")


def test_a_probe_that_cannot_run(engine: Daemon) -> None:
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"],
            "Healthcheck": {"Test": ["CMD", "/nowhere"], "Interval": 50_000_000, "Retries": 1}}  # fmt: skip
    ident = engine.api("POST", "/containers/create", body).body["Id"]
    engine.docker("start", ident)
    eventually(lambda: health(engine, ident)["Status"] == "unhealthy")
    entry = health(engine, ident)["Log"][0]  # type: ignore[index]
    assert entry["ExitCode"] != 0 and "/nowhere" in entry["Output"]


def test_events_tell_changes_only(engine: Daemon) -> None:
    ident = run(engine, "--health-cmd", "true", *FAST)
    eventually(lambda: len(health(engine, ident)["Log"]) >= 3)  # type: ignore[arg-type]
    filters = json.dumps({"event": ["health_status"], "container": [ident]})
    text = engine.api("GET", f"/events?since=1&until={time.time():.6f}&filters={quote(filters)}").body
    actions = [
        json.loads(line)["Action"] for line in (text if isinstance(text, str) else json.dumps(text)).splitlines()
    ]
    assert actions == ["health_status: healthy"]


def test_no_healthcheck_and_none(engine: Daemon) -> None:
    ident = run(engine, "--no-healthcheck")
    assert "Health" not in engine.inspect(ident)["State"]
    assert engine.docker("ps", "-q", "--filter", "health=none").out.strip() == ident[:12]


def test_paused_containers_are_not_probed(engine: Daemon) -> None:
    ident = run(engine, "--health-cmd", "true", *FAST)
    eventually(lambda: health(engine, ident)["Status"] == "healthy")
    engine.docker("pause", ident)
    last = health(engine, ident)["Log"]
    engine.docker("unpause", ident)
    eventually(lambda: health(engine, ident)["Log"] != last)


def test_a_stopped_one_is_not_healthy(engine: Daemon) -> None:
    ident = run(engine, "--health-cmd", "true", *FAST)
    eventually(lambda: health(engine, ident)["Status"] == "healthy")
    engine.docker("stop", ident)
    assert health(engine, ident)["Status"] == "unhealthy"
    engine.docker("start", ident)
    assert health(engine, ident)["Status"] == "starting"
