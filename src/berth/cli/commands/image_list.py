"""``image ls``, as a table or a tree of platforms, and ``image history``."""

from __future__ import annotations

import sys
import time

from berth.cli import table
from berth.cli.command import Command
from berth.cli.commands.image_archives import oci_platform
from berth.cli.commands.ps import parse_filters
from berth.cli.flags import FORMAT, Flag
from berth.client.engine import query
from berth.spec.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def _columns(*, trunc: bool) -> dict[str, table.Column]:
    def ident(row: Any) -> str:
        return str(row["Id"]).removeprefix("sha256:")[:12] if trunc else str(row["Id"])

    def size(row: Any) -> str:
        return human_size(row["Size"], 3)

    return {
        "Repository": ("REPOSITORY", lambda r: r["_repo"]),
        "Tag": ("TAG", lambda r: r["_tag"]),
        "Digest": ("DIGEST", lambda r: r["_digest"]),
        "ID": ("IMAGE ID", ident),
        "CreatedSince": ("CREATED", lambda r: human_duration(time.time() - r["Created"]) + " ago"),
        "CreatedAt": ("CREATED AT", lambda r: time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(r["Created"]))),
        "Size": ("SIZE", size),
        "VirtualSize": ("SIZE", lambda r: human_size(r["Size"])),
        "SharedSize": ("SHARED SIZE", lambda r: "N/A"),
        "UniqueSize": ("UNIQUE SIZE", lambda r: "N/A"),
        "Containers": ("CONTAINERS", lambda r: "N/A" if r.get("Containers", -1) < 0 else str(r["Containers"])),
    }  # fmt: skip


def images(engine: Engine, flags: Flags) -> int:
    filters = parse_filters(flags.list_("filter"))
    if flags.args:
        filters.setdefault("reference", []).append(flags.args[0])
    if flags.on("tree"):
        return tree(engine, flags, filters)
    path = "/images/json" + query(all=flags.on("all"), digests=flags.on("digests"), filters=filters or None)
    rows = [row for image in engine.get(path) for row in _rows(image, digests=flags.on("digests"))]
    default = ["Repository", "Tag", "ID", "CreatedSince", "Size"]
    if flags.on("digests"):
        default.insert(2, "Digest")
    table.show(
        _columns(trunc=not flags.on("no-trunc")), default, rows, _format(flags, "imagesFormat"), quiet="ID",
        quiet_on=flags.on("quiet"), type_name="*formatter.imageContext", raw=_raw(flags),
    )  # fmt: skip
    return 0


def _raw(flags: Flags) -> str:
    """What ``--format raw`` means."""
    if flags.on("quiet"):
        return "image_id: {{.ID}}"
    digest = "digest: {{.Digest}}\n" if flags.on("digests") else ""
    return (
        f"repository: {{{{.Repository}}}}\ntag: {{{{.Tag}}}}\n{digest}image_id: {{{{.ID}}}}\n"
        "created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
    )


def _format(flags: Flags, setting: str) -> str:
    """``--format``, else the configuration's."""
    from berth.cli import config

    return flags.text("format") or ("" if flags.on("quiet") else config.text(setting))


def _rows(image: dict[str, Any], *, digests: bool) -> list[dict[str, Any]]:
    """One row a tag; an image without tags is one row with <none>."""
    by_repo = {d.partition("@")[0]: d.partition("@")[2] for d in image.get("RepoDigests") or ()}
    tags = image.get("RepoTags") or []
    if not tags:
        repo = next(iter(by_repo), "<none>")
        return [{**image, "_repo": repo, "_tag": "<none>", "_digest": by_repo.get(repo, "<none>")}]
    rows = []
    for name in tags:
        repo, _, tag = name.rpartition(":")
        rows.append({**image, "_repo": repo, "_tag": tag, "_digest": by_repo.get(repo, "<none>")})
    return rows


def tree(engine: Engine, flags: Flags, filters: dict[str, list[str]]) -> int:
    """Each image with its platforms below it."""
    if flags.on("quiet") or flags.on("no-trunc") or flags.text("format"):
        print("--tree goes with none of --quiet, --no-trunc and --format", file=sys.stderr)
        return 1
    path = "/images/json" + query(all=flags.on("all"), manifests=1, filters=filters or None)
    cells = []
    for image in engine.get(path):
        manifests = [m for m in image.get("Manifests") or () if m["Kind"] == "image"]
        names = image.get("RepoTags") or ["<untagged>"]
        cells += [[name, "", "", "", ""] for name in names[:-1]]
        total = sum(m["Size"]["Total"] for m in manifests) or image["Size"]
        content = sum(m["Size"]["Content"] for m in manifests)
        used = "U" if (image.get("Containers") or 0) > 0 else ""
        cells.append([names[-1], _short(image["Id"]), human_size(total, 3), human_size(content, 3), used])
        cells += [_branch(m, last=m is manifests[-1]) for m in manifests]
    print(table.render(["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "IN USE"], cells))
    return 0


def _branch(manifest: dict[str, Any], *, last: bool) -> list[str]:
    platform = (manifest.get("ImageData") or {}).get("Platform") or {}
    name = "/".join(platform[key] for key in ("os", "architecture", "variant") if platform.get(key))
    size = manifest["Size"]
    here = [human_size(size["Total"], 3), human_size(size["Content"], 3)] if manifest["Available"] else ["-", "-"]
    used = "U" if (manifest.get("ImageData") or {}).get("Containers") else ""
    return [f"{'└─' if last else '├─'} {name or 'unknown'}", _short(manifest["ID"]), *here, used]


def _short(ident: str) -> str:
    return ident.removeprefix("sha256:")[:12]


def history(engine: Engine, flags: Flags) -> int:
    trunc = not flags.on("no-trunc")

    def created_by(row: Any) -> str:
        text = str(row["CreatedBy"]).replace("\t", " ")
        return text[:44] + "…" if trunc and len(text) > 45 else text

    columns: dict[str, table.Column] = {
        "ID": ("IMAGE", lambda r: r["Id"].removeprefix("sha256:")[:12] if trunc else r["Id"]),
        "CreatedSince": ("CREATED", lambda r: human_duration(time.time() - r["Created"]) + " ago"),
        "CreatedAt": ("CREATED AT", lambda r: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(r["Created"]))),
        "CreatedBy": ("CREATED BY", created_by),
        "Size": ("SIZE", lambda r: human_size(r["Size"], 3) if flags.text("human") != "false" else str(r["Size"])),
        "Comment": ("COMMENT", lambda r: r["Comment"]),
    }
    platform = oci_platform(flags.text("platform"))
    rows = engine.get(f"/images/{flags.args[0]}/history" + query(platform=platform))
    table.show(
        columns, ("ID", "CreatedSince", "CreatedBy", "Size", "Comment"), rows, flags.text("format"), quiet="ID",
        quiet_on=flags.on("quiet"), type_name="*image.historyContext",
    )  # fmt: skip
    return 0


COMMANDS = {
    "images": Command(
        "[OPTIONS] [REPOSITORY[:TAG]]", "List images",
        [
            Flag("all", "bool", "Show all images (default hides intermediate images)", "a"),
            Flag("digests", "bool", "Show digests"),
            Flag("filter", "filter", "Filter output based on conditions provided", "f"), FORMAT,
            Flag("no-trunc", "bool", "Don't truncate output"),
            Flag("quiet", "bool", "Only show image IDs", "q"),
            Flag("tree", "bool", "List multi-platform images as a tree (EXPERIMENTAL)"),
        ],
        (0, 1), images,
    ),
    "history": Command(
        "[OPTIONS] IMAGE", "Show the history of an image",
        [
            FORMAT, Flag("human", "bool", "Print sizes and dates in human readable format", "H", "true"),
            Flag("no-trunc", "bool", "Don't truncate output"),
            Flag("platform", "string", 'Show history for the given platform. Formatted as "os[/arch[/variant]]" '
                 '(e.g., "linux/amd64")'),
            Flag("quiet", "bool", "Only show image IDs", "q"),
        ],
        (1, 1), history,
    ),
}  # fmt: skip
