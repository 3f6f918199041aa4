"""The registry's words: error codes and bodies, accept lists.

Spec: OCI distribution-spec, Error Codes.
"""

from __future__ import annotations

from typing import Final, TypedDict

from berth.spec.image import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

MANIFEST_ACCEPT: Final = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST, "*/*"))
HUB_HOST: Final = "registry-1.docker.io"
HUB_DOMAIN: Final = "docker.io"


class RegistryError(TypedDict, total=False):
    """One entry of an error body's ``errors``."""

    code: str
    message: str
    detail: object


MESSAGES: Final = {
    "BLOB_UNKNOWN": "blob unknown to registry",
    "DENIED": "requested access to the resource is denied",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_UNKNOWN": "repository name not known to registry",
    "TOOMANYREQUESTS": "too many requests",
    "UNAUTHORIZED": "authentication required",
    "UNSUPPORTED": "the operation is unsupported",
}
