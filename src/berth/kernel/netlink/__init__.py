"""Netlink: the dozen messages Berth sends, as declarations, and the socket that carries them.

    wire.py       attributes and tables of attributes: text and numbers in, bytes out, and back
    sock.py       ``Netlink``: requests, batches and dumps with the kernel's answer as an exception
    link.py       bridges, veth pairs born in another namespace, flags, bridge ports
    inet.py       addresses, routes and neighbours
    conntrack.py  forgetting tracked connections

    sendto ─┬─ nlmsghdr {len type flags seq pid} ─ family header (ifinfomsg, ifaddrmsg, ...) ─ attributes ─┐ one or
            └─ nlmsghdr ...                                                                               ─┘ several
    recv   ─── nlmsghdr NLMSG_ERROR {errno, the request's header, attributes: the kernel's own words}

The kernel does the work inside ``sendto``; answers are ready when it returns, so the sockets block and need no loop.
Spec: linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h.
"""
