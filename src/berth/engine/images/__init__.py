"""Images: pull, load, import, tag, list, inspect, history, remove; and root filesystems for containers.

    settings.py  what the daemon's settings decide here
    record.py    ``ImageRecord`` and ``PreparedRootfs``: what containers get
    service.py   ``ImageService``: the ``Images`` Protocol of api/services.py, and the seam to engine/containers
    durable.py   layers and the machine's death
    pull load import_ remove: the verbs;  render.py list, inspect and history;  progress.py Docker's progress messages

The stores below (content, snapshots, images, registry) are plain code; what blocks runs in this package's named threads.
"""
