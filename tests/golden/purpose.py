"""Where Berth answers otherwise than Docker on purpose: each with its reason."""

from __future__ import annotations

from typing import Any

EVERYWHERE = {
    "GraphDriver.Data.LowerDir": "snapshots/, where Docker has overlay2/",
    "GraphDriver.Data.MergedDir": "an overlay is mounted in the container's own mount namespace only",
    "GraphDriver.Data.UpperDir": "snapshots/",
    "GraphDriver.Data.WorkDir": "snapshots/",
    "HostConfig.CgroupnsMode": "private on cgroup v1 too, where Docker's default is the host's",
    "HostConfig.MaskedPaths": "in the order of their names",
    "HostConfig.Runtime": "our own runtime's name",
}


def refused(err: str) -> dict[str, Any]:
    return {"code": 1, "err": f"Error response from daemon: {err}"}


_IMAGE = {"Type": "image", "Name": "busybox", "Source": "<snapshots>", "Destination": "/data", "Mode": "", "RW": False,
          "Propagation": "rprivate"}  # fmt: skip
CREATE_DIFFERS: dict[str, Any] = {
    # the other default of cgroupns
    "--cgroupns host": {"code": 0, "err": "", "inspect": {"HostConfig.CgroupnsMode": "host"}},
    "--cgroupns private": {"code": 0, "err": "", "inspect": {}},
    # no experiment here: no warning
    "--mount type=image,src={image},dst=/data": {"code": 0, "err": "", "inspect": {
        "HostConfig.Mounts": [{"Type": "image", "Source": "busybox", "Target": "/data"}], "Mounts": [_IMAGE]}},
    "--mount type=image,src={image},dst=/data,image-subpath=bin": {"code": 0, "err": "", "inspect": {
        "HostConfig.Mounts": [{"Type": "image", "Source": "busybox", "Target": "/data", "ImageOptions": {"Subpath": "bin"}}],
        "Mounts": [_IMAGE]}},
    # Docker takes these, and fails when the container starts
    "-v data": refused("invalid mount path: 'data' mount path must be absolute"),
    "-v n:/data": refused("invalid mount path: 'n:/data' mount path must be absolute"),
    # another name than the default's
    "--runtime runc": {"code": 0, "err": "", "inspect": {"HostConfig.Runtime": "runc"}},
}  # fmt: skip


def said(message: str) -> dict[str, Any]:
    return {"status": 400, "message": message}


def _host_config(text: str) -> str:
    return f'{{"Image": "busybox", "HostConfig": {text}}}'


BODIES_DIFFER: dict[str, Any] = {
    # what was wrong is named with its place
    '{"Image": ""}': said("no image specified: the create body's Image is empty"),
    '{"Image": "busybox", "Env": 1}': said("invalid JSON: Expected `array`, got `int` - at `$.Env`"),
    '{"Image": "busybox", "Cmd": 1}': said("invalid JSON: Expected `array`, got `int` - at `$.Cmd`"),
    '{"Image": "busybox", "Tty": "yes"}': said("invalid JSON: Expected `bool`, got `str` - at `$.Tty`"),
    _host_config('"x"'): said("invalid JSON: Expected `object`, got `str` - at `$.HostConfig`"),
    _host_config("1"): said("invalid JSON: Expected `object`, got `int` - at `$.HostConfig`"),
    _host_config('{"CapAdd": "x"}'): said("invalid JSON: Expected `array`, got `str` - at `$.HostConfig.CapAdd`"),
    _host_config('{"BlkioWeight": 70000}'): said("invalid JSON: BlkioWeight 70000 is no number from 0 to 65535"),
    # refused now, not when the container starts
    '{"Image": "busybox", "Volumes": {"x": {}}}': said("invalid mount path: 'x' mount path must be absolute"),
    _host_config('{"SecurityOpt": ["seccomp={"]}'): said(
        "Decoding seccomp profile failed: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    _host_config('{"SecurityOpt": ["seccomp={}"]}'): said("Decoding seccomp profile failed: defaultAction is missing"),
    _host_config('{"CgroupParent": "../x"}'): said("invalid cgroup parent '../x': it leaves the cgroup tree"),
    # the other default of cgroupns
    _host_config('{"CgroupnsMode": "host"}'): {
        "status": 201, "warnings": [], "inspect": {"HostConfig.CgroupnsMode": "host"}},
}  # fmt: skip

_UNKNOWN_PORT = said('invalid port specification: ""')
VERSIONS_DIFFER: dict[str, Any] = {
    # null is an empty list
    _host_config('{"PortBindings": {"80/tcp": null}}'): {
        "status": 201, "warnings": [], "inspect": {"HostConfig.PortBindings": {"80/tcp": []}}},
    # no number of a port
    _host_config('{"PortBindings": {"/tcp": [{"HostPort": "28480"}]}}'): _UNKNOWN_PORT,
    # told now, not when the container starts
    '{"Image": "busybox", "HostConfig": {"NetworkMode": "host"}, "NetworkingConfig": {"EndpointsConfig": {"bridge": {}}}}': said(
        "conflicting options: cannot attach both host network mode and user-defined networks"),
    # Docker's handler dies of it in older versions
    '{"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"bridge": null}}}': said(
        "invalid JSON: Expected `object`, got `null` - at `$.NetworkingConfig.EndpointsConfig[...]`"),
    # = for IPv6, as the command line has it
    _host_config('{"ExtraHosts": ["a:1.2.3.4", "b=::1", "c:host-gateway"]}'): {
        "status": 201, "warnings": [], "inspect": {"HostConfig.ExtraHosts": ["a:1.2.3.4", "b=::1", "c:host-gateway"]}},
    # it has no kernel memory
    _host_config('{"KernelMemory": 67108864}'): {"status": 201, "warnings": [], "inspect": {}},
    # the default
    _host_config('{"CgroupnsMode": "private"}'): {"status": 201, "warnings": [], "inspect": {}},
    # a container of no image
    '{"Cmd": ["x"]}': said("no image specified: the create body's Image is empty"),
    "null": said("invalid JSON: the body must be an object"),
}  # fmt: skip
"""Bodies of version_bodies.txt, in every version."""
NOT_IN_OLDER = dict.fromkeys(("1.24", "1.41"), ("DNSNames", "GwPriority"))
"""Docker shows there what came later; ours does not."""

LIVES_DIFFER: dict[tuple[str, str], str] = {
    ("renamed", "inspect.NetworkSettings.Networks.bridge.DNSNames"): "the default bridge has no DNS",
    ("renamed", "list"): "the default bridge has no DNS",
    ("execs that fail", "said"): "126 for an unknown user, told by the exec, not by its creation",
    ("execs that fail", "events"): "that exec was created",
    **{(life, path): "our runtime has another name, and a network that was never connected is not left"
       for life in ("no such command", "not executable") for path in ("said", "events", "inspect.State.Error")},
}  # fmt: skip
"""(life, path) of what differs, and why."""
