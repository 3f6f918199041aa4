"""Container logs: written by the shim (plain code, tiny imports), read back by the daemon.

    writer.py              ``LogWriter``: the contract; ``open_writer`` picks a driver
    drivers/json_file.py   Docker's json-file: one JSON object a line, rotated by size
    reader.py              tail, since, until, follow, timestamps, as bytes ready for the wire (daemon only)

    <data-root>/containers/<id>/<id>-json.log      newest
                                <id>-json.log.1    the one before, and so on

A container never waits for its log: a full disk loses lines and counts them, it stops nobody.
"""
