"""What stands in the store: JSON at keys that ``berth.networks.cluster`` draws."""

from __future__ import annotations

import msgspec

from berth.networks.records import NetworkRecord, Subnet


class Host(msgspec.Struct, frozen=True):
    """An engine that is there."""

    instance: str
    name: str
    address: str


class Block(msgspec.Struct, frozen=True):
    """Whose a block is. The address is where that host's containers are reached, also while its engine is away."""

    instance: str
    name: str
    address: str


class Place(msgspec.Struct, frozen=True):
    """Who has an address. Without ``endpoint`` it is a gateway, or a container that is about to start."""

    instance: str
    endpoint: str = ""
    container: str = ""
    name: str = ""
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    names: tuple[str, ...] = ()


class Secret(msgspec.Struct, frozen=True):
    """``id`` counts up."""

    id: int
    key: bytes


class Secrets(msgspec.Struct, frozen=True):
    """The oldest first."""

    keys: list[Secret]
    made_s: float


class Esp(msgspec.Struct, frozen=True):
    """A host that takes what is encrypted under every secret up to ``newest``."""

    instance: str
    address: str
    nonce: str
    newest: int


class Gone(msgspec.Struct, frozen=True):
    """A host that is not there, and since when, by the clock of the one that missed it."""

    since_s: float


class Keys:
    """The keys below one path."""

    def __init__(self, path: str) -> None:
        self.top = f"{path}/"
        self.epoch = f"{path}/epoch"
        self.secrets = f"{path}/secrets"

    def host(self, instance: str) -> str:
        return f"{self.top}hosts/{instance}"

    def esp(self, instance: str) -> str:
        return f"{self.top}esp/{instance}"

    def gone(self, instance: str) -> str:
        return f"{self.top}gone/{instance}"

    def network(self, network_id: str) -> str:
        return f"{self.top}networks/{network_id}"

    def block(self, network_id: str, block: str) -> str:
        return f"{self.top}blocks/{network_id}/{block}"

    def address(self, network_id: str, address: str) -> str:
        return f"{self.top}addresses/{network_id}/{address}"

    def split(self, key: str) -> list[str]:
        """``["blocks", network, block]`` and the like."""
        return key.removeprefix(self.top).split("/", 2)


encode = msgspec.json.Encoder().encode
decode_host = msgspec.json.Decoder(Host).decode
decode_block = msgspec.json.Decoder(Block).decode
decode_place = msgspec.json.Decoder(Place).decode
decode_secrets = msgspec.json.Decoder(Secrets).decode
decode_esp = msgspec.json.Decoder(Esp).decode
decode_gone = msgspec.json.Decoder(Gone).decode
decode_network = msgspec.json.Decoder(NetworkRecord).decode


def definition(network: NetworkRecord) -> NetworkRecord:
    """A network without what is one host's: its blocks, and the gateways that follow from them."""
    subnets = [msgspec.structs.replace(s, gateway=network.gateways_asked.get(s.subnet, "")) for s in network.subnets]
    return msgspec.structs.replace(network, subnets=subnets, blocks=[])


def subnet_of(network: NetworkRecord, version: int) -> Subnet | None:
    return network.v4 if version == 4 else network.v6
