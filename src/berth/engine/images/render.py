"""Images as the Engine API shows them: list, inspect, history. The only producer of these objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

from berth.base.clock import rfc3339
from berth.engine.images import filters as rules
from berth.engine.images.filters import Filters
from berth.engine.images.stores import Stores, created_s
from berth.images.documents import Config
from berth.images.store import Image
from berth.spec.api.images import ImageHistoryResponseItem, ImageInspect, ImageSummary
from berth.spec.reference import Reference


def tags_and_digests(stores: Stores, image_id: str) -> tuple[list[str], list[str]]:
    """RepoTags and RepoDigests, familiar."""
    names = stores.images.names_of(image_id)
    tags = [n.familiar for n in names if n.digest is None]
    digests = [n.familiar for n in names if n.digest is not None]
    return tags, digests


def render_summary(
    stores: Stores, image: Image, *, containers: int, shared_bytes: int = -1, names: list[Reference] | None = None
) -> ImageSummary:
    """``names``: those that a filter let through, where there was one."""
    shown = stores.images.stands_for(image.id) if names is None else names
    return {
        "Id": image.id, "ParentId": image.parent, "RepoTags": [n.familiar for n in shown if n.digest is None],
        "RepoDigests": [n.familiar for n in shown if n.digest is not None], "Created": image.created_s,
        "Size": image.size, "SharedSize": shared_bytes, "Labels": cast("dict[str, str]", image.labels or None),
        "Containers": containers,
    }  # fmt: skip


def render_inspect(stores: Stores, image: Image, config: Config) -> ImageInspect:
    tags, digests = tags_and_digests(stores, image.id)
    document = config.document
    found: dict[str, Any] = {
        "Id": image.id, "RepoTags": tags, "RepoDigests": digests, "Parent": image.parent, "Comment": _comment(document),
        "DockerVersion": str(document.get("docker_version") or ""),
        "Author": str(document.get("author") or ""), "Config": {"Env": None, "Cmd": None, "Entrypoint": None,
        "WorkingDir": "", "User": "", "Labels": None, "Volumes": None, "OnBuild": None,
        **{key: value for key, value in config.config.items() if value}},
        "Architecture": config.platform.architecture, "Os": config.platform.os, "Size": image.size,
        "GraphDriver": {"Name": stores.snapshots.driver, "Data": stores.snapshots.describe(image.chain_id)},
        "RootFS": {"Type": "layers", **({"Layers": list(image.diff_ids)} if image.diff_ids else {})},
        "Metadata": {"LastTagTime": rfc3339(image.tagged_ns) if image.tagged_ns else "0001-01-01T00:00:00Z"},
    }  # fmt: skip
    if document.get("created"):
        found["Created"] = str(document["created"])
    if config.platform.variant:
        found["Variant"] = config.platform.variant
    if document.get("os.version"):
        found["OsVersion"] = str(document["os.version"])
    return cast("ImageInspect", found)


def _comment(document: Mapping[str, Any]) -> str:
    """The image's own, else its last step's."""
    if document.get("comment"):
        return str(document["comment"])
    history = document.get("history")
    last = history[-1] if isinstance(history, list) and history else {}
    return str(last.get("comment") or "") if isinstance(last, dict) else ""


def render_history(stores: Stores, image: Image, config: Config) -> list[ImageHistoryResponseItem]:
    """Newest first; a step that made no layer has size 0."""
    sizes = stores.snapshots.sizes(image.chain_id)
    tags, _ = tags_and_digests(stores, image.id)
    entries: list[ImageHistoryResponseItem] = []
    at = 0
    history = config.document.get("history")
    for step in history if isinstance(history, list) else []:
        if not isinstance(step, dict):
            continue
        empty = step.get("empty_layer") is True
        size = 0 if empty or at >= len(sizes) else sizes[at]
        at += 0 if empty else 1
        entries.append({
            "Id": "<missing>", "Created": created_s(step.get("created")), "CreatedBy": str(step.get("created_by") or ""),
            "Tags": cast("list[str]", None), "Size": size, "Comment": str(step.get("comment") or ""),
        })  # fmt: skip
    entries.reverse()
    if entries:
        entries[0]["Id"] = image.id
        entries[0]["Tags"] = tags or cast("list[str]", None)
    return entries


def choose(
    stores: Stores, filters: Filters, find: Callable[[str], Image], moment: Callable[[str], int]
) -> list[tuple[Image, list[Reference]]]:
    """Images that Docker's filters let through with the names to show, newest first. Raises: InvalidArgument, NotFound."""
    rules.check_names(filters, rules.LIST)
    tests = rules.tests(filters, find, moment)
    patterns = rules.patterns(filters)
    dangling = rules.boolean(filters, "dangling", False) if filters.get("dangling") else None
    chosen = []
    for image in sorted(stores.images.all(), key=lambda i: (i.created_s, i.id), reverse=True):
        if not all(test(image) for test in tests):
            continue
        names = stores.images.stands_for(image.id)
        if not names and stores.images.names_of(image.id):
            continue  # another platform's of a name that is shown with this machine's
        shown = [name for name in names if any(p.matches(name) for p in patterns)] if patterns else names
        if patterns and not shown:
            continue
        tagged = any(name.digest is None for name in shown)
        if (dangling is True and tagged) or (dangling is False and not shown):
            continue
        chosen.append((image, shown))
    return chosen


def shared_bytes(stores: Stores, images: list[Image]) -> dict[str, int]:
    """Image id → bytes in layers that another image has as well."""
    users: Counter[str] = Counter(chain for image in images for chain in set(image.chains()))
    return {
        image.id: sum(
            size
            for chain, size in zip(image.chains(), stores.snapshots.sizes(image.chain_id), strict=True)
            if users[chain] > 1
        )
        for image in images
    }


def disk_sizes(stores: Stores, images: list[Image]) -> dict[str, tuple[int, int]]:
    """Image id → bytes on the disk in its blobs and layers, and how many of them other images hold as well (blocking)."""
    parts = {image.id: image.blobs() | {f"layer {chain}" for chain in image.chains()} for image in images}
    users: Counter[str] = Counter(part for found in parts.values() for part in found)
    sizes: dict[str, int] = {}
    for part in users:
        kind, _, chain = part.rpartition(" ")
        sizes[part] = stores.snapshots.disk_of_layer(chain) if kind else stores.blobs.disk_bytes([part])
    return {
        image_id: (sum(sizes[p] for p in found), sum(sizes[p] for p in found if users[p] > 1))
        for image_id, found in parts.items()
    }
