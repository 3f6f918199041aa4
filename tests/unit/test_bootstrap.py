"""The parts of ``image bootstrap`` that need no engine."""

from __future__ import annotations

import io
import itertools
import tarfile
from pathlib import Path

import pytest

from berth.base.errors import DataLoss, InvalidArgument, NotFound
from berth.bootstrap import openpgp, sources
from berth.bootstrap.layer import normalise
from berth.bootstrap.packages import Package, is_newer, parse_packages
from berth.bootstrap.resolve import Archive
from berth.bootstrap.tree import Tree
from harness import signing
from harness.images import Entry, layer_tar


def test_versions_are_ordered_as_debian_orders_them() -> None:
    ascending = (
        "1.0~~ 1.0~rc1-1 1.0 1.0-1 1.0-1+b1 1.0-1+deb12u2 1.0-1+deb12u10 1.0a 1.0+x 1.0.1 1.10 2 10 1:0.1".split()
    )
    for low, high in itertools.combinations(ascending, 2):
        assert is_newer(high, low) and not is_newer(low, high), (low, high)
    assert not is_newer("1.0", "1.0")


def _package(name: str, depends: str = "", **fields: object) -> Package:
    text = f"Package: {name}\nVersion: 1\nDepends: {depends}\nFilename: f\nSize: 1\nSHA256: 0\n"
    return next(parse_packages(text, "u"))._replace(**fields)  # type: ignore[arg-type]


def test_selection_follows_dependencies_and_alternatives() -> None:
    archive = Archive(
        [
            _package("base", "libc:any (>= 2) | other, awk", essential=True), _package("libc"), _package("other"),
            _package("mawk", provides=("awk",)), _package("gawk", provides=("awk",), priority="required"),
            _package("apt", "usrmerge | usr-is-merged, libc"), _package("usrmerge"), _package("usr-is-merged"),
            _package("vim", "gone | libvim"), _package("libvim"), _package("libc", version="0.9"),
        ]
    )  # fmt: skip
    assert [p.name for p in archive.select([])] == ["apt", "base", "gawk", "libc", "usr-is-merged"]
    assert [p.version for p in archive.select([]) if p.name == "libc"] == ["1"]
    assert "libvim" in [p.name for p in archive.select(["vim"])]
    with pytest.raises(NotFound, match='"emacs"'):
        archive.select(["emacs"])
    with pytest.raises(DataLoss, match="broken entry"):
        list(parse_packages("Package: ../../x\nVersion: 1\nFilename: f\nSize: 1\nSHA256: 0\n", "u"))


def test_signatures() -> None:
    keys = openpgp.read_keyring(signing.keyring())
    assert list(keys) == [signing.FINGERPRINT[-16:]]
    text = "Origin: x \n- a dash\n\nlast"
    content = signing.sign(text)
    assert openpgp.verify_cleartext(content, keys) == (text.encode(), signing.FINGERPRINT)
    for broken in (
        content.replace(b"Origin", b"Orugin"), content.replace(b"last", b"last\nmore"), b"first\n" + content, b"plain",
    ):  # fmt: skip
        with pytest.raises(DataLoss):
            openpgp.verify_cleartext(broken, keys)
    with pytest.raises(DataLoss, match="none of the keys"):
        openpgp.verify_cleartext(content, {})
    with pytest.raises(InvalidArgument):
        openpgp.read_keyring(b"\x99\xff")


def test_debians_own_signatures_are_understood() -> None:
    ring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not ring.exists():
        pytest.skip("this is no Debian: it has no keyring of the archive's")
    assert len(openpgp.read_keyring(ring.read_bytes())) >= 4


def test_a_name_says_suite_and_variant() -> None:
    wanted = sources.parse_wanted
    assert wanted("debian", "12") == ("debian", "bookworm", "minbase")
    assert wanted("example.com/debian", "trixie-slim") == ("debian", "trixie", "slim")
    assert wanted("ubuntu", "24.04", "slim") == ("ubuntu", "noble", "slim")
    assert wanted("debian", "latest").suite == "stable"


def test_the_hosts_archive_is_used(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://old/debian x main\ndeb [arch=amd64] https://a.example/debian/ x main\n"
    )
    (tmp_path / "sources.list.d/s.sources").write_text(
        "Types: deb\nURIs: http://b.example/debian-security\nSuites: x\n"
    )
    assert sources._configured("debian", str(tmp_path)) == "https://a.example/debian"
    assert sources._configured("debian-security", str(tmp_path)) == "http://b.example/debian-security"
    assert sources._configured("ubuntu", str(tmp_path)) == ""
    frozen = sources.Source("http://127.0.0.1:99/m", "x", ("main",))
    assert sources.public(frozen, "debian", "amd64").uri == "http://deb.debian.org/debian"
    assert sources.public(frozen, "ubuntu", "arm64").uri == "http://ports.ubuntu.com/ubuntu-ports"


def _layer(entries: list[Entry], began_s: int = 5000) -> tuple[bytes, str]:
    out = io.BytesIO()
    diff_id = normalise(io.BytesIO(layer_tar(entries)), out, 1000, began_s)
    return out.getvalue(), diff_id


def test_a_layer_depends_on_its_content_alone() -> None:
    entries = [
        Entry("etc/", kind="dir", mtime=2000),
        Entry("etc/z", b"text", uid=7, mtime=500),
        Entry("etc/a", kind="hardlink", target="etc/z"),
        Entry("usr/x", b"new", mtime=9999, pax={"SCHILY.xattr.security.capability": "cap"}),
        Entry("l", kind="symlink", target="etc"),
        Entry("var/log/apt/", kind="dir"),
        Entry("var/cache/apt/archives/partial/", kind="dir"),
    ]
    left_out = (
        "etc/machine-id etc/passwd- var/log/dpkg.log dev/console var/cache/apt/archives/x.deb var/lib/dpkg/status-old"
    )
    entries += [Entry(name, b"x") for name in left_out.split()]
    first, diff_id = _layer(entries)
    later = [entries[0]._replace(mtime=2500), *entries[1:3], entries[3]._replace(mtime=8000), *entries[4:]]
    assert _layer(later) == (first, diff_id)
    assert (
        _layer(
            [later[0], later[1]._replace(path="etc/a"), later[2]._replace(path="etc/z", target="etc/a"), *later[3:]]
        )[1]
        == diff_id
    )
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        found = {member.name: member for member in tar}
        assert list(found) == ["etc", "etc/a", "etc/z", "l", "usr/x", "var/cache/apt/archives/partial", "var/log/apt"]
        assert found["etc/z"].linkname == "etc/a" and found["etc/a"].mtime == 500 and found["etc/a"].uid == 7
        assert found["usr/x"].mtime == found["etc"].mtime == 1000
        assert found["usr/x"].pax_headers == {"SCHILY.xattr.security.capability": "cap"}


def test_packages_are_unpacked_below_usr(tmp_path: Path) -> None:
    data = layer_tar([
        Entry("./", kind="dir"), Entry("./bin/", kind="dir"), Entry("./bin/sh", kind="symlink", target="dash"),
        Entry("./bin/dash", b"#!"), Entry("./lib/x", kind="hardlink", target="./bin/dash"),
        Entry("./usr/share/doc/p/", kind="dir"), Entry("./usr/share/doc/p/README", b"r"),
        Entry("./usr/share/doc/p/copyright", b"c"),
        Entry("./usr/share/base-passwd/passwd.master", b"root:*:0:0:::\n"),
    ])  # fmt: skip
    head = f"{'data.tar':<16}{0:<12}{0:<6}{0:<6}{0o100644:<8o}{len(data):<10}`\n".encode()
    (tmp_path / "p.deb").write_bytes(b"!<arch>\n" + head + data)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        Tree(tar, ("usr/share/doc/",), ("/copyright",)).unpack(f"{tmp_path}/p.deb")
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        names = {member.name: member.linkname for member in tar}
    assert names == {
        "usr/bin/sh": "dash", "usr/bin/dash": "", "usr/lib/x": "usr/bin/dash", "usr/share/doc/p/copyright": "",
        "etc/passwd": "", "usr/share/base-passwd/passwd.master": "",
    }  # fmt: skip
    (tmp_path / "p.deb").write_bytes(b"nonsense")
    with pytest.raises(DataLoss, match="no Debian package"):
        Tree(tarfile.TarFile(fileobj=io.BytesIO(), mode="w")).unpack(f"{tmp_path}/p.deb")
