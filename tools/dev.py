"""``./dev TARGET`` and ``make TARGET``: what a developer runs. Starts with nothing but python3 and sets up what it needs."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HOME, "tools"))

import criu  # noqa: E402
import docker_cli  # noqa: E402
import prepare  # noqa: E402
import vm  # noqa: E402

PYTHON = os.path.join(HOME, ".venv", "bin", "python")

HOST_PACKAGES = {
    "nft": "nftables",  # the tests' oracle for the firewall; the engine itself runs no such program
    "ip": "iproute2",  # the same for links
    "nsenter": "util-linux",
    "openssl": "openssl",  # makes the certificates of the TLS tests
    "setpriv": "util-linux",
    "mmdebstrap": "mmdebstrap",  # makes the base of the tests' tutorial images
    "skopeo": "skopeo",  # the other side of pulls, pushes and archives
    "podman": "podman",  # drives berth-runtime, as do the next two
    "buildah": "buildah",
    "containerd": "containerd",
    "runc": "runc",  # the engine drives these two with --runtime, and the bench compares
    "crun": "crun",
    "zsh": "zsh",  # these two complete words of ours
    "fish": "fish",
    "etcd": "etcd-server",  # the store that the hosts of an overlay network share
}
"""Programs that the tests use, and the Debian packages that have them."""


class Target(NamedTuple):
    """``words``: what follows the target's name on the command line."""

    run: Callable[[list[str]], int]
    help: str


def main() -> int:
    name, *words = sys.argv[1:] or ["help"]
    os.chdir(HOME)
    if name in ("-h", "--help"):
        name = "help"
    if name not in TARGETS:
        print(f"dev: there is no target {name!r}\n", file=sys.stderr)
        show_help([])
        return 2
    try:
        return TARGETS[name].run(words)
    except (prepare.Failed, docker_cli.Unavailable, vm.Unavailable) as err:
        print(f"dev: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def show_help(words: list[str]) -> int:
    print("./dev TARGET, or make TARGET:\n")
    for name, target in TARGETS.items():
        print(f"  {name:<10} {target.help}")
    return 0


# --- setting up -----------------------------------------------------------------------------------------------------


def setup_python(words: list[str]) -> int:
    prepare.prepare("dev")
    return 0


def setup(words: list[str]) -> int:
    """Everything that the tests need: .venv, the host's packages, the stock docker CLI."""
    setup_python(words)
    missing = sorted({package for program, package in HOST_PACKAGES.items() if shutil.which(program) is None})
    if missing:
        _apt_get(missing)
    if os.geteuid() == 0:
        os.environ["BERTH_TEST_DOCKER"] = docker_cli.ensure()
        os.environ["BERTH_TEST_CRIU"] = criu.ensure()
    return 0


POLICY = "/usr/sbin/policy-rc.d"
UNITS = "/etc/systemd/system"


@contextlib.contextmanager
def no_services() -> Iterator[None]:
    """Nothing that is installed meanwhile starts a service of its own, neither now nor when the machine starts again
    (containerd, etcd and podman would)."""
    enabled, policy = _enabled_units(), os.path.exists(POLICY)
    if not policy:
        with open(POLICY, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        yield
    finally:
        if not policy:
            os.unlink(POLICY)
        for link in _enabled_units() - enabled:
            os.unlink(link)


def _enabled_units() -> set[str]:
    """The links that say what is started with the machine."""
    return set(glob.glob(f"{UNITS}/*.wants/*")) | set(glob.glob(f"{UNITS}/*.requires/*"))


def _apt_get(packages: Sequence[str]) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise prepare.Failed(f"the tests need these packages of the host: {' '.join(packages)}")
    print(f"dev: installing {' '.join(packages)}", flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages]
    with no_services():
        _install(environ, ["apt-get", "update", "-q"], install)


def _install(environ: dict[str, str], *commands: list[str]) -> None:
    for command in commands:
        if subprocess.run(command, env=environ).returncode:
            raise prepare.Failed(f"{' '.join(command)} failed (see above)")


# --- checks and tests -----------------------------------------------------------------------------------------------

CHECKS = {
    "ruff": ["-m", "ruff", "check", "."],
    "format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
    "imports": ["-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"],
}


def check(words: list[str]) -> int:
    """All static checks at once; the output of those that fail."""
    setup_python(words)
    begin = time.monotonic()
    running = {
        name: subprocess.Popen([PYTHON, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name, command in CHECKS.items()
    }
    failed = []
    for name, process in running.items():
        output, _ = process.communicate()
        print(f"dev: {name}: {'ok' if process.returncode == 0 else 'FAILED'}", flush=True)
        if process.returncode:
            print(output, flush=True)
            failed.append(name)
    print(f"dev: checks took {time.monotonic() - begin:.0f} s", flush=True)
    return 1 if failed else 0


def _pytest(marker: str, words: list[str]) -> int:
    import machine_leaks

    before = machine_leaks.picture()
    status = subprocess.run([PYTHON, "-m", "pytest", "-m", marker, *words]).returncode
    left = machine_leaks.difference(before)
    if left:
        print("dev: the tests left on this machine:\n  " + "\n  ".join(left), flush=True)
        return status or 1
    return status


def test(words: list[str]) -> int:
    """What CI runs. Words go to pytest: ``./dev test tests/unit -k name`` runs those alone, without the checks."""
    begin = time.monotonic()
    setup([])
    status = 0 if words else check([])
    status = _pytest("not long and not vm", words or ["--durations=10"]) or status
    print(f"dev: {'passed' if status == 0 else 'FAILED'} in {time.monotonic() - begin:.0f} s", flush=True)
    return status


def test_long(words: list[str]) -> int:
    setup([])
    return _pytest("long", words)


IN_THE_VM = (
    "-m", "not long", "tests/vm", "tests/kernel", "tests/conformance/docker_cli/test_limits.py",
    "tests/conformance/docker_cli/test_isolation.py", "tests/conformance/docker_cli/test_exec.py",
    "tests/conformance/docker_cli/test_macvlan.py",
)  # fmt: skip
"""What ``test-vm`` runs without words: what needs another kernel, and what must hold on pure cgroup v2 as well."""


def test_vm(words: list[str]) -> int:
    setup([])
    missing = sorted({package for program, package in vm.HOST_PACKAGES.items() if shutil.which(program) is None})
    if missing:
        _apt_get(missing)
    return vm.run(words or IN_THE_VM)


def bench(words: list[str]) -> int:
    setup([])
    return subprocess.run([PYTHON, "-m", "bench", *words]).returncode


def demo(words: list[str]) -> int:
    return subprocess.run(["/bin/sh", os.path.join(HOME, "tools", "demo.sh")]).returncode


def openapi(words: list[str]) -> int:
    """Write the OpenAPI document of what is served to a file, or to standard output."""
    prepare.prepare("dev")
    code = (
        "import json, sys; from berth.api.app import all_routes, api_version; from berth.api.openapi import build; "
        "json.dump(build(all_routes(), api_version()), sys.stdout, indent=1); print()"
    )
    with open(words[0], "w", encoding="utf-8") if words else contextlib.nullcontext(sys.stdout) as out:
        return subprocess.run([".venv/bin/python", "-c", code], stdout=out, check=False).returncode


TARGETS: dict[str, Target] = {
    "help": Target(show_help, "this list"),
    "setup": Target(setup, "prepare .venv, install host packages that tests use, get a stock docker CLI"),
    "check": Target(check, "ruff, formatting, mypy --strict, the import contract"),
    "test": Target(test, "what CI runs: setup, check, every test that is not long (words go to pytest)"),
    "test-long": Target(
        test_long, "what takes too long for CI: 1,000 runs in a row, 50 containers under a killed daemon"
    ),
    "test-vm": Target(
        test_vm, "what needs another kernel or pure cgroup v2: in a small virtual machine (words go to pytest)"
    ),
    "openapi": Target(openapi, "the OpenAPI document of what is served (words: a file to write)"),
    "bench": Target(bench, "each figure beside Docker's from the same run (words: names of cases)"),
    "demo": Target(demo, "a short tour: run, exec, logs, a published port, a killed daemon"),
}

if __name__ == "__main__":
    sys.exit(main())
