"""Pieces of images that are made here: a tar of one file, a manifest around a config and layers."""

from __future__ import annotations

import json

from berth.spec.image import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST

_BLOCK = 512


def tar_file(name: str, content: bytes, mode: int) -> bytes:
    """A tar (ustar) with one file of root's, dated 1970. Spec: POSIX.1-2017 pax, "ustar Interchange Format"."""
    header = bytearray(_BLOCK)
    header[0:100] = name.encode().ljust(100, b"\0")
    header[100:108] = b"%07o\0" % mode
    header[108:116] = header[116:124] = b"0000000\0"
    header[124:136] = b"%011o\0" % len(content)
    header[136:148] = b"%011o\0" % 0
    header[156:157] = b"0"
    header[257:265] = b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    padding = -len(content) % _BLOCK
    return bytes(header) + content + bytes(padding) + bytes(2 * _BLOCK)


def manifest(
    config_digest: str, config_size: int, layers: list[tuple[str, int]], layer_type: str = DOCKER_LAYER
) -> bytes:
    """A Docker schema 2 manifest; ``layers``: (digest, size), bottom first."""
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_CONFIG, "size": config_size, "digest": config_digest},
        "layers": [{"mediaType": layer_type, "size": size, "digest": digest} for digest, size in layers],
    }
    return json.dumps(document, indent=2).encode()
