"""An authority, a server's and a client's certificate, named as the docker CLI wants them (``DOCKER_CERT_PATH``)."""

from __future__ import annotations

import os
import subprocess

_EXTENSIONS = {
    "server": "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
    "client": "extendedKeyUsage=clientAuth\n",
}


def make(folder: str) -> None:
    """``ca.pem``, ``server-cert.pem``, ``server-key.pem``, ``cert.pem``, ``key.pem`` in ``folder``."""
    os.makedirs(folder, exist_ok=True)

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(
        "req", "-x509", *key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority"
    )
    for who, cert in (("server", "server-cert.pem"), ("client", "cert.pem")):
        with open(f"{folder}/{who}.ext", "w", encoding="ascii") as file:
            file.write(_EXTENSIONS[who])
        openssl("req", *key, "-keyout", cert.replace("cert", "key"), "-out", f"{who}.csr", "-subj", f"/CN={who}")
        openssl(
            "x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
            "-out", cert, "-days", "2", "-extfile", f"{who}.ext",
        )  # fmt: skip
