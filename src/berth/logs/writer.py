"""What the shim writes through: a driver's writer, or nothing."""

from __future__ import annotations

from typing import Protocol

from berth.base.errors import InvalidArgument
from berth.logs.drivers.json_file import JsonFileWriter
from berth.spec.shim import LogConfig


class LogWriter(Protocol):
    """Takes output as it was read; never raises, never waits for anything but the local disk."""

    lost: int

    def write(self, stream: str, chunk: bytes) -> None: ...

    def finish(self, stream: str) -> None: ...

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class NoLog:
    """--log-driver none."""

    lost = 0

    def write(self, stream: str, chunk: bytes) -> None:
        return

    def finish(self, stream: str) -> None:
        return

    def reopen(self) -> None:
        return

    def close(self) -> None:
        return


def open_writer(config: LogConfig) -> LogWriter:
    """Raises: InvalidArgument (an unknown driver)."""
    if config["driver"] == "none":
        return NoLog()
    if config["driver"] == "json-file":
        return JsonFileWriter(
            config["path"], max_size=config["max_size"], max_file=config["max_file"], attrs=config["attrs"]
        )
    raise InvalidArgument(f"logger: no log driver named '{config['driver']}' is registered")
