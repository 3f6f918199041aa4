"""netd: one small process an engine, for what the kernel cannot do for its networks. It outlives the daemon. Floor 2.

Answers DNS at 127.0.0.11 in the network namespaces of containers. Owns the sockets that hold published ports against other
programs of the host, and carries connections that come over IPv6
(``::1`` too) to containers that only speak IPv4. IPv4 itself is the kernel's alone. One thread, one epoll, imports nothing
after its start.

    protocol.py  the messages, the version, ``Hold``
    loop.py      descriptors to callbacks
    holds.py     the held sockets and which of them are carried
    tcp.py udp.py  the carrying
    dns/         names of containers, and the way to resolvers outside
    table.py     the file that a successor starts from
    server.py    who may ask, and the answers; main.py ``run``

    daemon ── SEQPACKET <run>/netd/netd.sock ── netd          (peers of uid 0 only; one message a packet, JSON)
      hello {instance, version}  →  {version, pid, holds: how many}
      hold {holds: [...]}        →  {} or error {errno, index}: all of them or none
      release {places: [...]}    →  {released: how many}, their carried connections cut
      list {from}                →  {holds: [...], more: bool}
      serve {sandbox, settings, members} + fds  →  {}: DNS for a container on these sockets; without fds: other settings
      join {members}             →  {}
      leave {endpoints, sandboxes} →  {}: unknown from now on, their sockets closed
      served {from}              →  {sandboxes, endpoints, more}
      quit                       →  {}, and it ends

It ends by itself when it holds nothing and no daemon is connected. Its table is written to a file, by a rename, after each
burst of changes: a new netd (after an upgrade, or a crash) takes up from there, before it answers anybody.
"""
