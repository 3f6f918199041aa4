"""The client's tower: an Engine API over a socket, synchronously, with imports that cost nothing.

    http.py     HTTP/1.1 over unix and TCP sockets: keep-alive, streams, uploads, hijacking with half-close
    engine.py   ``Engine``: where it is, which version it speaks, requests with errors as kinds

Knows no engine code: it works against any Docker engine.
"""
