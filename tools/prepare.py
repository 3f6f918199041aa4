"""Prepares .venv of a checkout: ``python3 tools/prepare.py runtime|dev``. Standard library only, no venv or pip needed.

A virtual environment is three things, made here by hand: pyvenv.cfg, a link to the interpreter, a site-packages folder.
pip fills it from a lock file in which every file has its hash: the machine's own pip where there is one, else pip's pinned
wheel, fetched from the index. Several first runs at once wait for each other. A stamp beside the environment says that it
fits its lock; the launcher compares nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HOME, "tools"))

import pip_wheel  # noqa: E402

SCRIPT = """\
#!{python}
import sys
from {module} import {function}
sys.exit({function}())
"""


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    try:
        prepare(kind)
    except Failed as err:
        print(f"berth: {err}", file=sys.stderr)
        return 1
    except OSError as err:
        print(f"berth: {err.filename or HOME}: {err.strerror}", file=sys.stderr)
        return 1
    return 0


class Failed(Exception):
    """A sentence for the user."""


def prepare(kind: str, home: str = HOME) -> str:
    """Make or renew ``<home>/.venv`` for the lock ``kind`` (runtime or dev); returns its python.

    Raises: Failed, OSError.
    """
    venv = os.path.join(home, ".venv")
    lock = os.path.join(home, "requirements", f"{kind}.lock")
    python = os.path.join(venv, "bin", "python")
    with _only_one(home):
        wanted = _stamp_text(lock)
        if _fits(venv, kind, wanted, python):
            _stamp(venv, kind, wanted)  # a clone or checkout made the lock younger without changing it
            return python
        _say(f"first use: preparing {venv} (Python {sys.version.split()[0]})")
        _make_environment(venv, python)
        _install(python, venv, lock)
        _link_checkout(venv, home, python)
        _stamp(venv, kind, wanted)
        if kind == "dev":  # the development lock holds the runtime's packages too
            _stamp(venv, "runtime", _stamp_text(os.path.join(home, "requirements", "runtime.lock")))
        _say("ready")
    return python


def _say(sentence: str) -> None:
    print(f"berth: {sentence}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _only_one(home: str) -> Iterator[None]:
    os.makedirs(os.path.join(home, ".berth"), exist_ok=True)
    with open(os.path.join(home, ".berth", "prepare.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say("another first run prepares the environment: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- the stamp ------------------------------------------------------------------------------------------------------


def _stamp_text(lock: str) -> str:
    with open(lock, "rb") as file:
        return f"{hashlib.sha256(file.read()).hexdigest()} python{sys.version_info[0]}.{sys.version_info[1]} {HOME}\n"


def _fits(venv: str, kind: str, wanted: str, python: str) -> bool:
    try:
        with open(os.path.join(venv, f"berth-{kind}"), encoding="utf-8") as file:
            return file.read() == wanted and os.access(python, os.X_OK)
    except OSError:
        return False


def _stamp(venv: str, kind: str, text: str) -> None:
    partial = os.path.join(venv, f"berth-{kind}.new")
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(partial, os.path.join(venv, f"berth-{kind}"))


# --- the environment ------------------------------------------------------------------------------------------------


def _site_packages(venv: str) -> str:
    return os.path.join(venv, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


def _make_environment(venv: str, python: str) -> None:
    """What ``python3 -m venv --without-pip`` makes, where Debian's python3 comes without that module."""
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    if os.path.isdir(venv) and not os.path.isdir(_site_packages(venv)):
        _say("the environment is another Python's: making it anew")
        shutil.rmtree(venv)
    os.makedirs(_site_packages(venv), exist_ok=True)
    os.makedirs(os.path.join(venv, "bin"), exist_ok=True)
    lib64 = os.path.join(venv, "lib64")
    if not os.path.lexists(lib64):
        os.symlink("lib", lib64)
    config = os.path.join(venv, "pyvenv.cfg")
    if not os.path.exists(config):
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"home = {os.path.dirname(base)}\ninclude-system-site-packages = false\n")
            file.write(f"version = {sys.version.split()[0]}\n")
    for name in ("python", "python3", f"python3.{sys.version_info[1]}"):
        path = os.path.join(os.path.dirname(python), name)
        if not os.access(path, os.X_OK):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.symlink(base if name == "python" else "python", path)


def _link_checkout(venv: str, home: str, python: str) -> None:
    """The checkout itself: its source on the path, and its programs in bin."""
    with open(os.path.join(_site_packages(venv), "berth-checkout.pth"), "w", encoding="utf-8") as file:
        file.write(os.path.join(home, "src") + "\n")
    with open(os.path.join(home, "pyproject.toml"), "rb") as file:
        scripts = tomllib.load(file)["project"]["scripts"]
    for name, entry in scripts.items():
        module, _, function = entry.partition(":")
        path = os.path.join(venv, "bin", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(SCRIPT.format(python=python, module=module, function=function))
        os.chmod(path, 0o755)


# --- the packages ---------------------------------------------------------------------------------------------------


def _install(python: str, venv: str, lock: str) -> None:
    pip = _find_pip(python, venv)
    with open(lock, encoding="utf-8") as file:
        count = sum("==" in line for line in file)
    _say(f"installing {count} locked packages into it")
    command = [
        *pip, "install", "--require-hashes", "--only-binary", ":all:", "--no-deps", "--no-input",
        "--disable-pip-version-check", "--no-warn-script-location", "-r", lock,
    ]  # fmt: skip
    status = _run_pip(command)
    if status == _UNVERIFIED:
        # Without the machine's CA bundle, or behind a proxy with its own: the lock's hashes still decide what is installed.
        _say("the index's certificate cannot be verified here; the hashes of the lock vouch for every file instead")
        hosts = [word for host in pip_wheel.index_hosts() for word in ("--trusted-host", host)]
        status = _run_pip([*command, *hosts])
    if status:
        raise Failed(
            "the packages could not be installed (see above); pip's own settings apply: PIP_INDEX_URL, PIP_PROXY, "
            "PIP_CERT, pip.conf"
        )


_UNVERIFIED = -1


def _run_pip(command: list[str]) -> int:
    """pip's exit status, or ``_UNVERIFIED`` as soon as it meets a certificate that it cannot verify.

    Its progress goes to our standard error, since standard output belongs to the user's command.
    """
    environ = {**os.environ, "PYTHONNOUSERSITE": "1"}
    for setting in ("PIP_REQUIRE_VIRTUALENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"):
        environ.pop(setting, None)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, env=environ
    )
    assert process.stderr is not None
    with process, process.stderr as errors:
        for line in errors:
            if "CERTIFICATE_VERIFY_FAILED" in line and "--trusted-host" not in command:
                process.terminate()
                return _UNVERIFIED
            print(line, end="", file=sys.stderr, flush=True)
    return process.returncode


def _find_pip(python: str, venv: str) -> list[str]:
    """How to run a pip that installs into the environment: its own, the machine's, ensurepip's wheel, the pinned wheel."""
    if os.path.isdir(os.path.join(_site_packages(venv), "pip")):
        return [python, "-m", "pip"]
    if importlib.util.find_spec("pip") is not None:
        version = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, text=True).stdout
        numbers = version.split()[1].split(".") if version.startswith("pip ") else ["0"]
        if (int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 0) >= (22, 3):  # the first with --python
            return [sys.executable, "-m", "pip", "--python", python]
    bundled = sorted(glob.glob("/usr/share/python-wheels/pip-*.whl"))
    spec = importlib.util.find_spec("ensurepip")
    if spec and spec.origin:
        bundled += sorted(glob.glob(os.path.join(os.path.dirname(spec.origin), "_bundled", "pip-*.whl")))
    if bundled:
        return [python, os.path.join(bundled[-1], "pip")]
    try:
        wheel = pip_wheel.fetch(os.path.join(HOME, ".berth"), _say)
    except pip_wheel.Unreachable as err:
        raise Failed(str(err)) from None
    return [python, os.path.join(wheel, "pip")]


if __name__ == "__main__":
    sys.exit(main())
