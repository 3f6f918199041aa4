"""``--init``: a static program of a few hundred bytes that reaps and forwards signals, built from ``small_init.c``.

It must run in any image, so it can be neither Python nor linked to anything. ``tools/build_init.py`` rebuilds it.
"""

from __future__ import annotations

import base64
import os
import platform
import zlib

from berth.base.errors import Unsupported

_BINARIES = {
    "x86_64": (
        "eNqrd/VxY2JkZIABJgY7BhBvA4MDmO8AFa9ggisBilkA1TkwMANJkFp2sHoIgOmD0VuhRsNomE2BT0tS2BiIBwJQ2qPzuUfzkw8vQGzHcMNvjm"
        "GOoY4hocE+3eoenb89jruofPgPBB6dJSo/PJv/MNWLG15yBaEDO54DteyvB5txjZ91Lx/IhL0gbwElDS857uIAS73w6C1R+eDT+Z6fFahvhwVI"
        "kyBMk2fnQY/WA/ytk4ECO3KBhE/neZ/Ocz6dp/hZDU/uUAeKdPqovOFn3ScQAmS6qLzx6A1RebMD5Hp+VrgVQNOBWkAW/QDb4tUb8ljAo7dYwq"
        "O7WmKHNVgxxLl1YDsgFjjubwDydtuBzOjNUXnjuMcWyPRsPvvfcR8oWF+rVt5B9motSOyER/MPwRIjoLhH5w2ga4HuhHoVqM6n84dHb43KB7Df"
        "PDqPAf1Wef71PU/LgyWKhgcgZgHdCvZH5zufzgc+nZ+AClsP1N95vaMbKNp5iH/bkeZH9SVsvU0gxwFtSf6B5Aawwa+3MOgVZxSXFJUkJjHola"
        "RWlDBQDrihaYkdI92hpjcYQOOC+cxYzE2FpnNBBvz6Aelqux4="
    ),
    "aarch64": (
        "eNqtUr9LHEEU/mbn1AOP3B0hKBzkVqvD4po0FilGkojFFSrXB39csElzbnGEgItpJNFijUUIFqa7XGUjYqWkujarf8DuwYWgpLhOITh5sztj1s"
        "PCwgfD4735vve+N/PWXlWmLcZgzMIhVLQPEcVC579YNxDKTRJOIAUeYYcifGyGZ3xblzY+rXFzXWd5EPe3nPYBh0elduQH/PzF0RqCuALc7WCN"
        "fZdp9DIM1faw6wdZ12dwfYsOp5OCinEWvoD3O+f6wtyx/3cbBde3rZjHda5LPYpA72QABzOPNe6J61NPX2ZxpOImp/z6R7/zDF5AOWiu6RMuwT"
        "O9Ig18sNVJw2sW4j4/MtYne3PqUt0p7ScJ7SoXkOZSPjFPQnNI+iDlYfElejbNHvCBVikX1+1JOTJxLaP32KOafygOSeOGHenfHk+8jZlFzbr1"
        "V1aPgYtvxA2z4kjxx0dRF7DyY89nTpUGvBefbbhfmdZxTrWT/8TezSPVeMoKmWKUG6VTuZZyR+3B1CMb5dWVVafuLCyi7NQaDsq1lddv6gtva3"
        "gQG1Ya9G7e3svYdtltfKqPn9d8s/azltA+jkt9+HRfrLj8Dl0NzS/cgU/aP0NNvAE="
    ),
}


def binary(machine: str) -> bytes:
    """The ELF file for a machine (``platform.machine()``'s word). Raises: Unsupported."""
    text = _BINARIES.get(machine)
    if text is None:
        raise Unsupported(f"--init: there is no small init for {machine}")
    return zlib.decompress(base64.b64decode(text))


def write(path: str) -> str:
    """Put this machine's init at ``path`` (replaced atomically) and return it; "" where there is none."""
    try:
        raw = binary(platform.machine())
    except Unsupported:
        return ""
    temporary = path + ".new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o555)
    try:
        os.write(fd, raw)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    return path
