"""Networks: addresses, endpoints, published ports and the desired firewall rules of one engine. Floor 3.

    service.py    ``NetworkService``, what the engine asks for: life, and the parts below as one
    state.py      what the parts share
    catalog.py    networks, by name: creation.py and request.py plan one, filters.py and render.py show them
    plugs.py      endpoints of containers, live too: endpoints.py (pure), sandbox.py (from inside), mac.py
    ports.py      published ports of a container; host_ports.py plans, publishing.py carries out
    healing.py    puts back what somebody else took away
    records.py    the rows of ``networks`` and ``endpoints``; options.py the daemon's settings
    drivers/      bridge, overlay, macvlan, ipvlan, host, none behind one contract
    ipam/         pools and leases of addresses
    ruleset.py    the desired nftables table as a value (pure); firewall.py makes the kernel agree with it
    cluster/      networks that several hosts share, through etcd
    netd_link.py  the daemon's side of netd; resolver.py of its names
    files.py      /etc/hosts, /etc/hostname, /etc/resolv.conf (pure)

Never: HTTP, containers' processes, programs (`ip`, `nft`). The kernel is spoken to through ``kernel.netlink`` and
``kernel.nft``; what it can carry is all the kernel's, ``netd`` holds the ports and serves what the kernel cannot.
"""
