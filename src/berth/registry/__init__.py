"""The registry client: from a reference to bytes, over the OCI distribution API.

    hosts.py      which servers a name means, and how they may be spoken to (pure)
    challenge.py  WWW-Authenticate, and who may see credentials (pure)
    transport.py  one HTTP exchange: proxies, redirects without credentials, timeouts, Docker's sentences for failures
    tokens.py     bearer tokens: fetched, kept for as long as they last
    client.py     ``Repository``: manifests by tag or digest, blobs from any byte on

    pull:  GET /v2/<path>/manifests/<tag> -> 401 + challenge -> GET <realm>?scope=... -> token -> manifest
           GET /v2/<path>/blobs/<digest>  -> 307 elsewhere (no credentials go along) -> bytes, verified by who stores them

aiohttp is imported at the first exchange only (170 ms, 16 MB), and not at all where the name does not resolve.
Never here: files, the database, progress messages.
Spec: OCI distribution-spec 1.1; Docker's token authentication.
"""
