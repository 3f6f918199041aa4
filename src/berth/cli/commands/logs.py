"""``logs``."""

from __future__ import annotations

from berth.cli.command import Command
from berth.cli.flags import Flag
from berth.cli.streams import Demux
from berth.cli.timestamps import timestamp
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def logs(engine: Engine, flags: Flags) -> int:
    found = engine.get(f"/containers/{flags.args[0]}/json")
    path = f"/containers/{found['Id']}/logs" + query(
        stdout=True, stderr=True, follow=flags.on("follow"), since=timestamp(flags.text("since"), "since"),
        until=timestamp(flags.text("until"), "until"),
        timestamps=flags.on("timestamps"), tail=flags.text("tail"), details=flags.on("details"),
    )  # fmt: skip
    response = engine.send("GET", path, fresh=True)
    demux = Demux(raw=bool(found["Config"]["Tty"]))
    for chunk in response.chunks():
        demux.feed(chunk)
    return 0


COMMANDS = {
    "logs": Command(
        "[OPTIONS] CONTAINER", "Fetch the logs of a container",
        [
            Flag("details", "bool", "Show extra details provided to logs"),
            Flag("follow", "bool", "Follow log output", "f"),
            Flag("since", "string", "Show logs since a time or duration (42m)"),
            Flag("tail", "string", "Number of lines to show from the end of the logs", "n", "all"),
            Flag("timestamps", "bool", "Show timestamps", "t"),
            Flag("until", "string", "Show logs before a time or duration (42m)"),
        ],
        (1, 1), logs,
    )
}  # fmt: skip
