"""``Plugin``: one plugin, asked by HTTP. Blocking: never on the event loop."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from berth.base.errors import BerthError, NotFound, Unavailable
from berth.plugins.discovery import Folders, Place, find_place

MEDIA_TYPE = "application/vnd.docker.plugins.v1.2+json"
TIMEOUT_S = 30.0
_LONGEST_ANSWER = 16 << 20


class PluginError(BerthError):
    """The plugin's own refusal."""

    kind = "internal"


class Plugin:
    """``implements``: what it said when it was activated (NetworkDriver, IpamDriver, VolumeDriver, ...)."""

    def __init__(self, place: Place) -> None:
        self.name = place.name
        self.place = place
        self.implements = frozenset(str(each) for each in self.ask("Plugin.Activate", {}).get("Implements") or ())

    def ask(self, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises: Unavailable (it does not answer), NotFound (it has no such method), PluginError (what it refuses)."""
        connection = _connect(self.place)
        try:
            connection.request(
                "POST", f"/{method}", json.dumps(body), {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
            )
            response = connection.getresponse()
            status, text = response.status, response.read(_LONGEST_ANSWER)
        except (OSError, http.client.HTTPException) as err:
            raise Unavailable(f"plugin {self.name} does not answer {method}: {err}") from err
        finally:
            connection.close()
        found = _decoded(text)
        if status == 404:
            raise NotFound(f"{method}: {found.get('Err') or 'plugin not found'}")
        if status != 200 or found.get("Err"):
            raise PluginError(
                f"{method}: {found.get('Err') or text.decode(errors='replace').strip() or f'status {status}'}"
            )
        return found


class Plugins:
    """Those that were asked for once stay known until they do not answer."""

    def __init__(self, folders: Folders = Folders()) -> None:
        self._folders = folders
        self._known: dict[str, Plugin] = {}

    def get(self, name: str, kind: str) -> Plugin:
        """The plugin that implements ``kind``. Raises: NotFound in Docker's words, Unavailable, InvalidArgument."""
        place = find_place(name, self._folders)
        if place is None:
            self._known.pop(name, None)
            raise NotFound(f"could not find plugin {name} in v1 plugin registry: plugin not found")
        found = self._known.get(name)
        if found is None or found.place != place:
            found = self._known[name] = Plugin(place)
        if kind not in found.implements:
            raise NotFound(
                f"could not find plugin {name} in v1 plugin registry: Plugin does not implement the requested driver"
            )
        return found


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("plugin", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connect(place: Place) -> http.client.HTTPConnection:
    if place.address.startswith("unix://"):
        return _UnixConnection(place.address.removeprefix("unix://"))
    where = urlsplit(place.address)
    if place.tls is None and where.scheme != "https":
        return http.client.HTTPConnection(where.hostname or "", where.port or 80, timeout=TIMEOUT_S)
    return http.client.HTTPSConnection(where.hostname or "", where.port or 443, timeout=TIMEOUT_S, context=_tls(place))


def _tls(place: Place) -> ssl.SSLContext:
    """Raises: Unavailable (files that cannot be read)."""
    tls = place.tls
    try:
        context = ssl.create_default_context(cafile=(tls.ca_file if tls else "") or None)
        if tls is not None and tls.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls is not None and tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file or None)
    except OSError as err:
        raise Unavailable(f"plugin {place.name}: its TLSConfig cannot be used: {err}") from err
    return context


def _decoded(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
