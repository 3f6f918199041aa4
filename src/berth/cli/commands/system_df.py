"""``system df``: what takes up the disk."""

from __future__ import annotations

import time

from berth.cli import table
from berth.cli.command import Command
from berth.cli.flags import FORMAT, Flag
from berth.spec.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def disk_usage(engine: Engine, flags: Flags) -> int:
    found = engine.get("/system/df")
    if flags.on("verbose"):
        for section in (_images, _containers, _volumes, _build_cache, _rest):
            section(found)
        return 0
    columns: dict[str, table.Column] = {
        "Type": ("TYPE", lambda r: r[0]), "TotalCount": ("TOTAL", lambda r: str(r[1])),
        "Active": ("ACTIVE", lambda r: str(r[2])), "Size": ("SIZE", lambda r: human_size(r[3])),
        "Reclaimable": ("RECLAIMABLE", lambda r: _reclaimable(r[3], r[4], r[0])),
    }  # fmt: skip
    table.show(
        columns, ("Type", "TotalCount", "Active", "Size", "Reclaimable"), _rows(found), flags.text("format"),
        type_name="*formatter.diskUsageImagesContext",
        raw="type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n",
    )  # fmt: skip
    return 0


Row = tuple[str, int, int, int, int]
"""Type, count, how many are in use, bytes, bytes that could go."""


def _rows(found: dict[str, Any]) -> list[Row]:
    images, containers, volumes = (found.get(key) or [] for key in ("Images", "Containers", "Volumes"))
    used = sum(i["Size"] - max(0, i["SharedSize"]) for i in images if i["Containers"] > 0)
    active = [c for c in containers if c["State"] in ("running", "paused", "restarting")]
    own = found.get("Berth") or {}
    written = own["WritableLayers"] + own["Logs"] if own else sum(c.get("SizeRw") or 0 for c in containers)
    held = [v for v in volumes if v["UsageData"]["RefCount"] > 0]
    total = sum(v["UsageData"]["Size"] for v in volumes)
    return [
        (
            "Images",
            len(images),
            sum(i["Containers"] > 0 for i in images),
            found["LayersSize"],
            found["LayersSize"] - used,
        ),
        ("Containers", len(containers), len(active), written, written - sum(c.get("SizeRw") or 0 for c in active)),
        ("Local Volumes", len(volumes), len(held), total, total - sum(v["UsageData"]["Size"] for v in held)),
        ("Build Cache", 0, 0, 0, 0),
        *_engine_row(own),
    ]


def _engine_row(own: dict[str, int]) -> list[Row]:
    """What belongs to none of Docker's kinds, where the engine tells it: then the sizes together are the data-root's."""
    if not own:
        return []
    size = sum(value for key, value in own.items() if key not in ("WritableLayers", "Logs"))
    return [("Engine", 1, 1, size, own["Trash"])]


def _reclaimable(size: int, free: int, kind: str) -> str:
    return human_size(free) if kind == "Build Cache" or not size else f"{human_size(free)} ({free * 100 // size}%)"


def _images(found: dict[str, Any]) -> None:
    print("Images space usage:\n")
    cells = []
    for image in found.get("Images") or ():
        repo, _, tag = (image["RepoTags"] or ["<none>:<none>"])[0].rpartition(":")
        shared = max(0, image["SharedSize"])
        cells.append([
            repo, tag, image["Id"].removeprefix("sha256:")[:12], _ago(image["Created"]), human_size(image["Size"], 3),
            human_size(shared), human_size(image["Size"] - shared), str(image["Containers"]),
        ])  # fmt: skip
    header = "REPOSITORY|TAG|IMAGE ID|CREATED|SIZE|SHARED SIZE|UNIQUE SIZE|CONTAINERS".split("|")
    print(table.render(header, cells))


def _containers(found: dict[str, Any]) -> None:
    print("\nContainers space usage:\n")
    cells = [
        [
            c["Id"][:12], c["Image"], f'"{c["Command"][:20]}"', str(sum(m["Type"] == "volume" for m in c["Mounts"])),
            human_size(c.get("SizeRw") or 0), _ago(c["Created"]), c["Status"], c["Names"][0].lstrip("/"),
        ]
        for c in found.get("Containers") or ()
    ]  # fmt: skip
    print(table.render("CONTAINER ID|IMAGE|COMMAND|LOCAL VOLUMES|SIZE|CREATED|STATUS|NAMES".split("|"), cells))


def _volumes(found: dict[str, Any]) -> None:
    print("\nLocal Volumes space usage:\n")
    cells = [
        [v["Name"], str(v["UsageData"]["RefCount"]), human_size(v["UsageData"]["Size"])]
        for v in found.get("Volumes") or ()
    ]
    print(table.render(["VOLUME NAME", "LINKS", "SIZE"], cells))


def _build_cache(found: dict[str, Any]) -> None:
    print(f"\nBuild cache usage: {human_size(0)}\n")
    print(table.render("CACHE ID|CACHE TYPE|SIZE|CREATED|LAST USED|USAGE|SHARED".split("|"), []))


_WORDS = {
    "Database": "database", "Logs": "containers' logs and files", "Downloads": "downloads under way",
    "Trash": "being deleted", "WritableLayers": "containers' layers with their directories",
    "Other": "folders, and what starts need",
}  # fmt: skip


def _rest(found: dict[str, Any]) -> None:
    """What this engine tells beyond Docker's four kinds; other engines don't."""
    if found.get("Berth"):
        print("\nEverything else:\n")
        print(table.render(["WHAT", "SIZE"], [[_WORDS.get(k, k), human_size(v)] for k, v in found["Berth"].items()]))


def _ago(created_s: float) -> str:
    return human_duration(time.time() - created_s) + " ago"


COMMANDS = {
    "system df": Command(
        "[OPTIONS]", "Show disk usage",
        [
            FORMAT,
            Flag("verbose", "bool", "Show detailed information on space usage", "v"),
        ],
        (0, 0), disk_usage,
    ),
}  # fmt: skip
