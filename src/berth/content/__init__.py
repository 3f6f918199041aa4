"""Content: blobs by digest, downloads that can go on after a break, leases, and the collector.

Owns ``<data-root>/content``:

    content/blobs/sha256/<hex>      a verified blob: written elsewhere, synced, then renamed here
    content/ingest/<key>/data       one on its way in; <key> is the hex of the expected digest, or ``u-<random>``

A blob exists when its file is there and its row is in ``blobs``; the file comes first. A file without a row, or a row
without a file, is half of a commit or of a removal that a crash cut short: the next start takes it away.

The life of a blob: a lease names it (``Lease.hold``) → ``Ingest`` → ``commit`` → an image refers to it → the lease ends →
no image refers to it any more → the collector renames it to the trash → deleted in the background.

    blobs.py     ``BlobStore``: find, read, put, sweep        leases.py     what must stay although no image names it yet
    ingest.py    ``Ingest``: one blob on its way in           collector.py  from roots to what may go
    trash.py     renamed first, deleted later

Locks: ``Leases.guard`` makes "is it here, then keep it" and "nobody wants it, away" exclude each other; it is held for
memory work and renames only, never over the database.
Everything here is plain code for worker threads; it knows no event loop.
"""
