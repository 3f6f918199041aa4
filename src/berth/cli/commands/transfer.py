"""Images on the way: pull push."""

from __future__ import annotations

import sys

from berth.base.errors import InvalidArgument
from berth.cli import credentials
from berth.cli.command import Command
from berth.cli.flags import Flag
from berth.cli.references import split_name
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def pull_image(engine: Engine, image: str, platform: str, *, quiet: bool, out: IO[str]) -> None:
    """Pull with progress on ``out``. Raises: what the engine says, before or in the stream."""
    name, tag = split_name(image)
    _pull(engine, name, tag or "latest", platform, quiet=quiet, out=out)


def _pull(engine: Engine, name: str, tag: str, platform: str, *, quiet: bool, out: IO[str]) -> None:
    path = "/images/create" + query(fromImage=name, tag=tag, platform=platform)
    headers = credentials.header(credentials.server_of(name))
    response = engine.send("POST", path, headers=headers, fresh=True)
    from berth.cli.progress import show_progress

    show_progress(response.lines(), out, quiet=quiet)


def pull(engine: Engine, flags: Flags) -> int:
    name, tag = split_name(flags.args[0])
    if flags.on("all-tags"):
        if tag:
            raise InvalidArgument("tag can't be used with --all-tags/-a")
    elif not tag:
        tag = "latest"
        if not flags.on("quiet"):
            print("Using default tag: latest", flush=True)
    _pull(engine, name, tag, flags.text("platform"), quiet=flags.on("quiet"), out=sys.stdout)
    separator = "@" if ":" in tag else ":" if tag else ""
    print(f"{_whole_name(name)}{separator}{tag}")
    return 0


def _whole_name(name: str) -> str:
    server = credentials.server_of(name)
    if server != credentials.HUB:
        return name
    return f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"


def push(engine: Engine, flags: Flags) -> int:
    name, tag = split_name(flags.args[0])
    if flags.on("all-tags"):
        if tag:
            raise InvalidArgument("tag can't be used with --all-tags/-a")
    elif ":" in tag:
        raise InvalidArgument("cannot push a digest reference")
    elif not tag:
        tag = "latest"
        if not flags.on("quiet"):
            print("Using default tag: latest", flush=True)
    path = f"/images/{name}/push" + query(tag=tag, platform=flags.text("platform"))
    # the engine wants the header even where nothing is kept: an empty object
    headers = credentials.header(credentials.server_of(name)) or {"X-Registry-Auth": credentials.encode({})}
    response = engine.send("POST", path, headers=headers, fresh=True)
    from berth.cli.progress import show_progress

    show_progress(response.lines(), sys.stdout, quiet=flags.on("quiet"))
    if flags.on("quiet"):
        print(f"{_whole_name(name)}{':' if tag else ''}{tag}")
    return 0


_TRUST = Flag("disable-content-trust", "bool", "Skip image verification", "", "true")
COMMANDS = {
    "pull": Command(
        "[OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry",
        [
            Flag("all-tags", "bool", "Download all tagged images in the repository", "a"), _TRUST,
            Flag("platform", "string", "Set platform if server is multi-platform capable"),
            Flag("quiet", "bool", "Suppress verbose output", "q"),
        ],
        (1, 1), pull, complete=["images"],
    ),
    "push": Command(
        "[OPTIONS] NAME[:TAG]", "Upload an image to a registry",
        [
            Flag("all-tags", "bool", "Push all tags of an image to the repository", "a"), _TRUST,
            Flag("platform", "string", "Push a platform-specific manifest as a single-platform image to the registry"),
            Flag("quiet", "bool", "Suppress verbose output", "q"),
        ],
        (1, 1), push, complete=["images"],
    ),
}  # fmt: skip
