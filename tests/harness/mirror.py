"""A frozen package mirror on the disk, served as a file: URL.

``debian_mirror`` holds Debian's own packages (fetched once into the tests' cache from the archive that the host's apt uses); its
lists and its signature are the tests' own. ``write_mirror`` makes one of any packages.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
from collections.abc import Iterable, Mapping

from berth.bootstrap import fetch, release, resolve, sources
from berth.bootstrap.packages import Package, parse_packages
from harness import signing

_CACHE = os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache")
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
DATE = "Sat, 03 Jan 2026 04:05:06 UTC"


def write_mirror(root: str, suite: str, packages: Mapping[str, bytes], *, date: str = DATE) -> str:
    """``packages``: Packages paragraphs by component. Returns the mirror's URL."""
    lines = [f"Origin: Tests\nSuite: {suite}\nCodename: {suite}\nVersion: 1.0\nDate: {date}"]
    lines += [f"Architectures: {ARCHITECTURE}", f"Components: {' '.join(packages)}", "SHA256:"]
    for component, text in packages.items():
        path = f"{component}/binary-{ARCHITECTURE}/Packages.xz"
        content = lzma.compress(text)
        os.makedirs(os.path.dirname(f"{root}/dists/{suite}/{path}"), exist_ok=True)
        with open(f"{root}/dists/{suite}/{path}", "wb") as out:
            out.write(content)
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {path}")
    with open(f"{root}/dists/{suite}/InRelease", "wb") as out:
        out.write(signing.sign("\n".join(lines)))
    with open(f"{root}/key.gpg", "wb") as out:
        out.write(signing.keyring())
    return f"file://{root}"


def debian_mirror(root: str, suite: str = "bookworm") -> str:
    """What Debian's ``suite`` has of a base image's packages. Returns the mirror's URL."""
    chosen = _select(suite)
    os.makedirs(f"{root}/pool", exist_ok=True)
    for package in chosen:
        kept = f"{_CACHE}/packages/{package.sha256}"
        shutil.copyfile(kept, f"{root}/pool/{package.file}")
    paragraphs = "\n".join(_paragraph(package) for package in chosen)
    return write_mirror(root, suite, {"main": paragraphs.encode()})


def _select(suite: str) -> list[Package]:
    source = sources.sources(sources.parse_wanted("debian", suite), ARCHITECTURE, "", ())[0]
    found = release.read_release(source, None)
    every = [p for text in release.read_packages(found, ARCHITECTURE) for p in parse_packages(text, source.uri)]
    chosen = resolve.Archive(every).select([])
    _fetch(chosen)
    return chosen


def _fetch(packages: Iterable[Package]) -> None:
    os.makedirs(f"{_CACHE}/packages", exist_ok=True)
    wishes = []
    for package in packages:
        path = f"{_CACHE}/packages/{package.sha256}"
        if not os.path.exists(path):
            wishes.append(fetch.Wish(package.url, f"{path}.{os.getpid()}.tmp", package.size, package.sha256))
    fetch.download(wishes, lambda _count: None)
    for wish in wishes:
        os.rename(wish.path, wish.path.removesuffix(f".{os.getpid()}.tmp"))


def _paragraph(package: Package) -> str:
    fields = {
        "Package": package.name,
        "Version": package.version,
        "Priority": package.priority,
        "Essential": "yes" if package.essential else "",
        "Depends": ", ".join(" | ".join(group) for group in package.depends),
        "Provides": ", ".join(package.provides),
        "Filename": f"pool/{package.file}",
        "Size": str(package.size),
        "SHA256": package.sha256,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
