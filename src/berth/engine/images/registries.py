"""``RegistryService``: what is asked of registries without an image coming or going."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from berth.base.errors import InvalidArgument
from berth.engine.images import manifest_lists
from berth.images.documents import Index, Manifest, parse_config, parse_manifest
from berth.registry import login, search
from berth.registry.client import FetchedManifest, Repository
from berth.registry.transport import read_all
from berth.spec.image import MAX_MANIFEST
from berth.spec.reference import Reference, parse_reference

if TYPE_CHECKING:
    from berth.registry.client import RegistryClient
    from berth.spec.platform import Platform

Auth = Mapping[str, str] | None
_FLAGS = {"is-official": "is_official", "is-automated": "is_automated"}


class RegistryService:
    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    async def login(self, auth: Mapping[str, str]) -> dict[str, str]:
        """Docker's answer to ``/auth``. Raises: Unauthorized, Unavailable."""
        token = await login.login(self._client, str(auth.get("serveraddress") or ""), auth)
        return {"Status": "Login Succeeded", "IdentityToken": token}

    async def search(self, term: str, limit: int, filters: Mapping[str, list[str]], auth: Auth) -> list[dict[str, Any]]:
        """Raises: InvalidArgument for filters that are none, Unavailable."""
        keep = _Filter(filters)
        return [entry for entry in await search.search(self._client, term, limit, auth) if keep(entry)]

    async def distribution(self, name: str, auth: Auth) -> dict[str, Any]:
        """Descriptor and platforms of what a name means at its registry."""
        ref, repository = self._repository(name, auth)
        found = await _fetch(repository, ref)
        parsed = parse_manifest(found.content, found.media_type)
        platforms = (
            [_platform(entry.platform) for entry in parsed.manifests if entry.platform is not None]
            if isinstance(parsed, Index)
            else [_platform(await _platform_of(repository, parsed))]
        )
        return {"Descriptor": _descriptor(found, parsed.media_type), "Platforms": platforms}

    async def manifest(self, name: str, auth: Auth) -> dict[str, Any]:
        """The document itself, as text: ``{"Ref", "Descriptor", "Raw"}``."""
        ref, repository = self._repository(name, auth)
        found = await _fetch(repository, ref)
        parsed = parse_manifest(found.content, found.media_type)
        descriptor = _descriptor(found, parsed.media_type)
        return {"Ref": str(ref), "Descriptor": descriptor, "Raw": found.content.decode("utf-8", "replace")}

    async def put_list(self, name: str, raw: str, sources: Sequence[str], auth: Auth) -> dict[str, Any]:
        """Write a manifest list under a name; see ``manifest_lists``."""
        return await manifest_lists.put(self._client, name, raw, sources, auth)

    async def tags(self, name: str, auth: Auth) -> list[str]:
        _, repository = self._repository(name, auth)
        return await repository.tags()

    async def referrers(self, name: str, auth: Auth) -> dict[str, Any]:
        """What refers to an image (signatures, attestations), with the digest that was asked about."""
        ref, repository = self._repository(name, auth)
        digest = ref.digest or (await _fetch(repository, ref)).digest
        return {"Subject": digest, "Manifests": await repository.referrers(digest)}

    async def catalog(self, domain: str, auth: Auth) -> list[str]:
        """Every repository that a registry lists."""
        reference = Reference(login.domain_of(domain), "catalog")
        return await self._client.repository(reference, auth).catalog()

    def _repository(self, name: str, auth: Auth) -> tuple[Reference, Repository]:
        ref = parse_reference(name).tagged()
        return ref, self._client.repository(ref, auth)


async def _fetch(repository: Repository, ref: Reference) -> FetchedManifest:
    return await repository.manifest(ref.digest or ref.tag or "latest")


async def _platform_of(repository: Repository, manifest: Manifest) -> Platform:
    async with repository.blob(manifest.config.digest) as stream:
        content = await read_all(stream.chunks, MAX_MANIFEST, manifest.config.digest)
    return parse_config(content).platform


def _descriptor(found: FetchedManifest, media_type: str) -> dict[str, Any]:
    document = json.loads(found.content)
    annotations = document.get("annotations")
    more = {"annotations": annotations} if isinstance(annotations, dict) else {}
    return {"mediaType": media_type, "digest": found.digest, "size": len(found.content), **more}


def _platform(platform: Platform) -> dict[str, str]:
    found = {"architecture": platform.architecture, "os": platform.os}
    return {**found, "variant": platform.variant} if platform.variant else found


class _Filter:
    """The filters of a search as one question. Raises: InvalidArgument in Docker's words."""

    def __init__(self, filters: Mapping[str, list[str]]) -> None:
        self._stars, self._flags = 0, dict[str, bool]()
        for name, values in filters.items():
            if name == "stars":
                self._stars = max(0, *map(_stars, values))
            elif name not in _FLAGS:
                raise InvalidArgument(f"invalid filter '{name}'")
            elif set(values) <= {"1", "true"}:
                self._flags[_FLAGS[name]] = True
            elif set(values) <= {"0", "false"}:
                self._flags[_FLAGS[name]] = False
            else:
                raise InvalidArgument(f"invalid filter '{name}=[{' '.join(values)}]'")

    def __call__(self, entry: Mapping[str, Any]) -> bool:
        return entry["star_count"] >= self._stars and all(entry[key] is on for key, on in self._flags.items())


def _stars(value: str) -> int:
    if value.isdecimal() and value.isascii() and len(value) <= 18:
        return int(value)
    raise InvalidArgument(f"invalid filter 'stars={value}': strconv.Atoi: parsing \"{value}\": invalid syntax")
