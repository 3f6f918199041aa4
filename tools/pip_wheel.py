"""Gets pip's own wheel, pinned by hash, where a machine has no pip: Debian's python3 comes without it."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable

NAME = "pip-26.3-py3-none-any.whl"
SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
URL = (
    "https://files.pythonhosted.org/packages/07/25/ee8c38ae72d66b844ce8eb9711ba905dba21ca1a8a0c960057c41cd23337/" + NAME
)


class Unreachable(Exception):
    """A sentence that says what was tried."""


def fetch(folder: str, say: Callable[[str], None]) -> str:
    """The wheel's path below ``folder``, fetched when it is not there. Raises: Unreachable."""
    path = os.path.join(folder, NAME)
    if _is_right(path):
        return path
    tried = []
    for url in _places():
        say(f"getting pip from {urllib.parse.urlsplit(url).hostname or url} (2 MB; this machine has none)")
        try:
            content = _read(url)
        except (OSError, ValueError) as err:
            tried.append(f"{url}: {getattr(err, 'reason', err)}")
            continue
        if hashlib.sha256(content).hexdigest() != SHA256:
            tried.append(f"{url}: its sha256 is not the pinned one")
            continue
        with open(f"{path}.{os.getpid()}", "wb") as file:
            file.write(content)
        os.rename(f"{path}.{os.getpid()}", path)
        return path
    raise Unreachable(
        "pip cannot be fetched: " + "; ".join(tried) + ". Set https_proxy or PIP_INDEX_URL as for pip, or install pip "
        "(Debian: apt-get install python3-pip), and try again."
    )


def _is_right(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest() == SHA256
    except OSError:
        return False


def _places() -> list[str]:
    """Where the wheel may be: in the index that pip is set to, then at its pinned address."""
    places = []
    for index in index_urls():
        page = index.rstrip("/") + "/pip/"
        try:
            text = _read(page).decode(errors="replace")
        except (OSError, ValueError):
            continue
        link = re.search(rf'href="([^"]*{re.escape(NAME)})[^"]*"', text)
        if link:
            places.append(urllib.parse.urljoin(page, link.group(1)))
    return [*places, URL]


def index_urls() -> list[str]:
    """The index of pip's own settings (environment first, then its files), without PyPI's, which is the default."""
    given = _setting("index-url")
    return given.split() if given else []


def index_hosts() -> list[str]:
    """The hosts that pip will ask."""
    hosts = [urllib.parse.urlsplit(url).hostname for url in index_urls()]
    return [host for host in hosts if host] or ["pypi.org", "files.pythonhosted.org"]


def _setting(name: str) -> str:
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    home = os.path.expanduser("~")
    config_home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = [
        "/etc/pip.conf",
        f"{home}/.pip/pip.conf",
        f"{config_home}/pip/pip.conf",
        os.environ.get("PIP_CONFIG_FILE", ""),
    ]
    reader = configparser.RawConfigParser()
    for path in files:
        try:
            reader.read(path, encoding="utf-8")
        except (configparser.Error, OSError):
            continue
    return reader.get("global", name, fallback="")


def _read(url: str) -> bytes:
    """The bytes at ``url``. Where its certificate cannot be verified, read on without: the wheel's hash is what counts.

    Not when the address carries a password, which would then be anybody's.
    """
    try:
        return _open(url, None)
    except urllib.error.URLError as err:
        secret = "@" in urllib.parse.urlsplit(url).netloc
        if secret or not isinstance(err.reason, ssl.SSLCertVerificationError):
            raise
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _open(url, context)


def _open(url: str, context: ssl.SSLContext | None) -> bytes:
    proxy = _setting("proxy")
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if proxy:
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    with urllib.request.build_opener(*handlers).open(url, timeout=60) as answer:
        return bytes(answer.read())
