"""Files that a base image has beyond its packages: apt's sources, and settings that suit layers instead of machines.

The names of the settings' files are those of the images on Docker Hub, since Dockerfiles remove or replace them by name.
"""

from __future__ import annotations

from collections.abc import Iterable

from berth.bootstrap.sources import Source, Wanted, keyring

SLIM_OUT = tuple(
    f"usr/share/{name}/" for name in ("doc", "doc-base", "groff", "info", "linda", "lintian", "locale", "man")
)
SLIM_KEPT = ("/copyright", "/locale.alias")

_CLEAN = "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"
_SETTINGS = {
    "usr/sbin/policy-rc.d": "#!/bin/sh\n# no service starts because its package is installed\nexit 101\n",
    "etc/apt/apt.conf.d/docker-clean": (
        f'DPkg::Post-Invoke {{ "{_CLEAN}"; }};\nAPT::Update::Post-Invoke {{ "{_CLEAN}"; }};\n'
        'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
    ),
    "etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
    "etc/apt/apt.conf.d/docker-gzip-indexes": (
        'Acquire::GzipIndexes "true";\nAcquire::CompressionTypes::Order:: "gz";\n'
    ),
    "etc/apt/apt.conf.d/docker-autoremove-suggests": 'Apt::AutoRemove::SuggestsImportant "false";\n',
    "etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
}


def settings(wanted: Wanted, sources: Iterable[Source]) -> dict[str, bytes]:
    """Path → content."""
    files = {name: text.encode() for name, text in _SETTINGS.items()}
    files[f"etc/apt/sources.list.d/{wanted.distribution}.sources"] = _sources(wanted, sources).encode()
    if wanted.variant == "slim":
        lines = [f"path-exclude /{prefix}*\n" for prefix in SLIM_OUT] + [
            f"path-include /usr/share/*{k}\n" for k in SLIM_KEPT
        ]
        files["etc/dpkg/dpkg.cfg.d/docker"] = "".join(lines).encode()
    return files


def _sources(wanted: Wanted, sources: Iterable[Source]) -> str:
    """deb822 paragraphs, one an archive."""
    by_archive: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for source in sources:
        by_archive.setdefault((source.uri, source.components), []).append(source.suite)
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {' '.join(suites)}\nComponents: {' '.join(components)}\n"
        f"Signed-By: {keyring(wanted.distribution)}\n"
        for (uri, components), suites in by_archive.items()
    )
