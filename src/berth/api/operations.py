"""What the routes take and give, for the OpenAPI document: types of our own, query parameters, statuses.

Keyed by ``module.handler``. A route without an entry is still in the document, with its path and nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from berth.api import codec
from berth.spec.api import containers as c
from berth.spec.api import images as i
from berth.spec.api import networks as n
from berth.spec.api import system as s
from berth.spec.api import volumes as v

STREAM = "stream"
"""An answer without a length: raw bytes, frames of both streams, or JSON documents one a line."""


class Operation(NamedTuple):
    """``query``: name → kind (boolean, integer, string, filters, time). ``answers``: status → type, None or STREAM."""

    summary: str
    answers: dict[int, Any]
    query: Mapping[str, str] = MappingProxyType({})
    body: Any = None
    errors: tuple[int, ...] = ()


_STREAMS = {"logs": "boolean", "stream": "boolean", "stdin": "boolean", "stdout": "boolean", "stderr": "boolean",
            "detachKeys": "string"}  # fmt: skip
_SIZE = {"h": "integer", "w": "integer"}
_PATH = {"path": "string"}
_ONE = (404,)
_CHANGE = (404, 409)

OPERATIONS: dict[str, Operation] = {
    "system.ping": Operation("Whether the engine answers, and what it speaks (in headers)", {200: str}),
    "system.version": Operation("Versions of the engine and its parts", {200: s.SystemVersion}),
    "system.info": Operation("The engine and its host", {200: s.SystemInfo}),
    "system.events": Operation(
        "What happens, as it happens", {200: STREAM}, {"since": "time", "until": "time", "filters": "filters"},
        errors=(400,),
    ),
    "system.disk_usage": Operation("What takes up space", {200: dict[str, Any]}, {"type": "string"}),
    "system.plugins": Operation("There are none", {200: list[dict[str, Any]]}, {"filters": "filters"}),
    "system.prune_build": Operation("There is no build cache", {200: dict[str, Any]}, {"filters": "filters"}),
    "registries.auth": Operation("Check credentials for a registry", {200: dict[str, str]}, body=i.AuthConfig,
                                 errors=(400, 401)),
    "containers.list_": Operation(
        "Containers, the newest first", {200: list[c.ContainerSummary]},
        {"all": "boolean", "limit": "integer", "size": "boolean", "filters": "filters"}, errors=(400,),
    ),
    "containers.create": Operation(
        "Make a container", {201: c.ContainerCreateResponse}, {"name": "string", "platform": "string"}, codec.CreateBody,
        (400, 404, 409),
    ),
    "containers.prune": Operation("Remove what is stopped", {200: dict[str, Any]}, {"filters": "filters"}, errors=(400,)),
    "containers.inspect": Operation("All about one", {200: c.ContainerInspectResponse}, {"size": "boolean"}, errors=_ONE),
    "containers.start": Operation("Start it", {204: None, 304: None}, {"detachKeys": "string"}, errors=(400, *_CHANGE)),
    "containers.stop": Operation("Stop it", {204: None, 304: None}, {"t": "integer", "signal": "string"},
                                 errors=(400, *_CHANGE)),
    "containers.restart": Operation("Stop and start it", {204: None}, {"t": "integer", "signal": "string"},
                                    errors=(400, *_CHANGE)),
    "containers.kill": Operation("Send it a signal", {204: None}, {"signal": "string"}, errors=(400, *_CHANGE)),
    "containers.pause": Operation("Freeze its processes", {204: None}, errors=_CHANGE),
    "containers.unpause": Operation("Let them run on", {204: None}, errors=_CHANGE),
    "containers.rename": Operation("Give it another name", {204: None}, {"name": "string"}, errors=(400, *_CHANGE)),
    "containers.update": Operation("Change its limits and restart policy", {200: c.ContainerUpdateResponse},
                                   body=codec.UpdateBody, errors=(400, *_CHANGE)),
    "containers.top": Operation("Its processes", {200: c.ContainerTopResponse}, {"ps_args": "string"},
                                errors=(400, *_CHANGE)),
    "containers.wait": Operation("Wait until it has ended", {200: c.ContainerWaitResponse}, {"condition": "string"},
                                 errors=(400, 404)),
    "containers.attach": Operation("Its standard streams, on this connection", {101: None, 200: STREAM}, _STREAMS,
                                   errors=(400, *_CHANGE)),
    "containers.attach_ws": Operation("Its standard streams, over a websocket", {101: None}, _STREAMS,
                                      errors=(400, *_CHANGE)),
    "containers.stats": Operation("What it uses", {200: STREAM}, {"stream": "boolean", "one-shot": "boolean"},
                                  errors=(400, 404)),
    "containers.changes": Operation("What changed in its file system", {200: list[c.FilesystemChange]}, errors=_ONE),
    "containers.export": Operation("Its file system as a tar", {200: STREAM}, errors=_CHANGE),
    "containers.logs": Operation(
        "What it wrote", {200: STREAM},
        {"follow": "boolean", "stdout": "boolean", "stderr": "boolean", "since": "time", "until": "time",
         "timestamps": "boolean", "tail": "string", "details": "boolean"}, errors=(400, 404),
    ),
    "containers.checkpoints": Operation("Of checkpoints: there are none", {}, errors=(501,)),
    "containers.resize": Operation("The size of its terminal", {200: None}, _SIZE, errors=(400, *_CHANGE)),
    "containers.remove": Operation("Remove it", {204: None}, {"force": "boolean", "v": "boolean", "link": "boolean"},
                                   errors=(400, *_CHANGE)),
    "containers.commit": Operation(
        "An image of one", {201: c.IDResponse},
        {"container": "string", "repo": "string", "tag": "string", "comment": "string", "author": "string",
         "pause": "boolean", "changes": "string"}, c.ContainerConfig, (400, *_CHANGE),
    ),
    "archives.head": Operation("What a path in it is", {200: None}, _PATH, errors=(400, 404)),
    "archives.get": Operation("A tar of a path in it", {200: STREAM}, _PATH, errors=(400, 404)),
    "archives.put": Operation("Unpack a tar into a directory of it", {200: None},
                              {**_PATH, "noOverwriteDirNonDir": "boolean", "copyUIDGID": "boolean"}, errors=(400, 404)),
    "execs.create": Operation("Prepare a process in a container", {201: c.IDResponse}, body=codec.ExecCreateBody,
                              errors=(400, *_CHANGE)),
    "execs.start": Operation("Start it, its streams on this connection", {101: None, 200: STREAM},
                             body=codec.ExecStartBody, errors=(400, *_CHANGE)),
    "execs.resize": Operation("The size of its terminal", {200: None}, _SIZE, errors=(400, *_CHANGE)),
    "execs.kill": Operation("Send it a signal", {204: None}, {"signal": "string"}, errors=(400, *_CHANGE)),
    "execs.inspect": Operation("All about one", {200: dict[str, Any]}, errors=_ONE),
    "images.list_": Operation(
        "Images", {200: list[i.ImageSummary]}, {"all": "boolean", "digests": "boolean", "filters": "filters"},
        errors=(400,),
    ),
    "images.inspect": Operation("All about one", {200: i.ImageInspect}, {"platform": "string"}, errors=(400, *_ONE)),
    "images.history": Operation(
        "How it was made", {200: list[i.ImageHistoryResponseItem]}, {"platform": "string"}, errors=(400, *_ONE)
    ),
    "images.create": Operation(
        "Pull or import one", {200: STREAM},
        {"fromImage": "string", "fromSrc": "string", "repo": "string", "tag": "string", "platform": "string"},
        errors=(400, 404),
    ),
    "images.remove": Operation("Remove one", {200: list[i.ImageDeleteResponseItem]},
                               {"force": "boolean", "noprune": "boolean", "platforms": "string"},
                               errors=(400, *_CHANGE)),
    "images.tag": Operation("Give one a name", {201: None}, {"repo": "string", "tag": "string"}, errors=(400, *_CHANGE)),
    "images.load": Operation("Take in an archive of images", {200: STREAM}, {"quiet": "boolean", "platform": "string"},
                             errors=(400,)),
    "images.save": Operation("An archive of images", {200: STREAM}, {"names": "string", "platform": "string"},
                             errors=(400, 404)),
    "images.push": Operation("Send one to its registry", {200: STREAM}, {"tag": "string", "platform": "string"},
                             errors=(400, 404)),
    "registries.search": Operation("Search a registry", {200: list[dict[str, Any]]},
                                   {"term": "string", "limit": "integer", "filters": "filters"}, errors=(400,)),
    "registries.distribution": Operation("What a registry has under a name", {200: dict[str, Any]}, errors=(400, 401, 404)),
    "registries.manifest": Operation("A name's manifest, as the registry has it", {200: dict[str, Any]},
                                     errors=(400, 401, 404)),
    "registries.put_manifest": Operation("Write a manifest list", {201: dict[str, Any]}, body=i.ManifestListRequest,
                                         errors=(400, 401, 404)),
    "registries.tags": Operation("A repository's tags", {200: list[str]}, errors=(400, 401, 404)),
    "registries.referrers": Operation("What refers to a name's manifest", {200: dict[str, Any]}, errors=(400, 401, 404)),
    "registries.catalog": Operation("A registry's repositories", {200: list[str]}, errors=(400, 401, 404)),
    "app.document": Operation("This document", {200: dict[str, Any]}),
    "images.prune": Operation("Remove what nobody uses", {200: dict[str, Any]}, {"filters": "filters"}, errors=(400,)),
    "networks.list_": Operation("Networks", {200: list[n.Network]}, {"filters": "filters"}, errors=(400,)),
    "networks.inspect": Operation("All about one", {200: n.Network}, errors=_ONE),
    "networks.create": Operation("Make one", {201: n.NetworkCreateResponse}, body=n.NetworkCreateRequest,
                                 errors=(400, 403, 409)),
    "networks.remove": Operation("Remove one", {204: None}, errors=(403, *_CHANGE)),
    "networks.connect": Operation("Connect a container", {200: None}, body=n.NetworkConnectRequest,
                                  errors=(400, 403, *_CHANGE)),
    "networks.disconnect": Operation("Disconnect a container", {200: None}, body=n.NetworkDisconnectRequest,
                                     errors=(400, 403, *_CHANGE)),
    "networks.prune": Operation("Remove what nobody uses", {200: dict[str, Any]}, {"filters": "filters"}, errors=(400,)),
    "volumes.list_": Operation("Volumes", {200: v.VolumeListResponse}, {"filters": "filters"}, errors=(400,)),
    "volumes.inspect": Operation("All about one", {200: v.Volume}, errors=_ONE),
    "volumes.create": Operation("Make one", {201: v.Volume}, body=v.VolumeCreateOptions, errors=(400, 404)),
    "volumes.remove": Operation("Remove one", {204: None}, {"force": "boolean"}, errors=_CHANGE),
    "volumes.prune": Operation("Remove what nobody uses", {200: dict[str, Any]}, {"filters": "filters"}, errors=(400,)),
    "swarm.refuse": Operation("Of swarms: this engine is in none", {}, errors=(503,)),
}  # fmt: skip
