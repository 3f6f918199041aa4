"""``image load``, ``save`` and ``import``: archives from and to files and pipes."""

from __future__ import annotations

import os
import sys

from berth.base.errors import InvalidArgument
from berth.cli import output_file
from berth.cli.command import Command
from berth.cli.flags import Flag
from berth.cli.references import split_name
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def _upload(path: str) -> Iterator[bytes]:
    with sys.stdin.buffer if path == "-" else open(path, "rb") as source:
        while chunk := source.read(1 << 18):
            yield chunk


def load(engine: Engine, flags: Flags) -> int:
    path = flags.text("input") or "-"
    if path == "-" and os.isatty(0):
        raise InvalidArgument("requested load from stdin, but stdin is empty")
    if path != "-" and not os.path.exists(path):
        raise InvalidArgument(f"open {path}: no such file or directory")
    quiet = flags.on("quiet") or not os.isatty(1)
    path_text = "/images/load" + query(quiet=1 if quiet else 0, platform=oci_platform(flags.text("platform")))
    headers = {"Content-Type": "application/x-tar"}
    response = engine.send("POST", path_text, headers=headers, upload=_upload(path), fresh=True)
    from berth.cli.progress import show_progress

    show_progress(response.lines(), sys.stdout, quiet=flags.on("quiet"))
    return 0


def oci_platform(text: str) -> str:
    """``linux/arm/v7`` as the API takes it; "" for none."""
    if not text:
        return ""
    import json

    parts = text.split("/")
    if len(parts) < 2:
        parts = ["linux", parts[0]]
    return json.dumps(dict(zip(("os", "architecture", "variant"), parts, strict=False)))


def save(engine: Engine, flags: Flags) -> int:
    target, what = flags.text("output"), "failed to save image"
    output_file.check(target, what)
    path = "/images/get?" + "&".join(query(names=name)[1:] for name in flags.args)
    platform = oci_platform(flags.text("platform"))
    response = engine.send("GET", path + (query(platform=platform).replace("?", "&") if platform else ""), fresh=True)
    output_file.write(response, target, what)
    return 0


def import_(engine: Engine, flags: Flags) -> int:
    source = flags.args[0]
    repo, tag = split_name(flags.args[1], "latest") if len(flags.args) > 1 else ("", "")
    remote = source.startswith(("http://", "https://"))
    if not remote and source != "-" and not os.path.exists(source):
        raise InvalidArgument(f"open {source}: no such file or directory")
    path = "/images/create" + query(
        fromSrc=source if remote else "-",
        repo=repo,
        tag=tag,
        message=flags.text("message"),
        platform=flags.text("platform"),
    )
    for change in flags.list_("change"):
        path += query(changes=change).replace("?", "&")
    upload = None if remote else _upload(source)
    response = engine.send("POST", path, headers={"Content-Type": "text/plain"}, upload=upload, fresh=True)
    from berth.cli.progress import show_progress

    show_progress(response.lines(), sys.stdout, quiet=False)
    return 0


def _platform(verb: str) -> Flag:
    text = f'{verb} only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")'
    return Flag("platform", "string", text)


COMMANDS = {
    "load": Command(
        "[OPTIONS]", "Load an image from a tar archive or STDIN",
        [
            Flag("input", "string", "Read from tar archive file, instead of STDIN", "i"), _platform("Load"),
            Flag("quiet", "bool", "Suppress the load output", "q"),
        ],
        (0, 0), load,
    ),
    "save": Command(
        "[OPTIONS] IMAGE [IMAGE...]", "Save one or more images to a tar archive (streamed to STDOUT by default)",
        [Flag("output", "string", "Write to a file, instead of STDOUT", "o"), _platform("Save")],
        (1, -1), save, complete=("images",),
    ),
    "import": Command(
        "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]", "Import the contents from a tarball to create a filesystem image",
        [
            Flag("change", "list", "Apply Dockerfile instruction to the created image", "c"),
            Flag("message", "string", "Set commit message for imported image", "m"),
            Flag("platform", "string", "Set platform if server is multi-platform capable"),
        ],
        (1, -1), import_,
    ),
}  # fmt: skip
