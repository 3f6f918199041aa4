"""Strings of a create body that end up in files, paths and lines of the engine's: no control character gets that far.

CVE-2022-4318, CVE-2022-0811 and CVE-2024-3154 are this class: a line break in a value became a line of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from berth.base.errors import InvalidArgument


def check_texts(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> None:
    """What goes to the program alone (arguments, environment) may hold anything; NUL the API's decoder has refused.

    Raises: InvalidArgument naming the field.
    """
    for name, holder in (("Hostname", config), ("Domainname", config), ("CgroupParent", host_config)):
        text = str(holder.get(name) or "")
        if any(ord(c) < 0x20 or ord(c) == 0x7F for c in text):
            raise InvalidArgument(f"control character in {name} {text!r}")
    if ".." in str(host_config.get("CgroupParent") or "").split("/"):
        raise InvalidArgument(f"invalid cgroup parent {host_config['CgroupParent']!r}: it leaves the cgroup tree")
