"""Containers: one verb a file.

    record.py    ``Container``: the row (``ContainerRow``) and what only lives while the daemon does
    state.py     phases and which verb may meet which phase
    index.py     by id, by name, by prefix
    deps.py      the collaborators every verb gets
    create start stop kill restart remove wait attach logs execs pause rename update top prune: the verbs
    exits.py     what happens when a shim reports an exit
    render.py    inspect and list
    runtime_spec.py  container → OCI runtime config, pure
    service.py   the Protocol of ``api/services.py``, delegating to the verbs

Locks: every verb that changes a container holds ``deps.locks.hold(container.id)``; ``stop`` and ``kill`` give it up while
they wait for the exit, since the exit's own handling takes it.
"""
