"""``image bootstrap``: base images from a package mirror, with no registry and no help of the host's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import mirror
from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield mirror.debian_mirror(str(tmp_path_factory.mktemp("mirror")))


def _bootstrap(engine: Daemon, url: str, *words: str, **how: object) -> object:
    keyring = f"{url.removeprefix('file://')}/key.gpg"
    return engine.berth("image", "bootstrap", "--mirror", url, "--keyring", keyring, *words, timeout_s=170, **how)  # type: ignore[arg-type]


@pytest.mark.timeout(300)
def test_two_runs_on_one_mirror_give_one_image_that_works(
    engine: Daemon, frozen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767412800")
    before = engine.api("GET", "/images/json?all=1").body
    try:
        first = _bootstrap(engine, frozen, "debian:bookworm")
        assert [line for line in first.lines if "Downloading" in line] and "bookworm: Installing" in first.lines  # type: ignore[attr-defined]
        image = engine.api("GET", "/images/debian:bookworm/json").body
        _check_config(image)
        _check_inside(engine)
        engine.docker("rmi", "debian:bookworm")
        second = _bootstrap(engine, frozen, "-q", "debian:bookworm")
        assert second.out.strip() == image["Id"] and image["Id"] in first.out  # type: ignore[attr-defined]
    finally:
        engine.docker("rmi", "-f", "debian:bookworm", check=False)
    assert engine.api("GET", "/images/json?all=1").body == before


def _check_config(image: dict[str, object]) -> None:
    assert image["Created"] == "2026-01-03T04:00:00Z"
    config = image["Config"]
    assert isinstance(config, dict) and config["Cmd"] == ["bash"]
    assert config["Env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    assert len(image["RootFS"]["Layers"]) == 1  # type: ignore[index]


_LOOK = """
apt-get --version | head -n 1
. /etc/os-release && echo $ID $VERSION_CODENAME
dpkg-query --show --showformat='${db:Status-Abbrev}\\n' | sort -u
test -e /etc/machine-id && echo machine-id
find /var/log /var/cache/apt /var/lib/apt/lists /var/cache/bootstrap -type f 2>/dev/null
readlink /bin /etc/alternatives/awk
cat /etc/apt/sources.list.d/debian.sources
su www-data -s /bin/sh -c id
find / -xdev -newermt @1767412800 -type f ! -path '/etc/host*' ! -path /etc/resolv.conf ! -name .dockerenv
"""


def _check_inside(engine: Daemon) -> None:
    seen = engine.docker("run", "--rm", "--network", "none", "debian:bookworm", "sh", "-c", _LOOK).lines
    assert seen[0].startswith("apt 2.")
    assert seen[1:5] == ["debian bookworm", "ii ", "usr/bin", "/usr/bin/mawk"]
    assert seen[5:] == [
        "Types: deb", "URIs: http://deb.debian.org/debian", "Suites: bookworm", "Components: main",
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
        "uid=33(www-data) gid=33(www-data) groups=33(www-data)",
    ]  # fmt: skip


def _tiny(root: Path, **fields: str) -> str:
    """A mirror whose one package has ``fields``; its file is no package."""
    root.mkdir(exist_ok=True)
    (root / "x.deb").write_bytes(b"nonsense")
    known = {"Package": "apt", "Version": "1", "Essential": "yes", "Filename": "x.deb", "Size": "8", "SHA256": "0" * 64}
    text = "".join(f"{name}: {value}\n" for name, value in {**known, **fields}.items())
    return mirror.write_mirror(str(root), "bookworm", {"main": text.encode()})


def test_what_cannot_be_made_is_said(engine: Daemon, tmp_path: Path) -> None:
    url = _tiny(tmp_path / "m", Depends="libfoo (>= 2)")
    for words, sentence in (
        (("debian:nosuch",), f'the mirror {url} has no suite "nosuch"'),
        (("fedora:40",), 'no package archive is known for "fedora": bootstrap makes debian and ubuntu images'),
        (("debian:../x",), 'invalid reference format'),
        (("debian:bookworm", "--variant", "fat"), 'there is no variant "fat": minbase and slim are there'),
        (("debian:bookworm",), 'the suite has no package "libfoo", which apt needs'),
        (("debian:bookworm", "--include", "vim"), 'the suite has no package "vim"'),
        (("debian:bookworm", "--components", "contrib"), 'has no packages of component "contrib"'),
        (("debian:bookworm", "--keyring", "/nowhere.gpg"), "the keyring /nowhere.gpg is not there"),
        (("debian:bookworm", "--mirror", "ftp://x"), '"ftp://x/dists/bookworm/InRelease" is no http, https or file URL'),
        (("debian:bookworm", "--mirror", "http://127.0.0.1:1"), "Connection refused"),
    ):  # fmt: skip
        refused = _bootstrap(engine, url, *words, check=False)
        assert refused.code == 1 and sentence in refused.err, (words, refused)  # type: ignore[attr-defined]
    assert engine.docker("images", "-aq", "debian").out == ""


def test_only_what_was_signed_is_believed(engine: Daemon, tmp_path: Path) -> None:
    url = _tiny(tmp_path / "m")
    refused = _bootstrap(engine, url, "debian:bookworm", check=False)
    assert "x.deb is not what the archive's index names" in refused.err  # type: ignore[attr-defined]

    index = tmp_path / f"m/dists/bookworm/main/binary-{mirror.ARCHITECTURE}/Packages.xz"
    honest = index.read_bytes()
    index.write_bytes(honest[:-1] + b"!")
    refused = _bootstrap(engine, url, "debian:bookworm", check=False)
    assert "Packages.xz is not what the Release file names" in refused.err  # type: ignore[attr-defined]
    index.write_bytes(honest)

    signed = tmp_path / "m/dists/bookworm/InRelease"
    signed.write_bytes(signed.read_bytes().replace(b"Version: 1.0", b"Version: 1.1"))
    refused = _bootstrap(engine, url, "debian:bookworm", check=False)
    assert "is wrong: the file was changed" in refused.err  # type: ignore[attr-defined]
    strangers = "/usr/share/keyrings/debian-archive-keyring.gpg"
    if os.path.exists(strangers):
        refused = _bootstrap(engine, url, "debian:bookworm", "--keyring", strangers, check=False)
        assert "none of the keys that signed it is in the keyring" in refused.err  # type: ignore[attr-defined]


def test_a_package_that_does_not_install_is_told_with_its_last_words(engine: Daemon, tmp_path: Path) -> None:
    """The container's image has no shell at all here: the engine's own error comes through, and nothing stays."""
    root = tmp_path / "m"
    root.mkdir()
    package = _empty_deb()
    import hashlib

    url = _tiny(root, Size=str(len(package)), SHA256=hashlib.sha256(package).hexdigest())
    (root / "x.deb").write_bytes(package)
    before = engine.api("GET", "/images/json?all=1").body
    refused = _bootstrap(engine, url, "debian:bookworm", check=False)
    assert refused.code == 1 and "/bin/sh" in refused.err  # type: ignore[attr-defined]
    assert engine.api("GET", "/images/json?all=1").body == before
    assert json.loads(json.dumps(engine.api("GET", "/containers/json?all=1").body)) == []


def _empty_deb() -> bytes:
    def part(name: str, content: bytes) -> bytes:
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content):<10}`\n".encode()
        return head + content + b"\n" * (len(content) % 2)

    return (
        b"!<arch>\n"
        + part("debian-binary", b"2.0\n")
        + part("control.tar", bytes(1024))
        + part("data.tar", bytes(1024))
    )
