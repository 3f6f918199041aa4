"""SQLite: one file, WAL, one writer thread, numbered migrations.

Owns the connection, the schema (drawn in ``schema.py``) and transactions; it knows nothing of what a row means.
"""
