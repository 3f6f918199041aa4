"""HTTP/1.1 for the Engine API, sans framework: one connection class over asyncio, hijacking with half-close, TLS.

    head.py        bytes of a head → ``Head`` (httptools; the head is cut off first, so it never sees a body)
    body.py        how a body is delimited: Content-Length or chunks
    protocol.py    one connection: requests in order, pipelining, answers, early refusals
    request.py     a request and the ways to answer it
    tunnel.py      a hijacked connection whose socket cannot be given away (TLS, websocket) carried over a socketpair
    websocket.py   frames of attach/ws
    tls.py         TLS over memory buffers, because asyncio ends the connection at the peer's close_notify
    server.py      listening sockets and their connections

Nothing here knows a route or an error kind of the engine's.
"""
