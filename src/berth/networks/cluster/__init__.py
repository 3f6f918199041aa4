"""Networks that several hosts share, through etcd. Floor 3, part of ``networks``.

    etcd.py       the store on the wire: ranges, transactions, leases and watches of etcd v3 over HTTP
    settings.py   --cluster-store, --cluster-advertise, --cluster-store-opt as one checked value
    records.py    the keys below and what stands at them
    blocks.py     a subnet cut into the blocks that hosts take (pure)
    tunnels.py    which hosts encrypt to one another, with which keys (pure)
    view.py       ``View``: everything that the store says, and what follows from it (pure)
    session.py    ``Session``: one connection after the other, presence, the view kept true, what is this host's put there
    claims.py     ``Claims``: networks, blocks and addresses taken by transaction
    parts.py      ``Parts``, what of this engine the cluster changes
    departed.py   ``Departed``: what was a host's that is gone for good, given back
    local.py      ``Local``: the view made true in this engine
    service.py    ``Cluster``, what ``NetworkService`` asks

    <path>/hosts/<instance>            who is there, at which address; under a lease: gone when the host is
    <path>/gone/<instance>             who is missed, and since when
    <path>/networks/<id>               a network's definition
    <path>/epoch                       written by every transaction that makes or removes a network
    <path>/blocks/<network>/<block>    which host gives addresses of a block, and has its gateway there
    <path>/secrets                     what the keys of encrypted networks are derived from, a new one twice a day
    <path>/esp/<instance>              a host that encrypts: its address, its nonce, the newest secret that it takes
    <path>/addresses/<network>/<ip>    which host's container (or gateway) has an address, and its names

Only presence is under a lease. Blocks and addresses stay while a host is away, since its containers may run on; the names of
absent hosts are not resolved. A host that is missed for ``discovery.forget`` seconds loses them. Nothing of a host's is taken
without a transaction that its presence is part of, so a host that has been without the store for longer than its lease may give
addresses of its own blocks alone.
"""
