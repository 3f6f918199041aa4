"""The one table from error kinds to HTTP statuses."""

from __future__ import annotations

from berth.base import errors as e

STATUS: dict[type[e.BerthError], int] = {
    e.InvalidArgument: 400, e.Unauthorized: 401, e.Forbidden: 403, e.NotFound: 404, e.Conflict: 409,
    e.AlreadyExists: 409, e.NotModified: 304, e.TooLarge: 413, e.Unsupported: 501, e.Unavailable: 503,
    e.DeadlineExceeded: 504, e.ResourceExhausted: 500, e.DataLoss: 500, e.Internal: 500,
}  # fmt: skip


def status_of(err: e.BerthError) -> int:
    for cls in type(err).__mro__:
        if cls in STATUS:
            return STATUS[cls]
    return 500
