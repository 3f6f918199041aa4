"""The Engine API's door: HTTP in, services asked, HTTP out.

    app.py        ``App``: routes, versions, listening
    http/         the server: parser, request, response streams, hijacking
    errors.py     the one table from error kinds to statuses
    codec.py      bodies, queries, filters, times: text becomes typed here
    services.py   what is asked of the engine, as Protocols
    system.py containers.py archives.py execs.py images.py networks.py swarm.py   a module per noun

Handlers validate, call one method, encode. They choose no error status and touch no store.
"""
