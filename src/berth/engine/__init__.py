"""What the user wants: the use cases of the engine, floor 4.

    containers/   one verb a file over ``Container`` (record.py), ``state.py`` the transition table, ``render.py`` the only
                  producer of inspect and list, ``runtime_spec.py`` container → OCI config as a pure function
    images/       pull, load, import, list, remove over the stores
    policy.py     restart policy as a pure decision
    reconcile.py  after a start of the daemon: database × run-root × kernel → decisions
    events.py     the event bus; system.py version and info

Never: HTTP, argument parsing, text for people beyond Docker's sentences.
"""
