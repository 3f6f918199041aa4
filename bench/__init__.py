"""The bench: named cases, medians, Berth beside Docker in the same run and with the same client.

``python -m bench`` (``make bench``) prepares both engines, runs every case on both, and prints one table.

    engines.py   the two engines as things that start, stop and name their processes
    peer.py      Docker from Debian's newest suite, unpacked into a private root (nothing is installed)
    rooms.py     a private mount and network namespace, so that neither engine touches the machine's own links and rules
    cases.py     the cases by name
    load.py      the load generator: Engine API over raw connections, no CLI
    memory.py    PSS of an engine's processes
    report.py    the table, as text and as JSON
    runtimes.py  a program of its own: our runtime beside runc and crun
"""
