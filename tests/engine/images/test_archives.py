"""Archives between engines: what we write skopeo and umoci read, what they write we read, and digests stay."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import http.server
import json
import lzma
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from harness.daemon import Daemon
from harness.images import (
    HOST_ARCH,
    OCI_INDEX,
    Entry,
    busybox_image,
    digest,
    docker_archive,
    image_config,
    layer_tar,
    oci_archive,
    oci_image,
    packaged_program,
)
from harness.registry import skopeo

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as engine:
        yield engine


@pytest.fixture(autouse=True)
def empty(daemon: Daemon) -> Iterator[None]:
    yield
    daemon.remove_all()
    daemon.api("POST", "/images/prune?filters=%7B%22dangling%22:%5B%22false%22%5D%7D")


def umoci(*args: str) -> str:
    done = subprocess.run(
        [packaged_program("umoci", "usr/bin/umoci"), *args], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(daemon: Daemon) -> dict[str, str]:
    found = daemon.api("GET", "/images/json?all=1").body
    return {tag: image["Id"] for image in found for tag in image["RepoTags"] or ()}


def two_images(tmp_path: Path) -> str:
    """An OCI archive of two images that share a layer."""
    base = layer_tar([Entry("etc/", kind="dir"), Entry("etc/one", b"1" * 3000)])
    upper = layer_tar([Entry("etc/.wh.one"), Entry("two", b"2", mode=0o4755, uid=7)])
    path = f"{tmp_path}/two.tar"
    oci_archive(path, {"t/one:1": oci_image([base]), "t/two:1": oci_image([base, upper], compression="zstd")})
    return path


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_skopeo_reads_what_is_saved(daemon: Daemon, tmp_path: Path, kind: str) -> None:
    daemon.docker("load", "-q", "-i", two_images(tmp_path))
    whole = ids(daemon)
    daemon.docker("save", "-o", f"{tmp_path}/saved.tar", "t/one:1")
    source = f"{kind}:{tmp_path}/saved.tar"
    config = skopeo("inspect", "--config", "--raw", source)
    skopeo("copy", "-q", source, f"docker-archive:{tmp_path}/back.tar:t/back:1")
    daemon.docker("load", "-q", "-i", f"{tmp_path}/back.tar")
    assert ids(daemon)["t/back:1"] == whole["t/one:1"]
    assert json.loads(config)["rootfs"]["type"] == "layers"


def test_a_manifest_keeps_its_digest_through_save_and_load(daemon: Daemon, tmp_path: Path) -> None:
    image = busybox_image()
    oci_archive(f"{tmp_path}/a.tar", {"docker.io/t/kept:1": image})
    daemon.docker("load", "-q", "-i", f"{tmp_path}/a.tar")
    daemon.docker("save", "-o", f"{tmp_path}/b.tar", "t/kept:1")
    skopeo("copy", "-q", "--preserve-digests", f"oci-archive:{tmp_path}/b.tar", f"dir:{tmp_path}/dir")
    assert Path(f"{tmp_path}/dir/manifest.json").read_bytes() == image.manifest
    daemon.docker("rmi", "t/kept:1")
    daemon.docker("load", "-q", "-i", f"{tmp_path}/b.tar")
    daemon.docker("save", "-o", f"{tmp_path}/c.tar", "t/kept:1")
    assert Path(f"{tmp_path}/b.tar").read_bytes() == Path(f"{tmp_path}/c.tar").read_bytes()


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_what_skopeo_writes_is_loaded(daemon: Daemon, tmp_path: Path, kind: str) -> None:
    image = busybox_image()
    oci_archive(f"{tmp_path}/a.tar", {"t/there:1": image})
    name = "docker.io/t/back:2"
    skopeo("copy", "-q", f"oci-archive:{tmp_path}/a.tar", f"{kind}:{tmp_path}/b.tar:{name}")
    said = daemon.docker("load", "-i", f"{tmp_path}/b.tar").out
    assert said == "Loaded image: t/back:2\n"
    assert ids(daemon) == {"t/back:2": image.config_digest}
    assert daemon.docker("run", "--rm", "t/back:2", "echo", "runs").out == "runs\n"


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor().compress,
}  # fmt: skip


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_archives(daemon: Daemon, tmp_path: Path, suffix: str) -> None:
    path = Path(two_images(tmp_path))
    packed = tmp_path / f"a.tar.{suffix}"
    packed.write_bytes(PACKERS[suffix](path.read_bytes()))
    lines = daemon.docker("load", "-i", str(packed)).lines
    assert lines == ["Loaded image: t/one:1", "Loaded image: t/two:1"]
    root = layer_tar([Entry("hello", b"there")])
    (tmp_path / f"fs.tar.{suffix}").write_bytes(PACKERS[suffix](root))
    daemon.docker("import", f"{tmp_path}/fs.tar.{suffix}", "t/imported:1")
    diff = daemon.api("GET", "/images/t/imported:1/json").body["RootFS"]["Layers"]
    assert diff == ["sha256:" + hashlib.sha256(root).hexdigest()]


def test_a_container_tells_the_manifest_of_its_image(daemon: Daemon, tmp_path: Path) -> None:
    image = busybox_image()
    oci_archive(f"{tmp_path}/a.tar", {"t/described:1": image})
    daemon.docker("load", "-q", "-i", f"{tmp_path}/a.tar")
    ident = daemon.docker("create", "--name", "described", "t/described:1").out.strip()
    platform = {"architecture": HOST_ARCH, "os": "linux"}
    expected = {
        "mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest), "platform": platform,
    }  # fmt: skip
    try:
        for version, found in (("1.51", expected), ("1.47", None)):
            listed = daemon.api("GET", f"/v{version}/containers/json?all=1").body
            listed = [entry for entry in listed if entry["Id"] == ident]
            inspected = daemon.api("GET", f"/v{version}/containers/{ident}/json").body
            assert [entry.get("ImageManifestDescriptor") for entry in (*listed, inspected)] == [found, found]
        for run in (daemon.docker, daemon.berth):
            out = run("ps", "-a", "--filter", f"id={ident}", "--format", "{{.Platform}} {{json .Platform}}").out
            assert out.split(" ")[0] == f"linux/{HOST_ARCH}" and json.loads(out.split(" ")[1]) == platform
    finally:
        daemon.docker("rm", "described")


def _extract(archive: str, folder: Path) -> None:
    folder.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", str(folder)], check=True)


def test_umoci_reads_what_is_saved_and_we_read_what_it_makes(daemon: Daemon, tmp_path: Path) -> None:
    oci_archive(f"{tmp_path}/a.tar", {"t/base:1": busybox_image()})
    daemon.docker("load", "-q", "-i", f"{tmp_path}/a.tar")
    daemon.docker("save", "-o", f"{tmp_path}/s.tar", "t/base:1")
    layout = tmp_path / "layout"
    _extract(f"{tmp_path}/s.tar", layout)
    assert umoci("list", "--layout", str(layout)).split() == ["1"]
    umoci("unpack", "--image", f"{layout}:1", f"{tmp_path}/bundle")
    root = tmp_path / "bundle/rootfs"
    assert os.readlink(root / "bin/ls") == "/bin/busybox" and os.stat(root / "home/user").st_uid == 1000
    (root / "made").write_bytes(b"by umoci")
    os.setxattr(root / "made", "user.note", b"kept")
    os.link(root / "made", root / "linked")
    (root / "var/www/index.html").unlink()
    umoci("repack", "--image", f"{layout}:2", f"{tmp_path}/bundle")
    umoci("config", "--image", f"{layout}:2", "--config.label", "by=umoci", "--config.workingdir", "/var")
    with tarfile.open(tmp_path / "l.tar", "w") as tar:
        tar.add(layout, ".")
    said = daemon.docker("load", "-i", f"{tmp_path}/l.tar").out
    ident = said.partition("sha256:")[2].strip().splitlines()
    images = {i["Id"]: i for i in daemon.api("GET", "/images/json?all=1").body}
    made = next(i for i, image in images.items() if (image["Labels"] or {}).get("by") == "umoci")
    look = "cat /made; stat -c %h /linked; ls /var/www; pwd"
    assert daemon.docker("run", "--rm", made, "sh", "-c", look).lines == ["by umoci2", "/var"], ident
    upper = daemon.api("GET", f"/images/{made}/json").body["GraphDriver"]["Data"]["UpperDir"]
    assert os.getxattr(f"{upper}/made", "user.note") == b"kept"


def test_import_with_words_and_export(daemon: Daemon, tmp_path: Path) -> None:
    root = layer_tar([Entry("bin/", kind="dir"), Entry("x", b"x", uid=9, pax={"SCHILY.xattr.user.k": "v"})])
    daemon.docker(
        "import", "-c", "ENV A=b", "-c", "CMD [\"/x\"]", "-c", "EXPOSE 80/tcp", "-c", "WORKDIR /w", "-c", "LABEL a=\"b c\"",
        "-m", "from nowhere", "--platform", "linux/arm64", "-", "t/imported:2", stdin=root,
    )  # fmt: skip
    image = daemon.api("GET", "/images/t/imported:2/json").body
    assert image["Architecture"] == "arm64" and image["Comment"] == "from nowhere"
    config = image["Config"]
    assert config["Env"] == ["A=b"] and config["Cmd"] == ["/x"] and config["WorkingDir"] == "/w"
    assert config["ExposedPorts"] == {"80/tcp": {}} and config["Labels"] == {"a": "b c"}
    refused = daemon.docker("import", "-c", "RUN x", "-", "t/no", stdin=root, check=False)
    assert refused.code == 1 and "is not a valid change command" in refused.err
    refused = daemon.docker("import", "-", "t/no", stdin=b"no tar at all, and long enough for one" * 50, check=False)
    assert refused.code == 1 and "t/no:latest" not in ids(daemon)
    daemon.docker("create", "--platform", "linux/arm64", "--name", "shown", "t/imported:2")
    exported = daemon.api("GET", "/containers/shown/export")
    assert exported.status == 200
    daemon.docker("export", "-o", f"{tmp_path}/e.tar", "shown")
    with tarfile.open(f"{tmp_path}/e.tar") as tar:
        member = tar.getmember("x")
        assert member.uid == 9 and member.pax_headers["SCHILY.xattr.user.k"] == "v"


def test_several_names_of_one_image_and_several_images(daemon: Daemon, tmp_path: Path) -> None:
    daemon.docker("load", "-q", "-i", two_images(tmp_path))
    daemon.docker("tag", "t/one:1", "t/one:again")
    daemon.docker("tag", "t/one:1", "localhost:5000/x/y:z")
    before = ids(daemon)
    daemon.docker(
        "save", "-o", f"{tmp_path}/s.tar", "t/one:1", "t/one:again", "localhost:5000/x/y:z", before["t/two:1"]
    )
    with tarfile.open(f"{tmp_path}/s.tar") as tar:
        content = tar.extractfile("manifest.json")
        assert content is not None
        entries = json.load(content)
    assert [entry["RepoTags"] for entry in entries] == [["t/one:1", "t/one:again", "localhost:5000/x/y:z"], []]
    daemon.docker("rmi", "-f", before["t/one:1"], before["t/two:1"])
    lines = daemon.docker("load", "-i", f"{tmp_path}/s.tar").lines
    assert sorted(lines) == sorted([
        "Loaded image: t/one:1", "Loaded image: t/one:again", "Loaded image: localhost:5000/x/y:z",
        f"Loaded image ID: {before['t/two:1']}",
    ])  # fmt: skip
    del before["t/two:1"]
    assert ids(daemon) == before


def test_an_old_docker_archive(daemon: Daemon, tmp_path: Path) -> None:
    """As Docker before 25 wrote them: a folder a layer, layers as links to each other."""
    layer = layer_tar([Entry("f", b"text")])
    diff = "sha256:" + hashlib.sha256(layer).hexdigest()
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff, diff]},
    }).encode()  # fmt: skip
    ident = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{ident}.json", "RepoTags": ["t/old:1"], "Layers": ["one/layer.tar", "two/layer.tar"]}]
    out = layer_tar([
        Entry("one/", kind="dir"), Entry("one/VERSION", b"1.0"), Entry("one/json", b"{}"), Entry("one/layer.tar", layer),
        Entry("two/", kind="dir"), Entry("two/layer.tar", kind="symlink", target="../one/layer.tar"),
        Entry(f"{ident}.json", config), Entry("manifest.json", json.dumps(manifest).encode()),
        Entry("repositories", b'{"t/old":{"1":"two"}}'),
    ])  # fmt: skip
    assert daemon.docker("load", "-q", stdin=out).out == "Loaded image: t/old:1\n"
    assert ids(daemon) == {"t/old:1": f"sha256:{ident}"}


class _Files(http.server.BaseHTTPRequestHandler):
    content = b""

    def do_GET(self) -> None:
        found = self.path == "/fs.tar"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(self.content if found else b"nothing")

    def log_message(self, *_: object) -> None:
        pass


def test_import_from_a_url(daemon: Daemon) -> None:
    _Files.content = layer_tar([Entry("x", b"x")])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"127.0.0.1:{server.server_address[1]}"
        for number, client in enumerate((daemon.docker, daemon.berth)):
            lines = client("import", f"http://{where}/fs.tar", f"t/url:{number}").lines
            assert lines[0] == f"Downloading from http://{where}/fs.tar" and lines[-1].startswith("sha256:")
        assert daemon.api("GET", "/images/t/url:1/json").body["Comment"] == f"Imported from http://{where}/fs.tar"
        refused = daemon.docker("import", f"http://{where}/other.tar", "t/no", check=False)
        assert refused.code == 1 and "status 404" in refused.err
        server.shutdown()
    refused = daemon.docker("import", f"http://{where}/fs.tar", "t/no", check=False)
    assert refused.code == 1 and "error downloading" in refused.err
    assert "file:///etc/passwd: only http and https" in str(
        daemon.api("POST", "/images/create?fromSrc=file:///etc/passwd")
    )
    assert sorted(ids(daemon)) == ["t/url:0", "t/url:1"]


def _two_platforms(tmp_path: Path) -> str:
    """An index of an image for this machine and one for another, as an OCI archive."""
    ours = oci_image([layer_tar([Entry("here", b"1")])], {"Cmd": ["here"]})
    other = oci_image([layer_tar([Entry("there", b"22")])], {"Cmd": ["there"]}, arch="s390x")
    entries = [
        {
            "mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest),
            "platform": {"os": "linux", "architecture": json.loads(image.blobs[image.config_digest])["architecture"]},
        }
        for image in (ours, other)
    ]  # fmt: skip
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    blobs = {
        **ours.blobs,
        **other.blobs,
        ours.digest: ours.manifest,
        other.digest: other.manifest,
        digest(index): index,
    }
    top = {
        "mediaType": OCI_INDEX, "digest": digest(index), "size": len(index),
        "annotations": {"io.containerd.image.name": "docker.io/t/multi:1"},
    }  # fmt: skip
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    files |= {"blobs/" + key.replace(":", "/"): blob for key, blob in blobs.items()}
    path = tmp_path / "multi.tar"
    path.write_bytes(layer_tar(Entry(name, content) for name, content in files.items()))
    return str(path)


def test_one_platform_of_several(daemon: Daemon, tmp_path: Path) -> None:
    daemon.docker("load", "-q", "-i", _two_platforms(tmp_path))
    for client in (daemon.docker, daemon.berth):
        shown = client(
            "image", "inspect", "--platform", "linux/s390x", "-f", "{{.Architecture}} {{.Config.Cmd}}", "t/multi:1"
        )
        assert shown.out == "s390x [there]\n"
        history = client("history", "--platform", "linux/s390x", "--format", "{{.Size}}", "t/multi:1")
        assert history.lines == ["2B"]
        for command in (("image", "inspect"), ("history",), ("rmi",)):
            refused = client(*command, "--platform", "linux/riscv64", "t/multi:1", check=False)
            assert refused.code == 1, command
            assert "t/multi:1 was found but does not provide the specified platform (linux/riscv64)" in refused.err
    daemon.docker("create", "--name", "keeps", "--platform", "linux/s390x", "t/multi:1")
    refused = daemon.docker("rmi", "--platform", "linux/s390x", "t/multi:1", check=False)
    assert refused.code == 1 and "image is being used by stopped container" in refused.err
    daemon.docker("rm", "keeps")
    removed = daemon.berth("rmi", "--platform", "linux/s390x", "t/multi:1").lines
    assert len(removed) == 2 and all(line.startswith("Deleted: sha256:") for line in removed)
    assert daemon.docker("image", "inspect", "-f", "{{.Config.Cmd}}", "t/multi:1").out == "[here]\n"
    assert daemon.docker("rmi", "t/multi:1").lines[0] == "Untagged: t/multi:1"
    assert daemon.api("GET", "/images/json?all=1").body == []


def test_inspect_tells_what_old_builders_wrote(daemon: Daemon, tmp_path: Path) -> None:
    layer = layer_tar([Entry("x", b"x")])
    document = json.loads(image_config([layer]))
    document |= {"comment": "note", "docker_version": "19.03", "author": "me", "os.version": "10.1"}
    ident = docker_archive(f"{tmp_path}/o.tar", ["t/o:1"], [layer], raw_config=json.dumps(document).encode())
    daemon.docker("load", "-q", "-i", f"{tmp_path}/o.tar")
    shown = daemon.api("GET", f"/images/{ident}/json").body
    assert [shown[key] for key in ("Comment", "DockerVersion", "Author", "OsVersion")] == [
        "note",
        "19.03",
        "me",
        "10.1",
    ]


def test_intermediate_images_are_shown_with_all_only(daemon: Daemon) -> None:
    daemon.load_busybox()
    first = daemon.docker("commit", daemon.docker("create", "busybox").out.strip()).out.strip()
    daemon.docker("commit", daemon.docker("create", first).out.strip(), "t/top")
    assert first not in daemon.docker("images", "-q", "--no-trunc").lines
    assert first in daemon.docker("images", "-aq", "--no-trunc").lines
