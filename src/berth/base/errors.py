"""The one tree of error kinds.

    BerthError
    ├── InvalidArgument      the request is wrong in itself           HTTP 400
    ├── Unauthorized         who are you                              HTTP 401
    ├── Forbidden            not for you                              HTTP 403
    ├── NotFound             no such thing                            HTTP 404
    ├── Conflict             the thing is in another state, or taken  HTTP 409
    │   └── AlreadyExists    the name or id is in use                 HTTP 409
    ├── NotModified          it is so already                         HTTP 304
    ├── TooLarge             a body, layer or line above its bound    HTTP 413
    ├── Unsupported          this host, kernel or build lacks it      HTTP 501
    ├── Unavailable          try again: a peer or service is away     HTTP 503
    ├── DeadlineExceeded     it took longer than was allowed          HTTP 504
    ├── ResourceExhausted    disk, memory, ids, addresses are used up HTTP 500 (507 is unknown to clients)
    ├── DataLoss             what is stored is not what was stored    HTTP 500
    └── Internal             our own fault                            HTTP 500

Raise a kind, add context with ``from err``, ask with ``except NotFound``: never by text, never by status.
Each door (API, CLI, OCI runtime program) has one table from kind to its own code.
Errors cross processes and the database as ``to_wire``'s mapping, and come back as the same kind.
"""

from __future__ import annotations


class BerthError(Exception):
    """What went wrong, as a kind (the class), a sentence for people, and where it happened.

    ``op`` names the system call or step, ``path`` the thing it was done to, ``errno`` the kernel's answer.
    """

    kind = "internal"

    def __init__(
        self, message: str, *, op: str | None = None, path: str | None = None, errno: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.op = op
        self.path = path
        self.errno = errno

    def __str__(self) -> str:
        return self.message

    def to_wire(self) -> dict[str, object]:
        """The mapping ``{kind, message, op, path, errno}`` that crosses process boundaries."""
        return {"kind": self.kind, "message": self.message, "op": self.op, "path": self.path, "errno": self.errno}


class InvalidArgument(BerthError):
    kind = "invalid"


class Unauthorized(BerthError):
    kind = "unauthorized"


class Forbidden(BerthError):
    kind = "forbidden"


class NotFound(BerthError):
    kind = "not_found"


class Conflict(BerthError):
    kind = "conflict"


class AlreadyExists(Conflict):
    kind = "already_exists"


class NotModified(BerthError):
    kind = "not_modified"


class TooLarge(BerthError):
    kind = "too_large"


class Unsupported(BerthError):
    kind = "unsupported"


class Unavailable(BerthError):
    kind = "unavailable"


class DeadlineExceeded(BerthError):
    kind = "deadline"


class ResourceExhausted(BerthError):
    kind = "exhausted"


class DataLoss(BerthError):
    kind = "data_loss"


class Internal(BerthError):
    kind = "internal"


KINDS: dict[str, type[BerthError]] = {
    cls.kind: cls
    for cls in (
        InvalidArgument, Unauthorized, Forbidden, NotFound, Conflict, AlreadyExists, NotModified, TooLarge,
        Unsupported, Unavailable, DeadlineExceeded, ResourceExhausted, DataLoss, Internal,
    )
}  # fmt: skip


def from_wire(wire: dict[str, object]) -> BerthError:
    """The error that ``to_wire`` described; an unknown kind becomes ``Internal``."""
    cls = KINDS.get(str(wire.get("kind")), Internal)
    errno = wire.get("errno")
    op, path = wire.get("op"), wire.get("path")
    return cls(
        str(wire.get("message") or "unknown error"),
        op=str(op) if op is not None else None,
        path=str(path) if path is not None else None,
        errno=errno if isinstance(errno, int) else None,
    )


_ERRNO_KINDS: dict[int, type[BerthError]] = {
    1: Forbidden,  # EPERM
    2: NotFound,  # ENOENT
    13: Forbidden,  # EACCES
    17: AlreadyExists,  # EEXIST
    22: InvalidArgument,  # EINVAL
    28: ResourceExhausted,  # ENOSPC
    38: Unsupported,  # ENOSYS
    95: Unsupported,  # EOPNOTSUPP
    122: ResourceExhausted,  # EDQUOT
}


def from_oserror(err: OSError, doing: str, *, op: str | None = None, path: str | None = None) -> BerthError:
    """An ``OSError`` as the kind its errno means; ``doing`` is the step in words ("mount overlay on /x")."""
    import os  # not above: the client's start is counted in half milliseconds

    cls = _ERRNO_KINDS.get(err.errno or 0, Internal)
    where = path if path is not None else (str(err.filename) if err.filename is not None else None)
    text = os.strerror(err.errno) if err.errno else str(err)
    return cls(f"{doing}: {text.lower()}", op=op, path=where, errno=err.errno)
