"""What engines of ours have on this machine: taken before and after the tests, it must be the same."""

from __future__ import annotations

import json
import os
import subprocess


def picture() -> set[str]:
    """Links, firewall tables, cgroups, mounts and processes that carry a Berth's marks."""
    return {*_links(), *_tables(), *_cgroups(), *_mounts(), *_processes()}


def difference(before: set[str]) -> list[str]:
    """What is there now and was not before. Engines that somebody else started meanwhile show up too."""
    return sorted(picture() - before)


def _links() -> set[str]:
    names = os.listdir("/sys/class/net")
    return {f"link {name}" for name in names if name.startswith(("bt", "berth"))}


def _tables() -> set[str]:
    try:
        text = subprocess.run(["nft", "-j", "list", "tables"], capture_output=True, text=True).stdout
    except OSError:
        return set()
    items = json.loads(text or "{}").get("nftables", [])
    names = [item["table"]["name"] for item in items if "table" in item]
    return {f"nft table {name}" for name in names if name.startswith("berth")}


def _cgroups() -> set[str]:
    top = "/sys/fs/cgroup"
    found = set()
    for folder in [top, *(f"{top}/{name}" for name in os.listdir(top))]:
        if os.path.isdir(folder):
            found |= {f"cgroup {folder}/{name}" for name in os.listdir(folder) if name.startswith("berth-")}
    return found


def _mounts() -> set[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        points = {line.split()[4] for line in table}
    return {f"mount {point}" for point in points if point.startswith(("/tmp/bt", "/run/berth", "/var/lib/berth"))}


def _processes() -> set[str]:
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as file:
                command = file.read().replace("\0", " ")
        except OSError:
            continue
        if "berth.daemon.main" in command or "berth.shim" in command:
            found.add(f"process {name}: {command[:120]}")
    return found
