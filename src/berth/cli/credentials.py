"""Credentials for registries, where docker keeps them, so that a login of either client counts for both.

    config.json   "credHelpers": {"<host>": "<helper>"}     docker-credential-<helper> for this host
                  "credsStore": "<helper>"                  ... for all others
                  "auths": {"<host>": {"auth": base64 of user:password, "identitytoken"}}   without a helper

A helper that is missing or fails is an error: its registry is never asked with somebody else's credentials (CVE-2021-41092).
Spec: the protocol of docker-credential-helpers: get, store, erase, list on standard input, JSON on standard output.
"""

from __future__ import annotations

import binascii
import os

from berth.base.errors import Internal, Unauthorized
from berth.cli import config
from berth.client import quick_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HUB = "https://index.docker.io/v1/"
_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_TOKEN_USER = "<token>"
_NOT_FOUND = "credentials not found in native keychain"

Auth = dict[str, str]


def key_of(server: str) -> str:
    """What a registry is called in the configuration: the Hub by its old index's URL, others by ``host[:port]``."""
    host = hostname(server)
    return HUB if host in ("", *_HUB_HOSTS) else host


def hostname(server: str) -> str:
    return server.removeprefix("https://").removeprefix("http://").partition("/")[0]


def server_of(image: str) -> str:
    """The registry that an image's name means."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else HUB


def find(server: str) -> Auth | None:
    """What is kept for a registry, as the engine takes it. Raises: Internal when its helper cannot tell."""
    key = key_of(server)
    from_environment = _environment().get(key)
    if from_environment is not None:
        return _decode(key, from_environment)
    helper = _helper(key)
    if helper:
        return _ask_helper(helper, key)
    auths = _auths(config.load())
    entry = auths.get(key) or next((auths[name] for name in auths if hostname(name) == hostname(key)), None)
    return _decode(key, entry) if entry is not None else None


def all_() -> dict[str, Auth]:
    """Everything that is kept, by what its registry is called. Raises: Internal when a helper cannot tell."""
    if os.environ.get("DOCKER_AUTH_CONFIG"):
        return {key: _decode(key, entry) for key, entry in _environment().items()}
    settings, store_helper = config.load(), config.text("credsStore")
    if store_helper:
        found = _listed(store_helper)
    else:
        found = {key: _decode(key, entry) for key, entry in _auths(settings).items()}
    for key, helper in config.words("credHelpers").items():
        auth = _ask_helper(helper, key)
        if auth:
            found[key] = auth
    return found


def _listed(helper: str) -> dict[str, Auth]:
    """What a helper says that it keeps."""
    try:
        names = quick_json.loads(_call(helper, "list", ""))
    except ValueError as err:
        raise Internal(f"error listing credentials - docker-credential-{helper} answered with something else") from err
    asked = {str(name): _ask_helper(helper, str(name)) for name in names or ()}
    return {name: auth for name, auth in asked.items() if auth}


def header(server: str) -> dict[str, str]:
    """``X-Registry-Auth`` for requests about a registry; {} where nothing is kept. Raises: as ``find``."""
    auth = find(server)
    return {"X-Registry-Auth": encode(auth)} if auth else {}


def encode(auth: Auth) -> str:
    raw = quick_json.dumps(auth).encode()
    return binascii.b2a_base64(raw, newline=False).decode().translate({43: "-", 47: "_"})


def store(server: str, auth: Auth) -> str:
    """Keep credentials; returns the file they lie in unencrypted, "" where a helper took them. Raises: Internal, OSError."""
    key = key_of(server)
    helper = _helper(key)
    token = auth.get("identitytoken", "")
    if helper:
        secret = {"ServerURL": key, "Username": _TOKEN_USER if token else auth["username"],
                  "Secret": token or auth["password"]}  # fmt: skip
        _call(helper, "store", quick_json.dumps(secret))
        return ""
    entry = entry_of(auth)

    def change(settings: dict[str, Any]) -> None:
        settings.setdefault("auths", {})[key] = entry

    return config.update(change)


def entry_of(auth: Auth) -> dict[str, str]:
    """Credentials as ``auths`` has them."""
    token = auth.get("identitytoken", "")
    plain = f"{auth.get('username', '')}:{'' if token else auth.get('password', '')}".encode()
    entry = {"auth": binascii.b2a_base64(plain, newline=False).decode()}
    return {**entry, "identitytoken": token} if token else entry


def erase(server: str) -> None:
    """Forget what is kept; nothing kept is no error. Raises: Internal, OSError."""
    key = key_of(server)
    helper = _helper(key)
    if helper:
        _call(helper, "erase", key)
        return
    if key not in {key_of(name) for name in _auths(config.load())}:
        return

    def change(settings: dict[str, Any]) -> None:
        auths = _auths(settings)
        settings["auths"] = {name: entry for name, entry in auths.items() if key_of(name) != key}

    config.update(change)


def _helper(key: str) -> str:
    return config.words("credHelpers").get(hostname(key)) or config.words("credHelpers").get(key) or config.text(
        "credsStore"
    )  # fmt: skip


def _auths(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    auths = settings.get("auths")
    return {k: v for k, v in auths.items() if isinstance(v, dict)} if isinstance(auths, dict) else {}


def _environment() -> dict[str, dict[str, Any]]:
    """``DOCKER_AUTH_CONFIG``: ``auths`` for a job, not kept anywhere."""
    raw = os.environ.get("DOCKER_AUTH_CONFIG", "")
    try:
        settings = quick_json.loads(raw) if raw else {}
    except ValueError as err:
        raise Internal(f"failed to create credential store from DOCKER_AUTH_CONFIG: {err}") from err
    return {key_of(name): entry for name, entry in _auths(settings if isinstance(settings, dict) else {}).items()}


def _decode(key: str, entry: dict[str, Any]) -> Auth:
    auth = {"serveraddress": key}
    for name in ("username", "password", "identitytoken", "registrytoken"):
        if isinstance(entry.get(name), str) and entry[name]:
            auth[name] = entry[name]
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            user, colon, password = binascii.a2b_base64(entry["auth"]).decode().partition(":")
        except ValueError as err:
            raise Internal(f"invalid auth configuration file: auth of {key}: {err}") from err
        if not colon:
            raise Internal("invalid auth configuration file")
        auth["username"] = user
        if password.strip("\0"):
            auth["password"] = password.strip("\0")
    return auth


# --- helpers


def _ask_helper(helper: str, key: str) -> Auth | None:
    try:
        answer = _call(helper, "get", key)
    except Unauthorized:
        return None
    try:
        found = quick_json.loads(answer)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError) as err:
        raise Internal(f"error getting credentials - docker-credential-{helper} answered with something else") from err
    if user == _TOKEN_USER:
        return {"serveraddress": key, "identitytoken": secret}
    return {"serveraddress": key, "username": user, "password": secret}


def _call(helper: str, action: str, words: str) -> str:
    """Raises: Unauthorized when it keeps nothing for the server, Internal in docker's words for other failures."""
    from berth.base import spawn

    doing = {"get": "getting", "store": "storing", "erase": "erasing", "list": "listing"}[action]
    program = f"docker-credential-{helper}"
    try:
        if "/" in helper:
            raise FileNotFoundError
        done = spawn.run([program, action], stdin=words.encode())
    except OSError as err:
        raise Internal(
            f'error {doing} credentials - err: exec: "{program}": executable file not found in $PATH, out: ``'
        ) from err
    out = done.stdout.decode(errors="replace").strip()
    if done.returncode == 0:
        return out
    if out.startswith(_NOT_FOUND):
        raise Unauthorized(out)
    raise Internal(f"error {doing} credentials - err: exit status {done.returncode}, out: `{out}`")
