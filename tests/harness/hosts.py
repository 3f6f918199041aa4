"""``Hosts``: two hosts in namespaces of their own that share a real etcd.

    store (etcd) ═══ east ═══ west ═══ store

The wire between the hosts carries what they say to one another, those to the store carry nothing else than the store.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

from harness.etcd import EtcdServer
from harness.eventually import PATIENCE
from harness.rooms import Room, RoomDaemon

TTL_S = int(3 * PATIENCE)
KEYS = "berth/networks/v1/"


class Hosts:
    """Two hosts, their daemons and the store; ``options`` are more of --cluster-store-opt."""

    def __init__(self, stack: ExitStack, *options: str) -> None:
        self._options = options
        self._stack = stack
        rooms = [self._room() for _ in range(3)]
        self.store_room, self.east_room, self.west_room = rooms
        self.store_room.wire(self.east_room, ["10.99.1.1/24"], ["10.99.1.2/24"])
        self._wire_west()
        self.etcd = EtcdServer(self.store_room, "127.0.0.1").start()
        stack.callback(self.etcd.close)
        self.east = self._daemon(stack, self.east_room, "10.99.1.1", "10.99.0.1")
        self.west = self._daemon(stack, self.west_room, "10.99.2.1", "10.99.0.2:2376")

    def _room(self) -> Room:
        room = Room()
        self._stack.callback(room.close)
        return room

    def _wire_west(self) -> None:
        self.wire = self.east_room.wire(self.west_room, ["10.99.0.1/24"], ["10.99.0.2/24"])
        self.store_room.wire(self.west_room, ["10.99.2.1/24"], ["10.99.2.2/24"])

    def reboot_west(self) -> None:
        """West loses its power and comes back: everything of the kernel's is new, what is on its disk is there."""
        self.west.power_off()
        self.west_room.close()
        self.west.room = self.west_room = self._room()
        self._wire_west()
        self.west.start()

    def _daemon(self, stack: ExitStack, room: Room, store: str, advertise: str) -> RoomDaemon:
        daemon = RoomDaemon(
            room, "--cluster-store", f"etcd://{store}:2379", "--cluster-advertise", advertise,
            *(f"--cluster-store-opt={o}" for o in (f"discovery.ttl={TTL_S}", "discovery.heartbeat=1", *self._options)),
        )  # fmt: skip
        stack.callback(daemon.close)
        daemon.start()
        daemon.load_busybox()
        return daemon


def network(daemon: RoomDaemon, name: str) -> dict[str, Any]:
    return dict(json.loads(daemon.docker("network", "inspect", name).out)[0])


def names(daemon: RoomDaemon) -> list[str]:
    return daemon.docker("network", "ls", "--format", "{{.Name}}").lines


def pings(daemon: RoomDaemon, container: str, target: str, *flags: str) -> bool:
    said = daemon.docker("exec", container, "ping", "-c1", "-W1", *flags, target, check=False).out
    return "1 packets received" in said


def run(daemon: RoomDaemon, name: str, *flags: str) -> None:
    daemon.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def address(daemon: RoomDaemon, container: str, net: str) -> str:
    return str(daemon.inspect(container)["NetworkSettings"]["Networks"][net]["IPAddress"])
