"""``network``: create, ls, connect, disconnect, rm, prune (inspect is inspect.py's)."""

from __future__ import annotations

import sys

from berth.base.errors import BerthError, InvalidArgument, NotFound
from berth.cli import table
from berth.cli.command import Command
from berth.cli.commands.ps import parse_filters
from berth.cli.flags import FORMAT, Flag
from berth.cli.prune import FORCE, confirmed, filter_flag, wanted_filters
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def ls(engine: Engine, flags: Flags) -> int:
    trunc = not flags.on("no-trunc")

    def word(key: str) -> Any:
        return lambda r: str(r.get(key, "")).lower() if isinstance(r.get(key), bool) else str(r.get(key, ""))

    columns: dict[str, table.Column] = {
        "ID": ("NETWORK ID", lambda r: r["Id"][:12] if trunc else r["Id"]),
        "Name": ("NAME", word("Name")), "Driver": ("DRIVER", word("Driver")), "Scope": ("SCOPE", word("Scope")),
        "IPv4": ("IPV4", word("EnableIPv4")), "IPv6": ("IPV6", word("EnableIPv6")),
        "Internal": ("INTERNAL", word("Internal")),
        "Labels": ("LABELS", lambda r: ",".join(f"{k}={v}" for k, v in sorted((r.get("Labels") or {}).items()))),
        "CreatedAt": ("CREATED AT", word("Created")),
    }  # fmt: skip
    format_ = flags.text("format")
    if not format_ and not flags.on("quiet"):
        from berth.cli import config

        format_ = config.text("networksFormat")
    rows = sorted(
        engine.get("/networks" + query(filters=parse_filters(flags.list_("filter")) or None)),
        key=lambda r: table.natural(r["Name"]),
    )
    table.show(
        columns,
        ("ID", "Name", "Driver", "Scope"),
        rows,
        format_,
        quiet="ID",
        quiet_on=flags.on("quiet"),
        type_name="*network.networkContext",
        raw="network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
    )
    return 0


def create(engine: Engine, flags: Flags) -> int:
    body: dict[str, Any] = {
        "Name": flags.args[0], "Driver": flags.text("driver"), "Scope": flags.text("scope"),
        "Internal": flags.on("internal"), "Attachable": flags.on("attachable"), "Ingress": flags.on("ingress"),
        "ConfigOnly": flags.on("config-only"),
        "IPAM": {"Driver": flags.text("ipam-driver"), "Options": flags.pairs("ipam-opt"), "Config": _ipam(flags)},
        "Options": flags.pairs("opt"), "Labels": flags.pairs("label"),
    }  # fmt: skip
    for flag, key in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if flags.given(flag):
            body[key] = flags.on(flag)
    if flags.text("config-from"):
        body["ConfigFrom"] = {"Network": flags.text("config-from")}
    answer = engine.post("/networks/create", body)
    if answer.get("Warning"):
        print(f"WARNING: {answer['Warning']}", file=sys.stderr)
    print(answer["Id"])
    return 0


def _ipam(flags: Flags) -> list[dict[str, Any]]:
    """Each range, gateway and auxiliary address goes with the subnet that holds it. Raises: InvalidArgument."""
    subnets = flags.list_("subnet")
    if not subnets and not (flags.list_("ip-range") or flags.list_("gateway") or flags.list_("aux-address")):
        return []
    from ipaddress import ip_address, ip_network

    if not subnets:
        raise InvalidArgument("every ip-range or gateway must have a corresponding subnet")
    try:
        blocks: list[tuple[Any, dict[str, Any]]] = [(ip_network(t, strict=False), {"Subnet": t}) for t in subnets]

        def home(text: str, flag: str) -> dict[str, Any]:
            for block, entry in blocks:
                if ip_address(text.partition("/")[0]) in block:
                    return entry
            raise InvalidArgument(f"no matching subnet for {flag} {text}")

        for text in flags.list_("ip-range"):
            home(text, "range")["IPRange"] = text
        for text in flags.list_("gateway"):
            entry = home(text, "gateway")
            if "Gateway" in entry:
                raise InvalidArgument(
                    f"cannot configure multiple gateways ({text}, {entry['Gateway']}) for the same subnet"
                )
            entry["Gateway"] = text
        for text in flags.list_("aux-address"):
            name, _, address = text.partition("=")
            home(address, "aux-address").setdefault("AuxiliaryAddresses", {})[name] = address
    except ValueError as err:
        raise InvalidArgument(f"invalid CIDR address: {err}") from None
    return [entry for _block, entry in blocks]


def connect(engine: Engine, flags: Flags) -> int:
    network, container = flags.args
    settings: dict[str, Any] = {
        "Links": flags.list_("link"), "Aliases": flags.list_("alias"), "DriverOpts": flags.pairs("driver-opt"),
        "GwPriority": flags.number("gw-priority"),
    }  # fmt: skip
    ipam: dict[str, Any] = {}
    for flag, key in (("ip", "IPv4Address"), ("ip6", "IPv6Address")):
        if flags.text(flag):
            ipam[key] = flags.text(flag)
    if flags.list_("link-local-ip"):
        ipam["LinkLocalIPs"] = flags.list_("link-local-ip")
    engine.post(
        f"/networks/{network}/connect", {"Container": container, "EndpointConfig": {**settings, "IPAMConfig": ipam}}
    )
    return 0


def disconnect(engine: Engine, flags: Flags) -> int:
    network, container = flags.args
    engine.post(f"/networks/{network}/disconnect", {"Container": container, "Force": flags.on("force")})
    return 0


def rm(engine: Engine, flags: Flags) -> int:
    status = 0
    for ref in flags.args:
        try:
            engine.delete(f"/networks/{ref}")
        except NotFound as err:
            if not flags.on("force"):
                status = _complain(err)
        except BerthError as err:
            status = _complain(err)
        else:
            print(ref)
    return status


def _complain(err: BerthError) -> int:
    print(f"Error response from daemon: {err.message}" if err.op == "engine" else err.message, file=sys.stderr)
    return 1


def prune(engine: Engine, flags: Flags) -> int:
    filters = wanted_filters(flags)
    if not confirmed(flags, "This will remove all custom networks not used by at least one container."):
        return 0
    _, text = prune_networks(engine, filters)
    if text:
        print(text)
    return 0


def prune_networks(engine: Engine, filters: dict[str, list[str]]) -> tuple[int, str]:
    """No bytes, and what to print."""
    names = engine.post("/networks/prune" + query(filters=filters or None)).get("NetworksDeleted") or ()
    return 0, "Deleted Networks:\n" + "".join(f"{name}\n" for name in names) if names else ""


COMMANDS = {
    "network ls": Command(
        "[OPTIONS]", "List networks",
        [
            Flag("filter", "filter", 'Provide filter values (e.g. "driver=bridge")', "f"), FORMAT,
            Flag("no-trunc", "bool", "Do not truncate the output"), Flag("quiet", "bool", "Only display IDs", "q"),
        ],
        (0, 0), ls,
    ),
    "network create": Command(
        "[OPTIONS] NETWORK", "Create a network",
        [
            Flag("attachable", "bool", "Enable manual container attachment"),
            Flag("aux-address", "map", "Auxiliary IPv4 or IPv6 addresses used by Network driver", default="map[]"),
            Flag("config-from", "string", "The network from which to copy the configuration"),
            Flag("config-only", "bool", "Create a configuration only network"),
            Flag("driver", "string", "Driver to manage the Network", "d", "bridge", choices=("bridge", "ipvlan", "macvlan")),
            Flag("gateway", "strings", "IPv4 or IPv6 Gateway for the master subnet"),
            Flag("ingress", "bool", "Create swarm routing-mesh network"),
            Flag("internal", "bool", "Restrict external access to the network"),
            Flag("ip-range", "strings", "Allocate container ip from a sub-range"),
            Flag("ipam-driver", "string", "IP Address Management Driver", "", "default"),
            Flag("ipam-opt", "map", "Set IPAM driver specific options", default="map[]"),
            Flag("ipv4", "bool", "Enable or disable IPv4 address assignment", "", "true"),
            Flag("ipv6", "bool", "Enable or disable IPv6 address assignment"),
            Flag("label", "list", "Set metadata on a network", check="label"),
            Flag("opt", "map", "Set driver specific options", "o", "map[]"),
            Flag("scope", "string", "Control the network's scope"),
            Flag("subnet", "strings", "Subnet in CIDR format that represents a network segment"),
        ],
        (1, 1), create, complete=("",),
    ),
    "network connect": Command(
        "[OPTIONS] NETWORK CONTAINER", "Connect a container to a network",
        [
            Flag("alias", "strings", "Add network-scoped alias for the container"),
            Flag("driver-opt", "strings", "driver options for the network"),
            Flag("gw-priority", "int", "Highest gw-priority provides the default gateway. Accepts positive and negative values."),
            Flag("ip", "string", 'IPv4 address (e.g., "172.30.100.104")'),
            Flag("ip6", "string", 'IPv6 address (e.g., "2001:db8::33")'),
            Flag("link", "list", "Add link to another container", check="link"),
            Flag("link-local-ip", "strings", "Add a link-local address for the container"),
        ],
        (2, 2), connect, complete=("networks", "containers"),
    ),
    "network disconnect": Command(
        "[OPTIONS] NETWORK CONTAINER", "Disconnect a container from a network",
        [Flag("force", "bool", "Force the container to disconnect from a network", "f")],
        (2, 2), disconnect, complete=("networks", "containers"),
    ),
    "network rm": Command(
        "NETWORK [NETWORK...]", "Remove one or more networks",
        [Flag("force", "bool", "Do not error if the network does not exist", "f")], (1, -1), rm, complete=("own networks",),
    ),
    "network prune": Command(
        "[OPTIONS]", "Remove all unused networks",
        [
            filter_flag("until=<timestamp>"), FORCE,
        ],
        (0, 0), prune,
    ),
}  # fmt: skip
