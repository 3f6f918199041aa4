"""``Layout``: every path that Berth owns, drawn once.

<data-root>/                       0710, survives reboots
  instance                         8 hex digits: this engine's id, in every kernel object it makes
  berth.db  berth.db-wal           SQLite: containers, names, networks, leases, images, schema version
  content/blobs/sha256/<hex>       verified blobs, by digest
  content/ingest/<key>/            downloads under way: data, offset, expected digest
  snapshots/<id>/fs                a committed layer (read-only by contract), ids are short decimal numbers
  snapshots/<id>/{fs,work}         an active snapshot: overlay upper and work
  snapshots/init/                  empty mount targets, the lowest layer of every container
  containers/<id>/                 <id>-json.log[.N]
  trash/  trash-images/            renamed here first, deleted in the background
  events/                          event journal
  tmp/

<run-root>/                        0711, gone after a reboot; a unix socket path ends at 108 bytes
  berthd.pid  berthd.lock
  berth.sock                       where /var/run/docker.sock is somebody else's
  c/<id[:32]>/shim.sock            the shim's control socket
  c/<id[:32]>/shim.json            pid, start time, boot id, protocol version
  c/<id[:32]>/exit.json            the exit record (temporary name, fsync, rename)
  esp                              the nonce of this host's keys in encrypted overlays, until the kernel forgets them
  resolv.conf                      the host's, as containers that run have it
  containers/<id>/                 hosts, resolv.conf, hostname: written at each start, so that no start waits for a disk
  netd/table.json  netd/netd.sock  what netd serves (replaced atomically), how it is told
  python                           the sealed interpreter, where a memfd cannot serve
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Layout(NamedTuple):
    """Paths under one engine's data-root and run-root (both absolute)."""

    data_root: str
    run_root: str

    @property
    def db(self) -> str:
        return os.path.join(self.data_root, "berth.db")

    @property
    def instance_file(self) -> str:
        return os.path.join(self.data_root, "instance")

    @property
    def content(self) -> str:
        return os.path.join(self.data_root, "content")

    @property
    def snapshots(self) -> str:
        return os.path.join(self.data_root, "snapshots")

    @property
    def containers(self) -> str:
        return os.path.join(self.data_root, "containers")

    @property
    def trash(self) -> str:
        return os.path.join(self.data_root, "trash")

    @property
    def trash_images(self) -> str:
        """Of blobs and layers, deleted by a thread of their own."""
        return os.path.join(self.data_root, "trash-images")

    @property
    def events(self) -> str:
        return os.path.join(self.data_root, "events")

    @property
    def volumes(self) -> str:
        return os.path.join(self.data_root, "volumes")

    @property
    def tmp(self) -> str:
        return os.path.join(self.data_root, "tmp")

    @property
    def pidfile(self) -> str:
        return os.path.join(self.run_root, "berthd.pid")

    @property
    def lockfile(self) -> str:
        return os.path.join(self.run_root, "berthd.lock")

    @property
    def socket(self) -> str:
        return os.path.join(self.run_root, "berth.sock")

    @property
    def networks(self) -> str:
        return os.path.join(self.run_root, "containers")

    @property
    def shims(self) -> str:
        return os.path.join(self.run_root, "c")

    def network_files(self, container_id: str) -> str:
        """Where a container's hosts, hostname and resolv.conf live: they are written anew at each start."""
        return os.path.join(self.networks, container_id)

    @property
    def netd(self) -> str:
        return os.path.join(self.run_root, "netd")

    @property
    def host_resolv_conf(self) -> str:
        return os.path.join(self.run_root, "resolv.conf")

    @property
    def esp(self) -> str:
        return os.path.join(self.run_root, "esp")

    def container_dir(self, container_id: str) -> str:
        """Where a container's log lives."""
        return os.path.join(self.containers, container_id)

    def log_path(self, container_id: str) -> str:
        return os.path.join(self.containers, container_id, f"{container_id}-json.log")

    def shim_dir(self, container_id: str) -> str:
        """Where a container's shim has its socket and records; short, for the 108-byte limit."""
        return os.path.join(self.run_root, "c", container_id[:32])
