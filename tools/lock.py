"""Writes requirements/*.lock: ``python tools/lock.py [--upgrade]`` with the development environment's python.

Resolves the dependencies of pyproject.toml against PyPI for the oldest Python that Berth supports, pins what comes out,
and lists the sha256 of every wheel that fits Linux on x86-64 and arm64 for CPython 3.11 to 3.14. Without ``--upgrade`` the
versions that are locked already are kept where they still satisfy pyproject.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.request

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INDEX = "https://pypi.org"
OLDEST = "3.11"
TAGS = ["cp311", "cp312", "cp313", "cp314"]
PLATFORMS = re.compile(r"(any|manylinux\S*_(x86_64|aarch64))$")


def main() -> None:
    with open(os.path.join(HOME, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)["project"]
    runtime = project["dependencies"]
    write("runtime", runtime)
    write("dev", [*runtime, *project["optional-dependencies"]["dev"]], also="runtime")


def write(name: str, requirements: list[str], also: str = "") -> None:
    keep = [] if "--upgrade" in sys.argv else locked(name)
    if also:
        keep = [
            *locked(also),
            *[pin for pin in keep if pin.split("==")[0] not in {k.split("==")[0] for k in locked(also)}],
        ]
    pins = resolve(requirements, keep)
    lines = [f"# {name}: written by tools/lock.py from pyproject.toml; every file by its hash, all of PyPI.\n"]
    for package, version in sorted(pins.items()):
        hashes = wheel_hashes(package, version)
        lines.append(f"{package}=={version} \\\n" + " \\\n".join(f"    --hash=sha256:{h}" for h in hashes) + "\n")
    path = os.path.join(HOME, "requirements", f"{name}.lock")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(lines)
    print(f"{path}: {len(pins)} packages")


def locked(name: str) -> list[str]:
    path = os.path.join(HOME, "requirements", f"{name}.lock")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return re.findall(r"^([\w.-]+==\S+)", file.read(), re.MULTILINE)


def resolve(requirements: list[str], keep: list[str]) -> dict[str, str]:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints, tempfile.NamedTemporaryFile() as report:
        constraints.write("\n".join(keep))
        constraints.flush()
        command = [
            sys.executable, "-m", "pip", "--isolated", "install", "--quiet", "--dry-run", "--ignore-installed",
            "--only-binary", ":all:", "--python-version", OLDEST, "--target", tempfile.gettempdir(),
            "--index-url", f"{INDEX}/simple", "--report", report.name, "-c", constraints.name, *requirements,
        ]  # fmt: skip
        subprocess.run(command, check=True)
        found = json.load(report)["install"]
    return {re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(): item["metadata"]["version"] for item in found}


def wheel_hashes(package: str, version: str) -> list[str]:
    """Of each wheel that one of our Pythons on Linux may choose; all for pure ones."""
    request = urllib.request.Request(
        f"{INDEX}/simple/{package}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    wheels = [f for f in files if f["filename"].endswith(".whl") and f["filename"].split("-")[1] == version]
    wheels = [f for f in wheels if fits(f["filename"])]
    if not wheels:
        raise SystemExit(f"{package} {version} has no wheel for our Pythons on Linux")
    return sorted(f["hashes"]["sha256"] for f in wheels)


def fits(filename: str) -> bool:
    pythons, abi, platforms = filename.removesuffix(".whl").split("-")[-3:]
    newest = int(TAGS[-1][3:])
    good_python = any(
        tag in TAGS
        or tag.startswith("py3")
        or (abi == "abi3" and tag.startswith("cp3") and int(tag[3:] or 0) <= newest)
        for tag in pythons.split(".")
    )
    free_threaded = abi.endswith("t") and abi.startswith("cp3")
    return good_python and not free_threaded and any(PLATFORMS.search(name) for name in platforms.split("."))


if __name__ == "__main__":
    main()
