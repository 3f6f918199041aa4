"""Another OCI runtime (runc, crun, youki, …) in the place of ours: the shim drives its program.

    config.py      our config, with words of our own in it → one that every runtime understands: a pure function
    places.py      root filesystem and sources mounted where a program finds them by path, in the shim's own mount namespace
    program.py     one call of the program; what it logged as an error of ours
    container.py   ``Driven``: create, start, signal, exec, pause, update, remove of one container

    shim                              parked init (ours)          the other runtime
      | unshare mounts, mount the root  | holds the network         |
      |--------------------------- create --bundle B/ ------------->| its init joins the parked one's network
      | kill ------------------------>  (gone)                      |
      | unmount the root                                            |
      |--------------------------- start, exec, pause, … ---------->|
      |<-- SIGCHLD: its init is the shim's child, as ours would be -|

Everything of one container lies below the folder of its shim:

    <shim folder>/b/config.json  b/rootfs/  b/sources/<n>   the bundle; after ``create`` nothing is mounted in it
    <shim folder>/s/                                        the runtime's --root
    <shim folder>/log  pid  tty                             of one call
"""
