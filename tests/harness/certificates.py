"""A certificate authority of a test's own, made by the openssl program; ``for_docker`` names files as the docker CLI does."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence


class Authority:
    """Files below ``folder``: ca.crt, and for each name given to ``issue`` its pair."""

    def __init__(self, folder: str, name: str = "tests", *, renew: bool = True) -> None:
        """``renew``: make it, also where there is one."""
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.certificate = f"{folder}/ca.crt"
        self._key = f"{folder}/ca.key"
        if not renew:
            return
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                 "-subj", f"/CN={name} CA", "-keyout", self._key, "-out", self.certificate)  # fmt: skip

    def issue(self, stem: str, names: Sequence[str] = (), *, days: int = 2) -> tuple[str, str]:
        """(certificate, key) for hosts and addresses; without names a client's. ``days``: negative has ended already."""
        certificate, key = f"{self.folder}/{stem}.cert", f"{self.folder}/{stem}.key"
        request, extensions = f"{self.folder}/{stem}.csr", f"{self.folder}/{stem}.ext"
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={stem[:60]}",
                 "-keyout", key, "-out", request)  # fmt: skip
        with open(extensions, "w", encoding="ascii") as file:
            alternatives = [f"IP:{name}" if name.replace(".", "").isdigit() else f"DNS:{name}" for name in names]
            file.write(f"subjectAltName={','.join(alternatives)}\n" if names else "extendedKeyUsage=clientAuth\n")
        _openssl("x509", "-req", "-days", str(days), "-in", request, "-CA", self.certificate, "-CAkey", self._key,
                 "-CAcreateserial", "-extfile", extensions, "-out", certificate)  # fmt: skip
        return certificate, key


def for_docker(folder: str) -> None:
    """``ca.pem``, ``server-cert.pem``, ``server-key.pem``, ``cert.pem``, ``key.pem`` in ``folder`` (``DOCKER_CERT_PATH``)."""
    authority = Authority(f"{folder}/authority")
    pairs = {"server-": authority.issue("server", ("localhost", "127.0.0.1")), "": authority.issue("client")}
    shutil.copy(authority.certificate, f"{folder}/ca.pem")
    for prefix, (certificate, key) in pairs.items():
        shutil.copy(certificate, f"{folder}/{prefix}cert.pem")
        shutil.copy(key, f"{folder}/{prefix}key.pem")


def _openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
