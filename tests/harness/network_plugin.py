"""A stand-in for somebody's network plugin: NetworkDriver and IpamDriver on a unix socket. It bridges with veth pairs.

Run as a program in a room: ``python network_plugin.py SOCKET CALLS``. Every call is a line of JSON in CALLS. An option
``refuse=WORDS`` of a network makes it refuse the network. While there is a file ``CALLS.stall`` it answers nothing.
"""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

BRIDGE = "plugbr0"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class StandIn:
    """The methods, by name."""

    def __init__(self, calls: str) -> None:
        self.calls = calls
        self.given = 10

    def answer(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        with open(self.calls, "a", encoding="utf-8") as file:
            file.write(json.dumps([method, body]) + "\n")
        while os.path.exists(f"{self.calls}.stall"):
            time.sleep(0.02)
        found = getattr(self, method.replace(".", "_"), None)
        return found(body) or {} if found is not None else {}

    def Plugin_Activate(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"Implements": ["NetworkDriver", "IpamDriver"]}

    def NetworkDriver_GetCapabilities(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"Scope": "local", "ConnectivityScope": "local"}

    def NetworkDriver_CreateNetwork(self, body: dict[str, Any]) -> dict[str, Any] | None:
        options = body["Options"]["com.docker.network.generic"]
        if options.get("refuse"):
            return {"Err": options["refuse"]}
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("address", "add", body["IPv4Data"][0]["Gateway"], "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        return None

    def NetworkDriver_DeleteNetwork(self, body: dict[str, Any]) -> None:
        ip("link", "delete", BRIDGE)

    def NetworkDriver_CreateEndpoint(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["Interface"]["MacAddress"]:
            return {"Interface": {}}
        return {"Interface": {"MacAddress": "02:70:" + ":".join(body["EndpointID"][n : n + 2] for n in range(0, 8, 2))}}

    def NetworkDriver_Join(self, body: dict[str, Any]) -> dict[str, Any]:
        tail = body["EndpointID"][:8]
        assert os.path.exists(body["SandboxKey"])
        ip("link", "add", f"ph{tail}", "type", "veth", "peer", "name", f"pc{tail}")
        ip("link", "set", f"ph{tail}", "master", BRIDGE, "up")
        return {
            "InterfaceName": {"SrcName": f"pc{tail}", "DstPrefix": "plug"}, "Gateway": "10.66.0.1",
            "StaticRoutes": [{"Destination": "10.67.0.0/16", "RouteType": 0, "NextHop": "10.66.0.1"},
                             {"Destination": "10.68.0.0/16", "RouteType": 1}],
        }  # fmt: skip

    def NetworkDriver_Leave(self, body: dict[str, Any]) -> None:
        subprocess.run(["ip", "link", "delete", f"ph{body['EndpointID'][:8]}"], capture_output=True)

    def IpamDriver_GetCapabilities(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"RequiresRequestReplay": True}

    def IpamDriver_GetDefaultAddressSpaces(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"LocalDefaultAddressSpace": "here", "GlobalDefaultAddressSpace": "everywhere"}

    def IpamDriver_RequestPool(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"PoolID": "pool-1", "Pool": body["Pool"] or "10.69.0.0/24"}

    def IpamDriver_RequestAddress(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["Options"].get("RequestAddressType") == "com.docker.network.gateway":
            return {"Address": "10.69.0.254/24"}
        self.given += 1
        return {"Address": f"{body['Address'] or f'10.69.0.{self.given}'}/24"}


class Server(socketserver.ThreadingUnixStreamServer):
    def get_request(self) -> tuple[Any, Any]:
        connection, _ = super().get_request()
        return connection, ("plugin", 0)


def main(socket: str, calls: str) -> None:
    stand_in = StandIn(calls)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            try:
                answer, status = stand_in.answer(self.path.strip("/"), body), 200
            except Exception as err:
                answer, status = {"Err": repr(err)}, 500
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *words: Any) -> None:
            return

    with Server(socket, Handler) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
