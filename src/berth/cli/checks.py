"""Values that docker judges while it reads the command line: name of a check (``Flag.check``) → what is wrong, or ""."""

from __future__ import annotations

from berth.base.errors import InvalidArgument
from berth.cli import run_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def _of(parse: Callable[[str], object]) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            parse(value)
        except InvalidArgument as err:
            return err.message
        return ""

    return check


def _mount(value: str) -> object:
    from berth.cli.run_mounts import parse_mount

    return parse_mount(value)


def _network(value: str) -> object:
    from berth.cli.network_flags import parse_network

    return parse_network(value)


CHECKS: dict[str, Callable[[str], str]] = {
    "address": _of(run_values.address), "cpus": _of(run_values.cpus), "device-bps": _of(run_values.device_bps),
    "device-iops": _of(run_values.device_iops), "device-rule": _of(run_values.device_rule),
    "device-weight": _of(run_values.device_weight), "environment": _of(run_values.environment),
    "extra-host": _of(run_values.extra_host), "gpus": _of(run_values.gpus), "label": _of(run_values.label),
    "link": _of(run_values.link), "mount": _of(_mount), "network": _of(_network),
    "search-domain": _of(run_values.search_domain), "stream": _of(run_values.stream), "sysctl": _of(run_values.sysctl),
    "ulimit": _of(run_values.ulimit),
}  # fmt: skip
