"""The daemon's side of the zygote and the shims.

    zygote.py   ``Zygote``: started, asked to fork, started again when it dies
    shim.py     ``Shim``: one shim's protocol as methods; ``adopt`` finds one that outlived a daemon
    pool.py     ``ShimPool``: parked shims, so that a start does not wait for the kernel
    link.py     frames with descriptors over a socket, on the event loop

The protocol is in ``spec/shim.py``.
"""

from berth.shim_client.pool import ShimPool
from berth.shim_client.shim import Shim, adopt
from berth.shim_client.zygote import Zygote

__all__ = ["Shim", "ShimPool", "Zygote", "adopt"]
