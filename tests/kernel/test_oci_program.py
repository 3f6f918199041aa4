"""``berth-runtime``'s command line and state folder, and bundles that lie."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.attack import Bundle, told

pytestmark = pytest.mark.root


def test_version_help_and_words_that_are_none() -> None:
    with Bundle() as bundle:
        assert "spec: 1.2" in bundle.runtime("--version", root=False).out
        assert "checkpoint" in bundle.runtime("--help", root=False).out
        for words, says in (
            (("frob",), "No help topic for 'frob'"),
            (("create",), '"create" requires exactly 1 argument(s)'),
            (("state", "a", "b"), '"state" requires exactly 1 argument(s)'),
            (("kill", "--moon", "x"), "flag provided but not defined: -moon"),
            (("create", "x", "--bundle"), "flag needs an argument: -bundle"),
            (("list", "--quiet=perhaps"), 'invalid boolean value "perhaps"'),
        ):
            refused = bundle.runtime(*words, check=False)
            assert refused.code == 1 and says in told(refused), refused


def test_errors_go_to_the_log_in_its_form_and_to_standard_error() -> None:
    with Bundle() as bundle:
        log = f"{bundle.home}/log"
        refused = bundle.runtime("--log", log, "--log-format=json", "start", "none", check=False)
        assert refused.code == 1 and refused.err == "container does not exist\n"
        line = json.loads(Path(log).read_text())
        assert line["level"] == "error" and line["msg"] == "container does not exist" and line["time"].endswith("Z")
        bundle.runtime("--log", log, "start", "none", check=False)
        assert Path(log).read_text().splitlines()[1].startswith('time="') and "level=error" in Path(log).read_text()


@pytest.mark.spec("runtime.md#query-state")
def test_pid_file_state_json_and_list() -> None:
    with Bundle() as bundle:
        Path(f"{bundle.home}/config.json").write_text(json.dumps(bundle.config))
        with open(os.devnull, "wb") as null:
            from harness.attack import RUNTIME

            words = [
                *RUNTIME,
                "--root",
                f"{bundle.home}/state",
                "create",
                "--pid-file",
                f"{bundle.home}/pid",
                "--bundle",
                bundle.home,
                bundle.name,
            ]
            assert subprocess.run(words, stdin=null, stdout=null, stderr=null, timeout=60).returncode == 0
        assert int(Path(f"{bundle.home}/pid").read_text()) == bundle.pid
        state = json.loads(Path(f"{bundle.home}/state/{bundle.name}/state.json").read_text())
        assert state["id"] == bundle.name and state["init_process_pid"] == bundle.pid
        assert state["namespace_paths"]["NEWNET"] == f"/proc/{bundle.pid}/ns/net"
        assert all(os.path.isdir(path) for path in state["cgroup_paths"].values())
        assert os.path.exists(f"{bundle.home}/state/{bundle.name}/exec.fifo")
        rows = json.loads(bundle.runtime("list", "--format", "json").out)
        assert [(r["id"], r["status"], r["pid"]) for r in rows] == [(bundle.name, "created", bundle.pid)]
        assert bundle.runtime("list", "-q").out == f"{bundle.name}\n"
        head, row = bundle.runtime("list").out.splitlines()
        assert head.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"] and row.split()[2] == "created"


def test_run_answers_with_the_programs_status_and_leaves_nothing() -> None:
    for script, code in (("exit 0", 0), ("exit 42", 42), ("kill -9 $$; sleep 9", 137)):
        with Bundle(args=["sh", "-c", f"sh -c '{script}'; exit $?"]) as bundle:
            assert bundle.run(check=False).code == code
            assert os.listdir(f"{bundle.home}/state") == []


def test_run_keep_leaves_the_container() -> None:
    with Bundle(args=["true"]) as bundle:
        Path(f"{bundle.home}/config.json").write_text(json.dumps(bundle.config))
        bundle.runtime("run", "--keep", "-b", bundle.home, bundle.name)
        assert json.loads(bundle.runtime("state", bundle.name).out)["status"] == "stopped"


@pytest.mark.spec(
    "features.md#specification-version",
    "features.md#platform-specific-features",
    "features.md#annotations",
    "features.md#unsafe-annotations-in-configjson",
)
def test_features_and_spec() -> None:
    with Bundle() as bundle:
        features = json.loads(bundle.runtime("features").out)
        assert features["ociVersionMin"] == "1.0.0" and features["ociVersionMax"].startswith("1.2")
        assert set(features["hooks"]) >= {"createRuntime", "poststop"} and "rro" in features["mountOptions"]
        assert features["linux"]["intelRdt"] == {"enabled": False}
        refused = bundle.runtime("spec", "-b", bundle.home, check=False)
        assert "File config.json exists. Remove it first" in told(refused)
        os.unlink(f"{bundle.home}/config.json")
        bundle.runtime("spec", "--rootless", "-b", bundle.home)
        rootless = json.loads(Path(f"{bundle.home}/config.json").read_text())
        assert {"type": "user"} in rootless["linux"]["namespaces"] and rootless["linux"]["uidMappings"]


def test_checkpoint_and_restore_without_criu_say_what_is_missing() -> None:
    with Bundle() as bundle:
        bundle.start()
        for words in (("checkpoint", bundle.name), ("restore", "-b", bundle.home, "other")):
            refused = bundle.runtime("--criu", "no-such-criu", *words, check=False)
            assert refused.code == 1 and 'need CRIU, and "no-such-criu" is not installed' in told(refused)
        assert json.loads(bundle.runtime("state", bundle.name).out)["status"] == "running"


# --- bundles that lie


def write(bundle: Bundle, document: Any) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    Path(f"{bundle.home}/config.json").write_text(text)


def refusal(bundle: Bundle) -> str:
    refused = bundle.runtime("run", "-b", bundle.home, bundle.name, check=False)
    assert refused.code == 1, refused
    assert not os.path.exists(f"{bundle.home}/state/{bundle.name}")
    return told(refused)


@pytest.mark.spec("config.md#specification-version", "config.md#valid-values", "config.md#root")
def test_documents_that_are_no_config() -> None:
    with Bundle() as bundle:
        for document, says in (
            ("{", "config.json is not JSON"), ("[]", "it must be an object"), ("{}", "ociVersion is missing"),
            ("[" * 100000, "config.json is not JSON"),
            ({**bundle.config, "ociVersion": "2.0.0"}, "ociVersion 2.0.0 is not supported"),
            ({**bundle.config, "ociVersion": 1}, "ociVersion is missing"),
            ({k: v for k, v in bundle.config.items() if k != "process"}, "process is missing"),
            ({k: v for k, v in bundle.config.items() if k != "root"}, "root is missing"),
            ({**bundle.config, "root": {"path": "elsewhere"}}, "invalid rootfs"),
            ({**bundle.config, "root": {"path": "config.json"}}, "invalid rootfs"),
            ({**bundle.config, "root": {"path": "/"}}, "it is the host's own root"),
            ({**bundle.config, "mounts": {}}, "mounts must be an array, not {}"),
            ({**bundle.config, "mounts": [{"destination": 7}]}, "mounts[0].destination must be a string, not 7"),
            ({**bundle.config, "process": {**bundle.config["process"], "args": "sh"}}, 'process.args must be an array, not "sh"'),
            ({**bundle.config, "process": {**bundle.config["process"], "user": {"uid": "root"}}},
             "process.user.uid must be a number"),
            ({**bundle.config, "process": {**bundle.config["process"], "terminal": 1}}, "process.terminal must be a boolean"),
            ({**bundle.config, "linux": {**bundle.config["linux"], "namespaces": [7]}}, "linux.namespaces[0] must be an object"),
            ({**bundle.config, "linux": {**bundle.config["linux"], "maskedPaths": ["x"]}}, "'x' is not an absolute path"),
            ({**bundle.config, "process": {**bundle.config["process"], "args": ["a\0b"]}}, "NUL"),
        ):  # fmt: skip
            write(bundle, document)
            assert says in refusal(bundle), document if len(str(document)) < 500 else says


@pytest.mark.spec("bundle.md#container-format")
def test_no_bundle_no_config_and_a_fifo() -> None:
    with Bundle() as bundle:
        os.unlink(f"{bundle.home}/config.json")
        assert "JSON specification file config.json not found" in refusal(bundle)
        shutil.rmtree(bundle.rootfs)
        refused = bundle.runtime("run", "-b", "/nonexistent", bundle.name, check=False)
        assert "config.json not found" in told(refused)


@pytest.mark.spec("config.md#extensibility", "config.md#platform-specific-configuration")
def test_unknown_members_are_ignored() -> None:
    with Bundle(args=["echo", "ran"], moon={"full": True}) as bundle:
        bundle.config["solarSystem"] = {"planets": 8}
        bundle.config["linux"]["moon"] = []
        assert bundle.run().out == "ran\n"
