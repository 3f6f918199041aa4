"""Flags and daemon.json: dockerd's keys, dockerd's sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import berth
from berth.base.errors import InvalidArgument
from berth.daemon import configure
from berth.daemon.configure import load, reread
from berth.daemon.host import cgroup_driver
from berth.daemon.settings import BY_FLAG, BY_KEY, FILE_KEYS, SETTINGS

SOURCE = Path(berth.__file__).parent


def write(tmp_path: Path, **keys: Any) -> str:
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps(keys))
    return str(path)


def refusal(*argv: str) -> str:
    with pytest.raises(InvalidArgument) as caught:
        load(list(argv))
    return caught.value.message


DOCKERD = json.loads((Path(__file__).parent.parent / "golden" / "dockerd_settings.json").read_text())
"""Flags and keys that dockerd of the version in ``engine`` knows: tests/golden/capture_settings.py."""
OWN_PARSERS = ("help", "version", "validate", "config-file")
KINDS = {
    "string": "str", "ip": "str", "bool": "bool", "int": "int", "bytes": "size", "list": "list", "ipSlice": "list",
    "pool-options": "list", "map": "map", "mapmap": "options", "runtime": "runtimes", "ulimit": "ulimits",
}  # fmt: skip
_OTHER = {"bool": True, "int": 7, "list": ["x"], "str": "x", "map": {"x": "y"}}
MEANS_NOTHING = {
    "raw-logs",
    "ip-forward-no-drop",
    "feature",
}  # taken: it is so anyway, or switches parts of dockerd's own


@pytest.mark.parametrize("flag", sorted(set(DOCKERD["flags"]) - set(OWN_PARSERS)))
def test_every_flag_of_dockerd_works_or_is_named_with_the_reason(flag: str, tmp_path: Path) -> None:
    setting = BY_FLAG[flag]
    assert (setting.kind, setting.short) == (KINDS[DOCKERD["flags"][flag]["kind"]], DOCKERD["flags"][flag]["short"])
    if not setting.reason:
        sources = [path.read_text() for path in SOURCE.rglob("*.py") if path.name != "settings.py"]
        assert flag in MEANS_NOTHING or any(f'"{flag}"' in text for text in sources), "nobody reads it"
        return
    value = next(v for v in (_OTHER[setting.kind], False, "y") if v not in setting.accepts and v != setting.default)
    said = refusal("--config-file", write(tmp_path, **{setting.key: value}))
    assert setting.key in said and f"is not supported: {setting.reason}" in said


@pytest.mark.parametrize("key", DOCKERD["keys"])
def test_every_key_of_its_file_is_known(key: str, tmp_path: Path) -> None:
    if key in BY_KEY:
        setting = BY_KEY[key]
        assert load(["--config-file", _file_with(tmp_path, key, setting.default)])[setting.flag] == setting.default
    elif key == "host-gateway-ip":
        assert load(["--config-file", write(tmp_path, **{key: "10.9.8.7"})])["host-gateway-ip"] == ["10.9.8.7"]
    elif FILE_KEYS[key].ignored:
        assert load(["--config-file", write(tmp_path, **{key: ["x"]})]).ignored == (f"{key}: {FILE_KEYS[key].reason}",)
    else:
        said = refusal("--config-file", write(tmp_path, **{key: {"x": 1}}))
        assert said.startswith(f"{key} in {tmp_path}/daemon.json: map[x:1] is not supported: {FILE_KEYS[key].reason}")
        for value in FILE_KEYS[key].inert:
            assert load(["--config-file", write(tmp_path, **{key: value})]).ignored == ()


def _file_with(tmp_path: Path, key: str, value: Any) -> str:
    inner = {key: {} if value == [] and key == "default-ulimits" else value}
    return write(tmp_path, **({"proxies": inner} if key in ("http-proxy", "https-proxy", "no-proxy") else inner))


def test_features_are_taken_and_named(tmp_path: Path) -> None:
    settings = load(["--config-file", write(tmp_path, features={"cdi": True})])
    assert settings["feature"] == {"cdi": True} and settings.ignored == ("features.cdi: nothing here depends on it",)


def test_what_is_both_a_flag_and_in_the_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, debug=False, labels=["a=b", "c=d"])
    assert refusal("--config-file", path, "--debug", "--label", "e=f") == (
        f"unable to configure the Docker daemon with file {path}: the following directives are specified both as a flag and "
        "in the configuration file: debug: (from flag: true, from file: false), "
        "label: (from flag: [e=f], from file: [a=b c=d])"
    )


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, nonsense=1, debug=True)
    assert refusal("--config-file", path) == (
        f"unable to configure the Docker daemon with file {path}: the following directives don't match any configuration "
        "option: nonsense"
    )


def test_proxies_are_an_object_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, proxies={"http-proxy": "http://p:1", "no-proxy": "a,b"})
    settings = load(["--config-file", path])
    assert (settings["http-proxy"], settings["https-proxy"], settings["no-proxy"]) == ("http://p:1", "", "a,b")
    assert "don't match any configuration option: ftp-proxy" in refusal(
        "--config-file", write(tmp_path, proxies={"ftp-proxy": "x"})
    )
    assert "proxies must be a map" in refusal("--config-file", write(tmp_path, proxies=["x"]))


def test_what_is_not_supported_is_named_with_the_reason(tmp_path: Path) -> None:
    path = write(tmp_path, **{"authorization-plugins": ["x"]})
    assert refusal("--config-file", path) == (
        f"authorization-plugins in {path}: [x] is not supported: no plugin is asked whether a request may pass: "
        "TLS client certificates and the socket's group say who may"
    )
    assert refusal("--iptables=false").startswith("--iptables: false is not supported: ")
    assert load(["--iptables=true", "--exec-opt", "native.cgroupdriver=cgroupfs"])["iptables"] is True


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.reason], ids=lambda s: s.flag)
def test_inert_values_of_what_is_not_supported_are_taken(setting: Any, tmp_path: Path) -> None:
    for value in setting.accepts:
        assert load(["--config-file", write(tmp_path, **{setting.key: value})])[setting.flag] == value


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"debug": "yes"}, "debug must be a bool, not 'yes'"),
        ({"mtu": True}, "mtu must be a int, not True"),
        ({"labels": ["x"]}, "bad attribute format: x"),
        ({"labels": ["a=1", "a=2"]}, "conflict labels for a=a=1, a=2"),
        ({"labels": [1]}, "labels must be a list of strings"),
        ({"default-ulimits": {"nofile": 5}}, "default-ulimits.nofile must be"),
        ({"log-level": "loud"}, "invalid log level: 'loud'"),
        ({"storage-driver": "btrfs"}, "driver not supported: btrfs"),
        ({"max-concurrent-downloads": -1}, "invalid max concurrent downloads: -1"),
        ({"max-download-attempts": 0}, "invalid max download attempts: 0"),
        ({"default-shm-size": "much"}, "invalid size: 'much'"),
        ({"hosts": ["here"]}, "--host 'here'"),
        ({"hosts": ["tcp://1.2.3.4:99999999"]}, "write tcp://address:port"),
        ({"hosts": ["tcp://127.0.0.1:2375"]}, "without TLS: whoever reaches it is root"),
        ({"host-gateway-ips": ["1.2.3.4", "::1", "5.6.7.8"]}, "only one IPv4 host gateway IP address can be specified"),
        ({"host-gateway-ip": "1.2.3.4", "host-gateway-ips": ["::1"]}, "must not both be specified in the config file"),
        ({"host-gateway-ips": ["x"]}, "--host-gateway-ip: invalid IP address: x"),
        ({"dns": ["x"]}, "--dns: invalid IP address: x"),
        ({"ip": "x"}, "--ip: invalid IP address: x"),
        ({"registry-mirrors": ["ftp://x"]}, 'invalid mirror: unsupported scheme "ftp" in "ftp://x"'),
        ({"registry-mirrors": ["https://x/?a"]}, "invalid mirror: query or fragment at end of the URI"),
        ({"features": {"x": "y"}}, "features.x: 'y': write true or false"),
        ({"default-ipc-mode": "host"}, "invalid default ipc mode: 'host'"),
    ],
)
def test_wrong_values_are_named(keys: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in refusal("--config-file", write(tmp_path, **keys))


@pytest.mark.parametrize("text", ["{", "[]", '{"debug": true,}', "\udcff"])
def test_a_file_that_is_no_json_object(text: str, tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(text, errors="surrogateescape")
    assert refusal("--config-file", str(path)).startswith(f"unable to configure the Docker daemon with file {path}: ")


def test_forms_of_values(tmp_path: Path) -> None:
    path = write(
        tmp_path, **{"default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 1024}},
                     "default-shm-size": "128m", "log-opts": {"max-size": "1m"}},
    )  # fmt: skip
    settings = load(["--config-file", path, "--dns", "1.1.1.1", "--dns", "8.8.8.8"])
    assert settings["default-ulimit"] == ["nofile=1024:64000"]
    assert settings["default-shm-size"] == 128 << 20
    assert settings["log-opt"] == {"max-size": "1m"}
    assert settings["dns"] == ["1.1.1.1", "8.8.8.8"]
    assert load(["--tlsverify", "-H", "tcp://:2376"])["tls"] is True
    assert load(["--tls=false", "-H", "tcp://:2375"])["tls"] is False


def test_dockers_own_file_is_taken_as_far_as_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, **{"data-root": "/mnt/docker", "selinux-enabled": True, "future-key": 1, "debug": True})
    monkeypatch.setattr(configure, "OWN_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(configure, "DOCKER_FILE", path)
    settings = load([])
    assert settings["debug"] is True and settings["data-root"] == "/var/lib/berth"
    assert [line.partition(":")[0] for line in settings.ignored] == ["data-root", "selinux-enabled", "future-key"]


def test_reread_keeps_the_flags(tmp_path: Path) -> None:
    path = write(tmp_path, labels=["a=1"])
    settings = load(["--config-file", path, "--mtu", "1400"])
    write(tmp_path, labels=["a=2"], debug=True)
    fresh = reread(settings)
    assert (fresh["label"], fresh["debug"], fresh["mtu"]) == (["a=2"], True, 1400)
    write(tmp_path, mtu=1300)
    with pytest.raises(InvalidArgument, match="specified both as a flag and in the configuration file: mtu"):
        reread(settings)


@pytest.mark.parametrize(("option", "words"), [
    ("native.cgroupdriver=other", "not a valid cgroup driver"), ("native.umask=normal", "Unknown option: native.umask"),
    ("nothing", "Unknown option: nothing"),
])  # fmt: skip
def test_cgroup_drivers_that_are_none(option: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        cgroup_driver(load(["--exec-opt", option]))
