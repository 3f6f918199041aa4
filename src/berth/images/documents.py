"""Manifests, indexes and configs: from bytes of strangers to checked values.

A document that could be read in two ways is refused, so that what was checked is what is used: one with both layers and
manifests, one whose ``mediaType`` differs from what the registry called it, one with a key twice.
Spec: OCI image-spec manifest.md, image-index.md, config.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from berth.base.errors import InvalidArgument, NotFound, Unsupported
from berth.spec import image as spec
from berth.spec.digest import parse_sha256
from berth.spec.platform import Platform, acceptable, normalise

if TYPE_CHECKING:
    from berth.spec.api.images import ImageConfig

_MAX_LAYERS = 500
_MAX_MANIFESTS = 10_000


class Descriptor(NamedTuple):
    """A checked descriptor. ``platform`` is None where it names none."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] | None = None


class Manifest(NamedTuple):
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


class Index(NamedTuple):
    media_type: str
    manifests: tuple[Descriptor, ...]


def parse_json(content: bytes, what: str) -> dict[str, Any]:
    """A JSON object without repeated keys. Raises: InvalidArgument."""
    try:
        document = json.loads(content, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as err:
        raise InvalidArgument(f"{what} is not valid JSON: {err}") from err
    if not isinstance(document, dict):
        raise InvalidArgument(f"{what} is not a JSON object")
    return document


def parse_manifest(content: bytes, content_type: str = "") -> Manifest | Index:
    """``content_type`` is what the registry called it ("" where nobody did).

    Raises: InvalidArgument, Unsupported for formats of before 2016.
    """
    if content_type in spec.DOCKER_SCHEMA1:
        raise _schema1()
    document = parse_json(content, "manifest")
    if document.get("schemaVersion") == 1:
        raise _schema1()
    media_type = document.get("mediaType") or ""
    known = spec.MANIFEST_TYPES | spec.INDEX_TYPES
    if content_type in known and media_type and media_type != content_type:
        raise InvalidArgument(f"manifest calls itself {media_type!r} and its sender calls it {content_type!r}")
    has_layers, has_manifests = "layers" in document or "config" in document, "manifests" in document
    if has_layers and has_manifests:
        raise InvalidArgument("manifest has both layers and manifests")
    kind = media_type or (content_type if content_type in known else "")
    if has_manifests and (not kind or kind in spec.INDEX_TYPES):
        return _index(document, kind or spec.OCI_INDEX)
    if has_layers and (not kind or kind in spec.MANIFEST_TYPES):
        return _manifest(document, kind or spec.OCI_MANIFEST)
    raise InvalidArgument(f"unsupported manifest media type and no default available: {kind or content_type or 'none'}")


def choose(index: Index, wanted: Platform) -> Descriptor:
    """The entry of an index that suits ``wanted`` best. Raises: NotFound, with Docker's sentence."""
    images = [entry for entry in index.manifests if entry.media_type in spec.MANIFEST_TYPES | spec.INDEX_TYPES]
    offered = [entry for entry in images if entry.platform is not None]
    for platform in acceptable(wanted):
        for entry in offered:
            if entry.platform == platform:
                return entry
    unmarked = [entry for entry in images if entry.platform is None]
    if len(unmarked) == 1 and not offered:
        return unmarked[0]
    raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")


class Config(NamedTuple):
    """A checked image config: ``document`` is all of it, ``config`` its execution part with Docker's types."""

    document: dict[str, Any]
    config: ImageConfig
    diff_ids: tuple[str, ...]
    platform: Platform


def parse_config(content: bytes) -> Config:
    """Raises: InvalidArgument for a document that is no image config, or of an image that is not for Linux."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as err:
        raise InvalidArgument(f"image config is not valid JSON: {err}") from err
    rootfs = document.get("rootfs") if isinstance(document, dict) else None
    if not isinstance(rootfs, dict) or rootfs.get("type", "layers") != "layers":
        raise InvalidArgument("invalid rootfs in image configuration")
    diff_ids = rootfs.get("diff_ids") or []
    if not isinstance(diff_ids, list) or len(diff_ids) > _MAX_LAYERS:
        raise InvalidArgument("invalid rootfs in image configuration")
    for diff_id in diff_ids:
        parse_sha256(diff_id)
    os_name = _text(document, "os") or "linux"
    if os_name.lower() != "linux":
        raise InvalidArgument(f'image operating system "{os_name}" cannot be used on this platform')
    architecture = _text(document, "architecture")
    platform = normalise(os_name, architecture, _text(document, "variant")) if architecture else Platform(os_name, "")
    return Config(document, execution_config(document.get("config") or {}), tuple(diff_ids), platform)


# --- the execution part of a config

_TEXTS = ("User", "WorkingDir", "StopSignal")
_TEXT_LISTS = ("Cmd", "Entrypoint", "OnBuild", "Shell")
_HEALTH_NUMBERS = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
_SETS = ("Volumes", "ExposedPorts")


def execution_config(raw: object) -> ImageConfig:
    """``config`` of an image with every field of the right type and unknown ones gone. Raises: InvalidArgument.

    Entries of Env without a name or without "=" are dropped: an engine that passes them on looks them up in its own
    environment, which is not the image's to read.
    """
    if not isinstance(raw, dict):
        raise InvalidArgument("image config: config is not an object")
    config: dict[str, Any] = {}
    for key in _TEXTS:
        if (text := _text(raw, key)) != "":
            config[key] = text
    for key in _TEXT_LISTS:
        if raw.get(key) is not None:
            config[key] = _texts(raw, key)
    for key in _SETS:
        if raw.get(key) is not None:
            config[key] = {name: {} for name in _mapping(raw, key)}
    if raw.get("Env") is not None:
        config["Env"] = [entry for entry in _texts(raw, "Env") if entry.find("=") > 0]
    if raw.get("Labels") is not None:
        config["Labels"] = {key: _as_text(value, "Labels") for key, value in _mapping(raw, "Labels").items()}
    if raw.get("Healthcheck") is not None:
        config["Healthcheck"] = _healthcheck(_mapping(raw, "Healthcheck"))
    if raw.get("ArgsEscaped") is not None:
        config["ArgsEscaped"] = raw["ArgsEscaped"] is True
    return cast("ImageConfig", config)


def _healthcheck(raw: dict[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    if raw.get("Test") is not None:
        checked["Test"] = _texts(raw, "Test")
    for key in _HEALTH_NUMBERS:
        value = raw.get(key)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
            raise InvalidArgument(f"image config: Healthcheck.{key} has the wrong type")
        checked[key] = value
    return checked


def _as_text(value: object, key: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidArgument(f"image config: {key} has the wrong type")
    return value


def _text(raw: dict[str, Any], key: str) -> str:
    return _as_text(raw.get(key) or "", key)


def _texts(raw: dict[str, Any], key: str) -> list[str]:
    values = raw[key]
    if not isinstance(values, list):
        raise InvalidArgument(f"image config: {key} has the wrong type")
    return [_as_text(value, key) for value in values]


def _mapping(raw: dict[str, Any], key: str) -> dict[str, Any]:
    values = raw[key]
    if not isinstance(values, dict):
        raise InvalidArgument(f"image config: {key} has the wrong type")
    return values


# --- manifests


def _manifest(document: dict[str, Any], media_type: str) -> Manifest:
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise InvalidArgument("manifest has no list of layers")
    if len(layers) > _MAX_LAYERS:
        raise InvalidArgument(f"manifest has {len(layers)} layers, at most {_MAX_LAYERS} are possible")
    config = _descriptor(document.get("config"))
    if config.media_type and config.media_type not in spec.CONFIG_TYPES:
        raise InvalidArgument(f"unsupported image config media type {config.media_type!r}: not a container image")
    return Manifest(media_type, config, tuple(_descriptor(layer) for layer in layers))


def _index(document: dict[str, Any], media_type: str) -> Index:
    entries = document.get("manifests")
    if not isinstance(entries, list) or len(entries) > _MAX_MANIFESTS:
        raise InvalidArgument("index has no list of manifests")
    return Index(media_type, tuple(_descriptor(entry) for entry in entries))


def _descriptor(raw: object) -> Descriptor:
    if not isinstance(raw, dict):
        raise InvalidArgument("manifest: a descriptor is missing")
    size = raw.get("size")
    media_type = raw.get("mediaType") or ""
    if (
        not isinstance(size, int)
        or isinstance(size, bool)
        or not 0 <= size < 1 << 62
        or not isinstance(media_type, str)
    ):
        raise InvalidArgument("manifest: a descriptor has no valid size or media type")
    annotations = raw.get("annotations")
    checked = (
        {key: value for key, value in annotations.items() if isinstance(value, str)}
        if isinstance(annotations, dict)
        else None
    )
    return Descriptor(media_type, parse_sha256(raw.get("digest")), size, _platform(raw.get("platform")), checked)


def _platform(raw: object) -> Platform | None:
    if not isinstance(raw, dict):
        return None
    parts = [raw.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) for part in parts) or not parts[0] or not parts[1]:
        return None
    return normalise(*parts)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is there twice")
    return document


def _schema1() -> Unsupported:
    return Unsupported(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported. "
        "Suggest the author to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2."
    )
