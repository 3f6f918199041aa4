"""Whether a context's certificates are any, judged when they are given rather than when somebody connects."""

from __future__ import annotations

import os
import ssl

from berth.base.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_INFO = "failed to retrieve context tls info: "


def check(tls: Mapping[str, bytes]) -> None:
    """``tls``: file name → content. A certificate without its key is not judged. Raises: InvalidArgument in docker's words."""
    if "ca.pem" in tls:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=tls["ca.pem"].decode("latin-1"))
        except (ssl.SSLError, ValueError) as err:
            raise InvalidArgument(f"{_NO_INFO}ca.pem seems invalid") from err
    if "cert.pem" in tls and "key.pem" in tls:
        _check_pair(tls["cert.pem"], tls["key.pem"])


def _check_pair(cert: bytes, key: bytes) -> None:
    if b"-----BEGIN CERTIFICATE-----" not in cert:
        raise InvalidArgument(f"{_NO_INFO}tls: failed to find any PEM data in certificate input")
    if b"PRIVATE KEY-----" not in key:
        raise InvalidArgument("no valid private key found")
    if b"ENCRYPTED" in key:
        return  # whose password nobody has told
    cert_fd, key_fd = _in_memory(cert), _in_memory(key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(f"/proc/self/fd/{cert_fd}", f"/proc/self/fd/{key_fd}")
    except ssl.SSLError as err:
        why = (
            "private key does not match public key" if err.reason == "KEY_VALUES_MISMATCH" else str(err.reason).lower()
        )
        raise InvalidArgument(f"{_NO_INFO}tls: {why}") from err
    finally:
        os.close(cert_fd)
        os.close(key_fd)


def _in_memory(content: bytes) -> int:
    """A file without a name: OpenSSL reads a pair from files only."""
    fd = os.memfd_create("pem")
    os.write(fd, content)
    return fd
