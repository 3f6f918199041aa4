"""``Hub``: a loopback mirror of docker.io with images made from Debian's packages under the names that tutorials use.

    with Hub() as hub, Daemon("--registry-mirror", hub.url) as engine:
        hub.offer("nginx", "redis")                    made at the first time, then kept in the tests' cache
        engine.docker("run", "-d", "-p", "8080:80", "nginx")

``python -m harness.hub nginx redis`` (with PYTHONPATH=tests) serves them until it is interrupted.

    recipes.py    what each image is made of and how it is started
    rootfs.py     packages to layers: mmdebstrap for the base, apt and dpkg in an overlay above it for the rest
    server.py     the mirror
    files/        what an image has beside its packages: entry points, and ``<name>.setup``, run inside when it is made

Configs are what the official images have: ports, volumes, working directory, environment, entry point, command, signal.
What differs: versions are Debian 12's, any tag that looks like a version or a variant means the same image (``-alpine`` too:
it is Debian, and has no apk), ``ubuntu`` is Debian, ``mysql`` is MariaDB. There is no ``alpine``: its packages are not Debian's.
"""

from harness.hub.recipes import RECIPES
from harness.hub.server import Hub

__all__ = ["RECIPES", "Hub"]
