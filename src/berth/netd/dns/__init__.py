"""DNS for containers, at 127.0.0.11 in their own network namespaces. Part of netd: one thread, answers while the daemon is dead.

    message.py    questions and answers on the wire (pure)
    names.py      ``Names``: who is called what in which network (pure)
    ready.py      ``Ready``: answers that are right until a name changes (pure)
    hosts.py      the host's own resolvers, read anew when /etc/resolv.conf has changed
    forward.py    a question to resolvers outside, one socket each, over UDP or TCP
    service.py    ``Resolver``: one container's sockets; what is answered here and what goes outside

    container ── 127.0.0.11:53 ── (a rewrite in its namespace) ── udp/tcp sockets of ours, passed in by the daemon
                                        known here?  yes: answer, addresses in turn
                                                     no:  container's --dns from inside its namespace, else the host's resolvers;
                                                          a container of internal networks only asks nobody outside

Spec: RFC 1035, RFC 6891 (EDNS sizes), RFC 7766 (TCP).
"""
