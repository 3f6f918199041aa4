"""The ``berth`` command: docker's words, flags, formats and exit codes, as a client of any Engine API.

    main.py       the table of commands (each loaded when it is asked for), global flags, errors to exit codes
    flags.py      flags as docker reads them
    create_body.py  run's options → the create body
    streams.py    terminals, demultiplexing, copying both ways
    progress.py   pull progress; table.py and template.py: output
    commands/     a module per group of verbs

The budget is the time to the first byte on the wire: no import here that a command does not need.
"""
