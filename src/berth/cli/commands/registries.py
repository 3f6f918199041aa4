"""Registries: login logout search, imagetools."""

from __future__ import annotations

import os
import sys

from berth.base.errors import BerthError, InvalidArgument, Unauthorized
from berth.cli import credentials, table
from berth.cli.command import Command
from berth.cli.flags import FORMAT, Flag
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine


# --- login and logout


def login(engine: Engine, flags: Flags) -> int:
    server = flags.args[0] if flags.args else ""
    auth = _asked(server, flags)
    if auth is None:
        auth = credentials.find(server)
        if auth and _log_in_with_kept(engine, server, auth):
            return 0
        auth = _prompted(server, flags.text("username") or (auth or {}).get("username", ""))
    _log_in(engine, server, auth)
    return 0


def _asked(server: str, flags: Flags) -> dict[str, str] | None:
    """User and password of the command line; None where they are still to be found. Raises: InvalidArgument."""
    user, password = flags.text("username"), flags.text("password")
    if flags.given("password"):
        print("WARNING! Using --password via the CLI is insecure. Use --password-stdin.", file=sys.stderr)
        if flags.on("password-stdin"):
            raise InvalidArgument("--password and --password-stdin are mutually exclusive")
    if flags.on("password-stdin"):
        if not user:
            raise InvalidArgument("Must provide --username with --password-stdin")
        password = sys.stdin.read().rstrip("\n").rstrip("\r")
    if user and password:
        return {"serveraddress": credentials.key_of(server), "username": user, "password": password}
    return None if not flags.given("username") else _prompted(server, user)


def _prompted(server: str, user: str) -> dict[str, str]:
    if not os.isatty(0):
        raise InvalidArgument("Error: Cannot perform an interactive login from a non TTY device")
    import getpass

    shown = f" ({user})" if user else ""
    user = input(f"Username{shown}: ").strip() or user
    if not user:
        raise InvalidArgument("Error: Non-null Username Required")
    password = getpass.getpass("Password: ")
    if not password:
        raise InvalidArgument("Error: Password Required")
    return {"serveraddress": credentials.key_of(server), "username": user, "password": password}


def _log_in_with_kept(engine: Engine, server: str, auth: dict[str, str]) -> bool:
    print("Authenticating with existing credentials...", end="")
    print(f" [Username: {auth['username']}]" if auth.get("username") else "")
    try:
        _log_in(engine, server, auth)
    except Unauthorized as err:
        print(f"Login did not succeed, error: {err.message}", file=sys.stderr)
        return False
    return True


def _log_in(engine: Engine, server: str, auth: dict[str, str]) -> None:
    answer = engine.post("/auth", auth)
    if answer.get("IdentityToken"):
        auth = {"username": auth.get("username", ""), "identitytoken": answer["IdentityToken"]}
    path = credentials.store(server, auth)
    if path:
        print(
            f"\nWARNING! Your credentials are stored unencrypted in '{path}'.\nConfigure a credential helper to remove this "
            "warning. See\nhttps://docs.docker.com/go/credential-store/\n", file=sys.stderr,
        )  # fmt: skip
    print(answer.get("Status") or "Login Succeeded")


def logout(engine: Engine, flags: Flags) -> int:
    key = credentials.key_of(flags.args[0] if flags.args else "")
    print(f"Removing login credentials for {key}")
    try:
        credentials.erase(key)
    except BerthError as err:
        print(f"WARNING: could not erase credentials:\n{key}: {err.message}", file=sys.stderr)
    return 0


# --- search

_AUTOMATED = (
    'WARNING: the "is-automated" filter is deprecated, and searching for "is-automated=true" will not yield any results '
    "in future."
)


def search(engine: Engine, flags: Flags) -> int:
    from berth.cli.commands.ps import parse_filters

    term, trunc, limit = flags.args[0], not flags.on("no-trunc"), flags.number("limit")
    filters = parse_filters(flags.list_("filter"))
    if "is-automated" in filters:
        print(_AUTOMATED, file=sys.stderr)
    path = "/images/search" + query(term=term, limit=limit if limit > 0 else None, filters=filters or None)
    response = engine.send("GET", path, headers=credentials.header(credentials.server_of(term)))
    from berth.client import quick_json

    def description(row: Any) -> str:
        text = str(row["description"]).replace("\n", " ").replace("\r", " ")
        return text[:44] + "…" if trunc and len(text) > 45 else text

    columns: dict[str, table.Column] = {
        "Name": ("NAME", lambda r: r["name"]),
        "Description": ("DESCRIPTION", description),
        "StarCount": ("STARS", lambda r: str(r["star_count"])),
        "IsOfficial": ("OFFICIAL", _official),
    }
    rows = quick_json.loads(response.read())
    default = ("Name", "Description", "StarCount", "IsOfficial")
    table.show(columns, default, rows, flags.text("format"), type_name="*registry.searchContext")
    return 0


def _official(row: Any) -> str:
    from berth.cli.gotemplate.values import Shown

    shown = Shown("[OK]" if row["is_official"] else "")
    shown.plainly = "true" if row["is_official"] else "false"
    return shown


# --- imagetools


def _ask(engine: Engine, name: str, what: str) -> Any:
    from berth.client import quick_json

    response = engine.send(
        "GET", f"/distribution/{name}/{what}", headers=credentials.header(credentials.server_of(name))
    )
    return quick_json.loads(response.read())


def imagetools_inspect(engine: Engine, flags: Flags) -> int:
    import json

    name = flags.args[0]
    found = _ask(engine, name, "manifest")
    if flags.on("raw"):
        sys.stdout.write(found["Raw"])
        return 0
    document, descriptor = json.loads(found["Raw"]), found["Descriptor"]
    print(f"Name:      {found['Ref']}\nMediaType: {descriptor['mediaType']}\nDigest:    {descriptor['digest']}")
    entries = document.get("manifests") or []
    if entries:
        print("           \nManifests: ")
    repository = found["Ref"].partition("@")[0].rpartition(":")[0]
    print("             \n".join(_entry(repository, entry) for entry in entries), end="")
    return 0


def _entry(repository: str, entry: dict[str, Any]) -> str:
    platform = entry.get("platform") or {}
    parts = [str(platform[key]) for key in ("os", "architecture", "variant") if platform.get(key)]
    lines = [f"Name:        {repository}@{entry['digest']}", f"MediaType:   {entry.get('mediaType', '')}"]
    lines += [f"Platform:    {'/'.join(parts)}"] if parts else []
    annotations = entry.get("annotations") or {}
    if annotations:
        lines.append("Annotations: ")
        lines += [f"  {key}: {value}" for key, value in annotations.items()]
    return "".join(f"  {line}\n" for line in lines)


def imagetools_tags(engine: Engine, flags: Flags) -> int:
    for tag in sorted(_ask(engine, flags.args[0], "tags")):
        print(tag)
    return 0


def imagetools_referrers(engine: Engine, flags: Flags) -> int:
    found = _ask(engine, flags.args[0], "referrers")
    columns: dict[str, table.Column] = {
        "Digest": ("DIGEST", lambda r: r["digest"]),
        "ArtifactType": ("ARTIFACT TYPE", lambda r: r.get("artifactType") or ""),
        "Size": ("SIZE", lambda r: str(r.get("size", ""))),
    }
    table.show(columns, ("Digest", "ArtifactType", "Size"), found["Manifests"], flags.text("format"))
    return 0


def imagetools_catalog(engine: Engine, flags: Flags) -> int:
    host = flags.args[0]
    headers = credentials.header(host)
    from berth.client import quick_json

    for name in quick_json.loads(engine.send("GET", f"/registries/{host}/catalog", headers=headers).read()):
        print(name)
    return 0


COMMANDS = {
    "login": Command(
        "[OPTIONS] [SERVER]", "Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
        [
            Flag("password", "string", "Password or Personal Access Token (PAT)", "p"),
            Flag("password-stdin", "bool", "Take the Password or Personal Access Token (PAT) from stdin"),
            Flag("username", "string", "Username", "u"),
        ],
        (0, 1), login,
    ),
    "logout": Command(
        "[SERVER]",
        "Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
        [], (0, 1), logout, local=True,
    ),
    "search": Command(
        "[OPTIONS] TERM", "Search Docker Hub for images",
        [
            Flag("filter", "filter", "Filter output based on conditions provided", "f"),
            Flag("format", "string", "Pretty-print search using a Go template"),
            Flag("limit", "int", "Max number of search results"), Flag("no-trunc", "bool", "Don't truncate output"),
        ],
        (1, 1), search,
    ),
    "imagetools inspect": Command(
        "[OPTIONS] NAME", "Show details of an image in the registry",
        [Flag("raw", "bool", "Show original, unformatted JSON manifest")], (1, 1), imagetools_inspect,
    ),
    "imagetools tags": Command("NAME", "List the tags of a repository in the registry", [], (1, 1), imagetools_tags),
    "imagetools referrers": Command(
        "[OPTIONS] NAME", "List what refers to an image in the registry (signatures, attestations)", [FORMAT], (1, 1),
        imagetools_referrers,
    ),
    "imagetools catalog": Command("HOST", "List the repositories of a registry", [], (1, 1), imagetools_catalog),
}  # fmt: skip
