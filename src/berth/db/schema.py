"""The schema, as numbered migrations. Never edit one that has been released: append.

containers   id PK, name UNIQUE, created_ns, doc        doc: JSON, see engine/containers/record.py
images       image_id PK, created_ns, doc               doc: JSON, see images/store.py
image_names  name PK (docker.io/library/x:tag or @digest), image_id, updated_ns
blobs        digest PK, size, media_type, created_ns    what content/ holds
leases       id PK, created_ns, expires_ns;  lease_refs (lease_id, kind, key)
image_variants (name, platform) PK, image_id, target    the images of a name by platform; target: the document it means
snapshots    key PK, name (dir number), parent, kind ('active'|'committed'), chain_id, size, disk (bytes on the disk, or NULL),
             boot (the machine's boot under which it was written, NULL once it is known to be on the disk)
networks     id PK, name, doc                           doc: JSON, see networks/
endpoints    id PK, container_id, network_id, doc       addresses, published ports
volumes      name PK, doc
"""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE containers (id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, created_ns INTEGER NOT NULL,
                             doc TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE images (image_id TEXT PRIMARY KEY, created_ns INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE image_names (name TEXT PRIMARY KEY, image_id TEXT NOT NULL, updated_ns INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX image_names_by_image ON image_names (image_id);
    CREATE TABLE blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, media_type TEXT NOT NULL DEFAULT '',
                        created_ns INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE leases (id TEXT PRIMARY KEY, created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE lease_refs (lease_id TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
                             PRIMARY KEY (lease_id, kind, key)) WITHOUT ROWID;
    CREATE TABLE snapshots (key TEXT PRIMARY KEY, name INTEGER UNIQUE NOT NULL, parent TEXT, kind TEXT NOT NULL,
                            chain_id TEXT, size INTEGER) WITHOUT ROWID;
    CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE endpoints (id TEXT PRIMARY KEY, container_id TEXT NOT NULL, network_id TEXT NOT NULL,
                            doc TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX endpoints_by_container ON endpoints (container_id);
    CREATE TABLE volumes (name TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE image_variants (name TEXT NOT NULL, platform TEXT NOT NULL, image_id TEXT NOT NULL, target TEXT NOT NULL,
                                 PRIMARY KEY (name, platform)) WITHOUT ROWID;
    ALTER TABLE snapshots ADD COLUMN disk INTEGER;
    """,
    """
    ALTER TABLE snapshots ADD COLUMN boot TEXT;
    """,
)
