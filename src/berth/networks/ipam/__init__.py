"""IPAM: which subnets networks get, and which of a subnet's addresses are leased. Pure, in memory, but for remote.py.

    config.py   an API body's IPAM part, checked: ``Subnet`` values
    pools.py    the default address pools: the first piece that overlaps with nothing on this host
    leases.py   ``Leases``: one subnet's addresses
    remote.py   addresses from somebody else's program, by Docker's remote IPAM protocol
    book.py     ``AddressBook``: the leases of every network

The rows of endpoints are the lasting record: a daemon that starts adopts the addresses of living endpoints from them, so a
crash between two leases can neither lose one nor give one twice.
"""
