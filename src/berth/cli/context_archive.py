"""A context as a file: a tar as docker exports it, or a zip.

meta.json
tls/docker/ca.pem  cert.pem  key.pem
"""

from __future__ import annotations

from berth.base.errors import InvalidArgument
from berth.cli import contexts


def write(context: contexts.Context) -> bytes:
    """A tar with ``meta.json`` and ``tls/docker/*``."""
    import io
    import tarfile

    from berth.client import quick_json

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entries: list[tuple[str, bytes | None]] = [
            ("meta.json", quick_json.dumps(context.document()).encode()),
            ("tls", None),
        ]
        if context.tls:
            entries.append(("tls/docker", None))
            entries += [(f"tls/docker/{name}", content) for name, content in sorted(context.tls.items())]
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.mode = 0o700 if content is None else 0o644 if name == "meta.json" else 0o600
            member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content) if content is not None else None)
    return out.getvalue()


def read(raw: bytes) -> contexts.Context:
    """Raises: InvalidArgument when it is no exported context."""
    from berth.client import quick_json

    files = _zip_files(raw) if raw.startswith(b"PK") else _tar_files(raw)
    if "meta.json" not in files:
        raise InvalidArgument("invalid context: no metadata found")
    try:
        document = quick_json.loads(files["meta.json"])
        tls = {
            name: files[f"tls/docker/{name}"] for name in contexts.TLS_FILES.values() if f"tls/docker/{name}" in files
        }
        return contexts.from_document(document, tls)
    except (ValueError, AttributeError) as err:
        raise InvalidArgument(f"invalid context: meta.json: {err}") from err


def _tar_files(raw: bytes) -> dict[str, bytes]:
    import io
    import tarfile

    # docker's own archives are cut off behind the last file's bytes
    whole = raw + bytes(-len(raw) % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
    try:
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            return {m.name: file.read() for m in tar if m.isfile() and (file := tar.extractfile(m)) is not None}
    except tarfile.TarError as err:
        raise InvalidArgument("invalid context: no tar archive") from err


def _zip_files(raw: bytes) -> dict[str, bytes]:
    import io
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    except (zipfile.BadZipFile, RuntimeError) as err:
        raise InvalidArgument(f"invalid context: no zip archive: {err}") from err
