"""What a manifest list is made of: its entries as they are kept, as the list has them, and as its text.

kept      {"Ref", "Descriptor": {"mediaType", "digest", "size", "platform"}, "Raw": base64, "OCIManifest" or "SchemaV2Manifest"}
listed    {"mediaType", "size", "digest", "platform"}
"""

from __future__ import annotations

from berth.base.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.manifest_store import Entry
    from berth.spec.reference import Reference

_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_BSD = frozenset({"386", "amd64", "arm"})
ARCHITECTURES = {
    "darwin": frozenset({"386", "amd64", "arm", "arm64"}), "dragonfly": frozenset({"amd64"}), "freebsd": _BSD,
    "linux": frozenset({"386", "amd64", "arm", "arm64", "ppc64le", "mips64", "mips64le", "riscv64", "s390x"}),
    "netbsd": _BSD, "openbsd": _BSD, "plan9": frozenset({"386", "amd64"}), "solaris": frozenset({"amd64"}),
    "windows": frozenset({"386", "amd64"}),
}  # fmt: skip
"""What may be annotated: an operating system → its architectures."""


def elsewhere(list_: Reference, entries: list[Entry]) -> list[str]:
    """The manifests of other repositories, by digest."""
    from berth.spec.reference import parse_reference

    refs = [parse_reference(entry["Ref"]).with_digest(entry["Descriptor"]["digest"]) for entry in entries]
    return [str(ref) for ref in refs if ref.name != list_.name]


def check_platforms(entries: list[Entry]) -> None:
    """Raises: InvalidArgument for an entry that tells no platform."""
    for entry in entries:
        platform = entry["Descriptor"].get("platform") or {}
        if not platform.get("os") or not platform.get("architecture"):
            raise InvalidArgument(
                f"manifest {entry['Ref']} must have an OS and Architecture to be pushed to a registry"
            )


def listed(list_: Reference, entry: Entry) -> dict[str, Any]:
    """An entry as the list has it. Raises: InvalidArgument for one of another registry."""
    from berth.spec.reference import parse_reference

    domain = parse_reference(entry["Ref"]).domain
    if domain != list_.domain:
        raise InvalidArgument(
            f"cannot use source images from a different registry than the target image: {domain} != {list_.domain}"
        )
    return shown(entry["Descriptor"])


def document(entries: list[dict[str, Any]]) -> str:
    """The list's text, laid out as docker does, so that its digest is docker's."""
    import json

    oci = bool(entries) and entries[0]["mediaType"] == _OCI_MANIFEST
    media_type = _OCI_INDEX if oci else _DOCKER_LIST
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}, indent=3, ensure_ascii=False)


def raw_of(entry: Entry) -> str:
    """The document's text, of a file or of the engine's answer."""
    import binascii

    text = str(entry["Raw"])
    return text if text.lstrip().startswith("{") else binascii.a2b_base64(text).decode()


def kept(found: Any, platform: dict[str, Any] | None) -> Entry:
    """The engine's answer about one image as an entry."""
    import binascii
    import json

    descriptor = {key: found["Descriptor"][key] for key in ("mediaType", "digest", "size")}
    if platform:
        descriptor["platform"] = in_order(platform)
    kind = "OCIManifest" if descriptor["mediaType"] == _OCI_MANIFEST else "SchemaV2Manifest"
    raw = found["Raw"]
    return {
        "Ref": found["Ref"],
        "Descriptor": descriptor,
        "Raw": binascii.b2a_base64(raw.encode(), newline=False).decode(),
        kind: json.loads(raw),
    }


def shown(descriptor: dict[str, Any]) -> dict[str, Any]:
    """A descriptor with what docker tells of it, in docker's order."""
    found = {key: descriptor.get(key) for key in ("mediaType", "size", "digest")}
    return {**found, "platform": in_order(descriptor.get("platform") or {"architecture": "", "os": ""})}


def in_order(platform: dict[str, Any]) -> dict[str, Any]:
    """A platform as Go writes it: what is empty is left out, but for the first two."""
    keys = ("architecture", "os", "os.version", "os.features", "variant", "features")
    return {key: platform[key] for key in keys if platform.get(key) or (key in platform and key in keys[:2])}
