"""Which engine a command speaks to: ``--host``, ``--context``, the environment, the current context, the default.

The order is docker's: ``--context`` and ``--host`` exclude each other; ``DOCKER_HOST`` beats ``DOCKER_CONTEXT``, which beats the
configuration's current context.
"""

from __future__ import annotations

from berth.base.errors import InvalidArgument
from berth.cli import config
from berth.cli.flags import UsageError
from berth.client import environment
from berth.client.dial import Endpoint
from berth.client.engine import default_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.tls import TlsSettings

_SCHEMES = ("unix", "tcp", "http", "https", "ssh")


def current_context(top: Flags) -> str:
    """The name of the context in force. Raises: InvalidArgument when flags exclude each other."""
    if top.given("context") and top.text("context"):
        if top.given("host"):
            raise UsageError("conflicting options: cannot specify both --host and --context")
        return top.text("context")
    if top.given("host") or environment.get("DOCKER_HOST"):
        return "default"
    return environment.get("DOCKER_CONTEXT") or config.text("currentContext") or "default"


def resolve(top: Flags) -> Endpoint:
    """Raises: InvalidArgument for a wrong address; NotFound when there is no such context."""
    headers = {"User-Agent": "Berth-Client", **config.words("HttpHeaders")}
    name = current_context(top)
    if name != "default":
        from berth.cli import contexts

        return contexts.get(name).endpoint(headers)
    hosts = top.list_("host")
    tls_on = wants_tls(top)
    host = parse_host(hosts[0] if hosts else default_host(), tls_on)
    tls = _tls(top) if tls_on and not host.startswith(("unix://", "ssh://")) else None
    return Endpoint(host, tls=tls, headers=headers)


def parse_host(text: str, tls_on: bool) -> str:
    """An address with its scheme and port. Raises: InvalidArgument in docker's words."""
    host = text.strip()
    scheme, found, rest = host.partition("://")
    if not found:
        if host.startswith("/"):
            return f"unix://{host}"
        scheme, rest = "tcp", host
    if scheme not in _SCHEMES:
        raise InvalidArgument(f"invalid bind address format: {text}")
    if scheme in ("unix", "ssh"):
        return f"{scheme}://{rest}"
    name, colon, port = rest.rstrip("/").rpartition(":")
    if not colon or port.endswith("]"):
        name, port = rest.rstrip("/"), "2376" if tls_on else "2375"
    if not port.isdigit() or int(port) > 65535:
        raise InvalidArgument(f"invalid bind address ({text}): port {port!r} is no number up to 65535")
    return f"{scheme}://{name or 'localhost'}:{port}"


def wants_tls(top: Flags) -> bool:
    return top.on("tls") or _verifies(top) or any(
        top.given(name) for name in ("tlscacert", "tlscert", "tlskey")
    ) or bool(environment.get("DOCKER_TLS") and not top.given("tls"))  # fmt: skip


def _verifies(top: Flags) -> bool:
    if top.given("tlsverify"):
        return top.on("tlsverify")
    return bool(environment.get("DOCKER_TLS_VERIFY"))


def _tls(top: Flags) -> TlsSettings:
    from berth.client.tls import TlsSettings

    folder = environment.get("DOCKER_CERT_PATH") or config.directory()

    def path(flag: str, name: str) -> str:
        if top.given(flag):
            return top.text(flag)
        usual = f"{folder}/{name}"
        return usual if environment.exists(usual) else ""

    return TlsSettings(
        path("tlscacert", "ca.pem"), path("tlscert", "cert.pem"), path("tlskey", "key.pem"), verify=_verifies(top)
    )
