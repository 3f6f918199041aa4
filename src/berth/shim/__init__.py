"""The zygote and the shims: what stays when the daemon goes.

    zygote.py    exec'd by the daemon from a sealed interpreter; preloads, freezes, seals; forks shims and netd
    preload.py   what must be imported before imports are sealed, and the seal
    main.py      one shim: parked, created, running, ended; the event loop
    streams.py   output of a process to log and clients, input from clients to the process
    conn.py      the daemon's connections: frames, events that wait for their acknowledgement
    records.py   shim.json and exit.json

The protocol is in ``spec/shim.py``. A shim is single-threaded for ever: setns and unshare fail otherwise.

    <run-root>/c/<id>/shim.sock   where a new daemon finds it
                      shim.json   {pid, start_time, boot_id, version, id}
                      exit.json   the exit record
"""
