"""``system verify``: hands over to the engine's own program, since a store is checked where no daemon needs to run."""

from __future__ import annotations

import os
import sys

from berth.base.errors import BerthError
from berth.cli.command import Command
from berth.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def verify(engine: Engine, flags: Flags) -> int:
    argv = [sys.executable, "-m", "berth.daemon.verify", "--data-root", flags.text("data-root") or _data_root(engine)]
    argv += [f"--{name}" for name in ("deep", "repair") if flags.on(name)]
    sys.stdout.flush()
    os.execv(argv[0], argv)


def _data_root(engine: Engine) -> str:
    """The running engine's, or the usual one."""
    try:
        return str(engine.get("/info")["DockerRootDir"])
    except (BerthError, OSError):
        return "/var/lib/berth"


COMMANDS = {
    "system verify": Command(
        "[OPTIONS]", "Check the image store, and put it right",
        [
            Flag("data-root", "string", "Root directory of the engine's persistent state"),
            Flag("deep", "bool", "Compare every layer's files with its blob"),
            Flag("repair", "bool", "Put right what can be; the daemon must be stopped"),
        ],
        (0, 0), verify,
    ),
}  # fmt: skip
