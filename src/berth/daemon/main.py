"""``berthd``: the daemon's program."""

from __future__ import annotations

import asyncio
import datetime
import gc
import json
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from berth.base.errors import BerthError
from berth.base.layout import Layout
from berth.daemon import host, systemd
from berth.daemon.configure import load, reread
from berth.daemon.doors import open_doors
from berth.daemon.settings import Settings

if TYPE_CHECKING:
    from berth.api.http.server import Server
    from berth.daemon.wiring import Engine

log = logging.getLogger("berth.daemon")

_LEVELS = {"debug": 10, "info": 20, "warn": 30, "error": 40, "fatal": 50}


def main(argv: list[str] | None = None) -> int:
    """Run the daemon until SIGTERM or SIGINT. Exit status: 0 after a clean stop, 1 with a sentence on stderr."""
    try:
        settings = load(sys.argv[1:] if argv is None else argv)
        if settings["validate"]:
            from berth.daemon.wiring import check

            check(settings)
            print("configuration OK")
            return 0
        return _run(settings)
    except BerthError as err:
        print(f"berthd: {err}", file=sys.stderr)
        return 1


def _run(settings: Settings) -> int:
    if os.geteuid() != 0:
        print("berthd: the daemon needs to run as root: try sudo berthd", file=sys.stderr)
        return 1
    _start_logging(settings)
    _tell_ignored(settings)
    for variable, flag in (("HTTP_PROXY", "http-proxy"), ("HTTPS_PROXY", "https-proxy"), ("NO_PROXY", "no-proxy")):
        if settings[flag]:
            os.environ[variable] = os.environ[variable.lower()] = settings[flag]
    os.umask(0o022)
    layout = Layout(settings["data-root"], settings["exec-root"])
    host.prepare_roots(layout)
    lock_fd = host.lock(layout)
    pidfile = settings["pidfile"] or layout.pidfile
    host.write_pidfile(pidfile)
    try:
        try:
            import uvloop
        except ImportError:
            asyncio.run(_serve(settings, layout))
        else:
            uvloop.run(_serve(settings, layout))
    finally:
        _unlink(pidfile)
        host.leave_run_root(layout)
        os.close(lock_fd)
    return 0


def _tell_ignored(settings: Settings) -> None:
    for line in settings.ignored:
        log.warning("%s: %s", settings.path or "the command line", line)


class _JsonLines(logging.Formatter):
    """One object a line, with dockerd's keys."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "time": at.isoformat(),
            "module": record.name,
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _start_logging(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonLines() if settings["log-format"] == "json" else text)
    logging.getLogger().addHandler(handler)
    set_level(settings)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def set_level(settings: Settings) -> None:
    """``--debug`` wins over ``--log-level``."""
    logging.getLogger().setLevel(logging.DEBUG if settings["debug"] else _LEVELS[settings["log-level"]])


async def _serve(settings: Settings, layout: Layout) -> None:
    from berth.daemon.wiring import Engine

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    engine = Engine(settings, layout)
    loop.add_signal_handler(signal.SIGHUP, _reload, engine)
    servers: list[Server] = []
    await engine.open()
    try:
        assert engine.app is not None
        await open_doors(engine.app, settings, layout, servers)
        gc.collect()
        gc.freeze()  # what lives now lives as long as the daemon: the collector need not look at it again
        systemd.notify("READY=1")
        log.info("berthd is ready (instance %s)", engine.instance_id)
        await stopping.wait()
        log.info("stopping")
        systemd.notify("STOPPING=1")
    finally:
        for server in servers:
            await server.close(3.0)
        await engine.close()
        for address in settings.get("served", ()):
            if address.startswith("unix://"):
                _unlink(address.removeprefix("unix://"))


def _reload(engine: Engine) -> None:
    """SIGHUP: what of the file's new values may change in a running daemon does; a wrong file changes nothing."""
    systemd.notify_reloading()
    try:
        fresh = reread(engine.settings)
        log.info("Got signal to reload configuration, reloading from: %s", fresh.path)
        engine.reload(fresh)
        set_level(engine.settings)
        _tell_ignored(fresh)
    except BerthError as err:
        log.error("the configuration was not reloaded: %s", err)
    systemd.notify("READY=1")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


if __name__ == "__main__":
    sys.exit(main())
