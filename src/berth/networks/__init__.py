"""Networks: addresses, endpoints, published ports and the desired firewall rules of one engine. Floor 3.

    service.py    ``NetworkService``, what the engine asks for
    records.py    the rows of ``networks`` and ``endpoints``; options.py the daemon's settings
    drivers/      bridge, host, none behind one contract
    ipam.py       leases of addresses; mac.py hardware addresses
    publish.py    from port bindings to held ports and map elements; ports.py which host port is whose
    ruleset.py    the desired nftables table as a value (pure); firewall.py makes the kernel agree with it
    netd_link.py  the daemon's side of netd
    files.py      /etc/hosts, /etc/hostname, /etc/resolv.conf (pure)
    render.py     inspect and list

Never: HTTP, containers' processes, programs (`ip`, `nft`). The kernel is spoken to through ``kernel.netlink`` and
``kernel.nft``; traffic of IPv4 is all the kernel's, ``netd`` holds the ports and serves what the kernel cannot.
"""
