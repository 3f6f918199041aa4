"""``manifest``: one name for images of several platforms, put together here and written into a registry by the engine."""

from __future__ import annotations

from berth.base.errors import BerthError, InvalidArgument, NotFound
from berth.cli import credentials, manifest_store
from berth.cli.command import Command, Failed
from berth.cli.flags import Flag
from berth.cli.manifest_documents import (
    ARCHITECTURES,
    check_platforms,
    document,
    elsewhere,
    in_order,
    kept,
    listed,
    raw_of,
    shown,
)
from berth.client import quick_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.flags import Flags
    from berth.cli.manifest_store import Entry
    from berth.client.engine import Engine
    from berth.spec.reference import Reference


def create(engine: Engine, flags: Flags) -> int:
    name, *images = flags.args
    list_ = _reference(name, f"error parsing name for manifest list {name}: ")
    if not flags.on("amend"):
        try:
            manifest_store.entries(list_)
        except NotFound:
            pass
        else:
            raise InvalidArgument("refusing to amend an existing manifest list with no --amend flag")
    for image in images:
        ref = _reference(image)
        try:
            entry = manifest_store.get(list_, ref)
        except NotFound:
            entry = _from_registry(engine, ref)
        manifest_store.save(list_, ref, entry)
    print(f"Created manifest list {list_}")
    return 0


def annotate(engine: Engine, flags: Flags) -> int:
    name, image = flags.args
    list_ = _reference(name, f"annotate: error parsing name for manifest list {name}: ")
    ref = _reference(image, f"annotate: error parsing name for manifest {image}: ")
    try:
        entry = manifest_store.get(list_, ref)
    except NotFound:
        raise NotFound(f"manifest for image {image} does not exist in {name}") from None
    platform = dict(entry["Descriptor"].get("platform") or {"architecture": "", "os": ""})
    for flag, key in (("os", "os"), ("arch", "architecture"), ("variant", "variant"), ("os-version", "os.version")):
        if flags.text(flag):
            platform[key] = flags.text(flag)
    features = [*platform.get("os.features", ()), *flags.list_("os-features")]
    platform["os.features"] = list(dict.fromkeys(features))
    if platform["architecture"] not in ARCHITECTURES.get(platform["os"], ()):
        given = f"{flags.text('os')}/{flags.text('arch')}"
        raise InvalidArgument(f"manifest entry for image has unsupported os/arch combination: {given}")
    entry["Descriptor"]["platform"] = in_order(platform)
    manifest_store.save(list_, ref, entry)
    return 0


def push(engine: Engine, flags: Flags) -> int:
    list_ = _reference(flags.args[0])
    entries = manifest_store.entries(list_)
    check_platforms(entries)
    body = {"Raw": document([listed(list_, entry) for entry in entries]), "Sources": elsewhere(list_, entries)}
    headers = credentials.header(credentials.server_of(str(list_)))
    answer = quick_json.loads(engine.send("PUT", f"/distribution/{list_}/manifest", body, headers=headers).read())
    for ref in answer["Pushed"]:
        print(f"Pushed ref {ref} with digest: {ref.partition('@')[2]}")
    print(answer["Digest"])
    if flags.on("purge"):
        manifest_store.remove(list_)
    return 0


def rm(engine: Engine, flags: Flags) -> int:
    failures = []
    for name in flags.args:
        try:
            manifest_store.remove(_reference(name))
        except BerthError as err:
            failures.append(err.message)
    if failures:
        raise Failed("\n".join(failures))
    return 0


def inspect(engine: Engine, flags: Flags) -> int:
    verbose = flags.on("verbose")
    ref = _reference(flags.args[-1])
    if len(flags.args) == 2:
        return _print_one(manifest_store.get(_reference(flags.args[0]), ref), verbose=verbose)
    try:
        entries = manifest_store.entries(ref)
    except NotFound:
        found = _ask(engine, ref)
        parts = quick_json.loads(found["Raw"]).get("manifests")
        if parts is None:
            return _print_one(_entry(engine, found) if verbose else found, verbose=verbose)
        if not verbose:
            print(document([shown(part) for part in parts]))
            return 0
        entries = [_of_list(engine, ref, part) for part in parts]
    if verbose:
        return _print(entries)
    print(document([listed(ref, entry) for entry in entries]))
    return 0


def _print_one(entry: Entry, *, verbose: bool) -> int:
    return _print(entry if verbose else quick_json.loads(raw_of(entry)))


def _print(found: Any) -> int:
    import json

    print(json.dumps(found, indent="\t", ensure_ascii=False))
    return 0


def _reference(text: str, prefix: str = "") -> Reference:
    """A complete name, with a tag or a digest. Raises: InvalidArgument, its sentence behind ``prefix``."""
    from berth.spec.reference import parse_reference

    try:
        return parse_reference(text).tagged()
    except InvalidArgument as err:
        raise InvalidArgument(f"{prefix}{err.message}") from err


# --- what the registry has


def _ask(engine: Engine, ref: Reference, what: str = "manifest") -> Any:
    headers = credentials.header(credentials.server_of(str(ref)))
    return quick_json.loads(engine.send("GET", f"/distribution/{ref}/{what}", headers=headers).read())


def _from_registry(engine: Engine, ref: Reference) -> Entry:
    """An image's manifest with its platform. Raises: InvalidArgument for a list."""
    found = _ask(engine, ref)
    if "manifests" in quick_json.loads(found["Raw"]):
        raise InvalidArgument(f"{ref} is a manifest list")
    return _entry(engine, found)


def _entry(engine: Engine, found: Any) -> Entry:
    """The engine's answer as it is kept."""
    ref = _reference(found["Ref"]).with_digest(found["Descriptor"]["digest"])
    platforms = _ask(engine, ref, "json")["Platforms"]
    return kept(found, platforms[0] if platforms else None)


def _of_list(engine: Engine, list_: Reference, listed: dict[str, Any]) -> Entry:
    found = _ask(engine, list_.with_digest(listed["digest"]))
    return kept(found, listed.get("platform"))


_INSECURE = Flag("insecure", "bool", "Allow communication with an insecure registry, as the engine's settings do")
COMMANDS = {
    "annotate": Command(
        "[OPTIONS] MANIFEST_LIST MANIFEST", "Add additional information to a local image manifest",
        [
            Flag("arch", "string", "Set architecture"), Flag("os", "string", "Set operating system"),
            Flag("os-features", "strings", "Set operating system feature"),
            Flag("os-version", "string", "Set operating system version"),
            Flag("variant", "string", "Set architecture variant"),
        ],
        (2, 2), annotate, local=True,
    ),
    "create": Command(
        "MANIFEST_LIST MANIFEST [MANIFEST...]", "Create a local manifest list for annotating and pushing to a registry",
        [Flag("amend", "bool", "Amend an existing manifest list", "a"), _INSECURE], (2, -1), create,
    ),
    "inspect": Command(
        "[OPTIONS] [MANIFEST_LIST] MANIFEST", "Display an image manifest, or manifest list",
        [_INSECURE, Flag("verbose", "bool", "Output additional info including layers and platform", "v")], (1, 2), inspect,
    ),
    "push": Command(
        "[OPTIONS] MANIFEST_LIST", "Push a manifest list to a repository",
        [
            _INSECURE,
            Flag("purge", "bool", "Remove the local manifest list after push", "p"),
        ],
        (1, 1), push,
    ),
    "rm": Command(
        "MANIFEST_LIST [MANIFEST_LIST...]", "Delete one or more manifest lists from local storage", [], (1, -1), rm,
        local=True,
    ),
}  # fmt: skip
