"""A suite's Release file: who signed it, when it was made, and the hashes of its lists of packages.

Spec: the repository format of Debian's wiki: InRelease, Release, by-hash.
"""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import lzma
import re
from collections.abc import Callable
from typing import NamedTuple

from berth.base.errors import DataLoss, NotFound
from berth.bootstrap import fetch, openpgp
from berth.bootstrap.packages import paragraphs
from berth.bootstrap.sources import Source

_UNPACK: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.decompress, ".gz": gzip.decompress, "": bytes}


class Release(NamedTuple):
    """One suite. ``date_s``: when it was made; ``signed_by``: a key's fingerprint, "" where nobody looked."""

    source: Source
    codename: str
    version: str
    date_s: int
    architectures: tuple[str, ...]
    components: tuple[str, ...]
    files: dict[str, tuple[str, int]]
    by_hash: bool
    signed_by: str


def read_release(source: Source, keys: dict[str, openpgp.Key] | None) -> Release:
    """``keys`` None: the signature is not looked at.

    Raises: NotFound when the archive has no such suite, DataLoss when the signature is not good.
    """
    try:
        content = fetch.read(f"{source.base}/InRelease")
    except NotFound:
        if keys is not None:
            raise NotFound(_missing(source)) from None
        try:
            return _parse(source, fetch.read(f"{source.base}/Release"), "")
        except NotFound:
            raise NotFound(_missing(source)) from None
    if keys is None:
        return _parse(source, _text(content), "")
    try:
        text, signer = openpgp.verify_cleartext(content, keys)
    except DataLoss as err:
        raise DataLoss(f"{source.base}/InRelease: {err.message}") from err
    return _parse(source, text, signer)


def _missing(source: Source) -> str:
    return f'the mirror {source.uri} has no suite "{source.suite}"'


def _text(content: bytes) -> bytes:
    """A signed file without its signature, unchecked."""
    if not content.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        return content
    return content.partition(b"\n\n")[2].partition(b"\n-----BEGIN PGP SIGNATURE-----")[0]


def _parse(source: Source, content: bytes, signer: str) -> Release:
    fields = next(paragraphs(content.decode("utf-8", "replace")), {})
    files = {}
    for line in fields.get("SHA256", "").splitlines():
        words = line.split()
        if len(words) == 3 and re.fullmatch(r"[0-9a-f]{64}", words[0]) and words[1].isdigit():
            files[words[2]] = (words[0], int(words[1]))
    date = email.utils.parsedate_to_datetime(fields["Date"]) if "Date" in fields else None
    if not files or date is None:
        raise DataLoss(f"{source.base}: the Release file has no date or no hashes")
    return Release(
        source, fields.get("Codename", source.suite), fields.get("Version", ""), int(date.timestamp()),
        tuple(fields.get("Architectures", "").split()), tuple(fields.get("Components", "").split()), files,
        fields.get("Acquire-By-Hash") == "yes", signer,
    )  # fmt: skip


def read_packages(release: Release, architecture: str) -> list[str]:
    """The lists of packages, one a component. Raises: NotFound, DataLoss."""
    texts = []
    for component in release.source.components:
        path = f"{component}/binary-{architecture}/Packages"
        found = next((suffix for suffix in _UNPACK if f"{path}{suffix}" in release.files), None)
        if found is None:
            if release.source.optional:
                continue
            raise NotFound(
                f'the suite "{release.source.suite}" of {release.source.uri} has no packages of component '
                f'"{component}" for {architecture}'
            )
        texts.append(_UNPACK[found](_read_file(release, path + found)).decode("utf-8", "replace"))
    return texts


def _read_file(release: Release, path: str) -> bytes:
    """A file that the Release names, by its hash where the archive serves that (a mirror in the middle of an update)."""
    digest, size = release.files[path]
    folder, _, _ = path.rpartition("/")
    places = [f"{release.source.base}/{folder}/by-hash/SHA256/{digest}"] if release.by_hash else []
    for url in (*places, f"{release.source.base}/{path}"):
        try:
            content = fetch.read(url, size)
        except NotFound:
            continue
        if hashlib.sha256(content).hexdigest() == digest:
            return content
    raise DataLoss(f"{release.source.base}/{path} is not what the Release file names")
