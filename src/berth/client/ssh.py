"""ssh:// hosts: the user's own ``ssh`` runs ``docker system dial-stdio`` over there and carries the bytes.

Keys, known hosts, jump hosts and control sockets are ssh's business and its configuration's. Where the other side has no
``docker`` command, ``berth`` is run instead; both join standard input and output with the engine's socket.
"""

from __future__ import annotations

import _socket
import subprocess

from berth.base import spawn
from berth.base.errors import InvalidArgument, Unavailable
from berth.client.dial import PlainStream

_REMOTE = (
    "if command -v docker >/dev/null 2>&1; then exec docker{0} system dial-stdio; fi; exec berth{0} system dial-stdio"
)


class SshStream(PlainStream):
    """Our end of the socket pair whose other end is ssh's standard input and output."""

    process: object = None

    def why_closed(self) -> str:
        """ssh's last words: the reason there is no engine at the other end."""
        process = self.process
        if not isinstance(process, subprocess.Popen):
            return ""
        raw = process.stderr.read() if process.stderr is not None else b""
        status = process.wait()
        said = raw.decode("utf-8", "replace").strip()
        return f"error during connect: ssh ended with status {status}" + (f": {said}" if said else "")


def parse(url: str) -> tuple[list[str], str]:
    """ssh's arguments up to the host, and the socket's path over there. Raises: InvalidArgument."""
    rest = url.removeprefix("ssh://")
    where, _, path = rest.partition("/")
    user, at, host = where.rpartition("@")
    if ":" in user:
        raise InvalidArgument(f"invalid SSH URL: plain-text password is not supported: {url.replace(user, 'USER:***')}")
    host, port = _host_port(host)
    if not host or host.startswith("-") or user.startswith("-") or "?" in rest or "#" in rest:
        raise InvalidArgument(f"invalid SSH URL: {url}: write ssh://[user@]host[:port][/path/of/the.sock]")
    arguments = ["-o", "ConnectTimeout=30", "-T"]
    if at and user:
        arguments += ["-l", user]
    if port:
        arguments += ["-p", port]
    return [*arguments, "--", host], f"/{path}" if path.strip("/") else ""


def _host_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, tail = text[1:].partition("]")
        return host, tail.removeprefix(":")
    host, _, port = text.partition(":")
    if port and not port.isdigit():
        raise InvalidArgument(f"invalid SSH URL: {port} is no port")
    return host, port


def command(url: str) -> list[str]:
    """The program and its arguments. Raises: InvalidArgument."""
    arguments, path = parse(url)
    if any(c in path for c in "'\"\\$`; \n"):
        raise InvalidArgument(f"invalid SSH URL: {path} is no plain path of a socket")
    remote = _REMOTE.format(f" --host unix://{path}" if path else "")
    return ["ssh", *arguments, f"sh -c '{remote}'"]


def dial_ssh(url: str) -> SshStream:
    """Raises: Unavailable when there is no ssh here; InvalidArgument for a wrong URL."""
    argv = command(url)
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    stream = SshStream(fileno=ours.detach())
    try:
        fd = theirs.fileno()
        # a session of its own: an interrupt at the terminal is for the container, not for the wire to it
        stream.process = spawn.start(argv, stdin=fd, stdout=fd, stderr=subprocess.PIPE, new_session=True)
    except OSError as err:
        stream.close()
        raise Unavailable(
            f"error during connect: cannot run ssh for {url}: {err.strerror}: install openssh-client"
        ) from err
    finally:
        theirs.close()
    return stream
