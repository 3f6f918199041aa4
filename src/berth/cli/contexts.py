"""docker's context store, so that both clients see the same contexts.

    <config>/contexts/meta/<sha256 of the name>/meta.json      {"Name", "Metadata": {"Description"}, "Endpoints": {"docker": ...}}
    <config>/contexts/tls/<sha256 of the name>/docker/         ca.pem cert.pem key.pem

``default`` is no file: it is what flags and the environment say.
"""

from __future__ import annotations

import os

from berth.base.errors import AlreadyExists, InvalidArgument, NotFound
from berth.cli import config
from berth.client import quick_json
from berth.client.dial import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TLS_FILES = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_OTHERS = _FIRST | frozenset("_.+-")


def _folder(kind: str, name: str) -> str:
    import hashlib

    ident = hashlib.sha256(name.encode()).hexdigest()
    return os.path.join(config.directory(), "contexts", kind, ident)


def meta_path(name: str) -> str:
    return os.path.join(_folder("meta", name), "meta.json")


def tls_dir(name: str) -> str:
    return os.path.join(_folder("tls", name), "docker")


class Context:
    """One stored context."""

    def __init__(
        self, name: str, host: str, description: str = "", *, skip_verify: bool = False, tls: dict[str, bytes] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.host = host
        self.description = description
        self.skip_verify = skip_verify
        self.tls = tls or {}
        self.metadata = metadata or {}

    def document(self) -> dict[str, Any]:
        """``meta.json``."""
        known = {k: v for k, v in self.metadata.items() if k != "Description"}
        metadata = {"Description": self.description, **known} if self.description else known
        return {"Name": self.name, "Metadata": metadata,
                "Endpoints": {"docker": {"Host": self.host, "SkipTLSVerify": self.skip_verify}}}  # fmt: skip

    def endpoint(self, headers: dict[str, str]) -> Endpoint:
        if (not self.tls and not self.skip_verify) or self.host.startswith(("unix://", "ssh://")):
            return Endpoint(self.host, headers=headers)
        from berth.client.tls import TlsSettings

        files = {key: os.path.join(tls_dir(self.name), name) for key, name in TLS_FILES.items() if name in self.tls}
        return Endpoint(self.host, tls=TlsSettings(verify=not self.skip_verify, **files), headers=headers)


def check_name(name: str) -> None:
    """Raises: InvalidArgument."""
    if not name:
        raise InvalidArgument("context name cannot be empty")
    if name == "default":
        raise InvalidArgument('"default" is a reserved context name')
    if len(name) < 2 or name[0] not in _FIRST or not _OTHERS.issuperset(name):
        raise InvalidArgument(
            f'context name "{name}" is invalid, names are validated against regexp "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"'
        )


def get(name: str) -> Context:
    """Raises: NotFound in docker's words."""
    path = meta_path(name)
    try:
        with open(path, "rb") as file:
            document = quick_json.loads(file.read())
    except OSError as err:
        raise NotFound(
            f'context "{name}": context not found: open {path}: {os.strerror(err.errno or 0).lower()}'
        ) from err
    except ValueError as err:
        raise InvalidArgument(f'context "{name}": parsing {path}: {err}') from err
    return from_document(document, _read_tls(name))


def from_document(document: dict[str, Any], tls: dict[str, bytes]) -> Context:
    endpoint = (document.get("Endpoints") or {}).get("docker") or {}
    metadata = document.get("Metadata") or {}
    return Context(
        str(document.get("Name") or ""), str(endpoint.get("Host") or ""), str(metadata.get("Description") or ""),
        skip_verify=bool(endpoint.get("SkipTLSVerify")), tls=tls, metadata=metadata,
    )  # fmt: skip


def _read_tls(name: str) -> dict[str, bytes]:
    found = {}
    for file_name in TLS_FILES.values():
        try:
            with open(os.path.join(tls_dir(name), file_name), "rb") as file:
                found[file_name] = file.read()
        except FileNotFoundError:
            continue
    return found


def list_() -> list[Context]:
    """Every stored context by name; what cannot be read is left out."""
    root = os.path.join(config.directory(), "contexts", "meta")
    found = []
    for ident in os.listdir(root) if os.path.isdir(root) else ():
        try:
            with open(os.path.join(root, ident, "meta.json"), "rb") as file:
                name = quick_json.loads(file.read()).get("Name")
            found.append(get(str(name)))
        except (OSError, ValueError, NotFound):
            continue
    return sorted(found, key=lambda c: c.name)


def save(context: Context, *, replace: bool) -> None:
    """Write a context, whole files at a time. Raises: AlreadyExists unless ``replace``."""
    check_name(context.name)
    if not replace and os.path.exists(meta_path(context.name)):
        raise AlreadyExists(f'context "{context.name}" already exists')
    import shutil

    shutil.rmtree(_folder("tls", context.name), ignore_errors=True)
    for name, content in context.tls.items():
        _write(os.path.join(tls_dir(context.name), name), content)
    _write(meta_path(context.name), quick_json.dumps(context.document()).encode())


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755 if path.endswith("meta.json") else 0o700, exist_ok=True)
    partial = f"{path}.{os.getpid()}.tmp"
    mode = 0o644 if path.endswith("meta.json") else 0o600
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    os.replace(partial, path)


def remove(name: str) -> None:
    """Raises: NotFound."""
    if not os.path.exists(meta_path(name)):
        raise NotFound(f'context "{name}" does not exist')
    import shutil

    shutil.rmtree(_folder("meta", name), ignore_errors=True)
    shutil.rmtree(_folder("tls", name), ignore_errors=True)
