"""From blobs to snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from berth.base.errors import BerthError, DataLoss, InvalidArgument, TooLarge, from_oserror
from berth.snapshots.apply import Applied, Limits, Report, apply_layer

if TYPE_CHECKING:
    from berth.content.blobs import BlobStore
    from berth.snapshots.overlay import Snapshots


def unpack_layer(
    blobs: BlobStore, snapshots: Snapshots, blob: str, parent: str, chain_id: str, diff_id: str, limits: Limits,
    report: Report | None = None,
) -> None:  # fmt: skip
    """Make the snapshot ``chain_id`` from a layer's blob over the chain ``parent``; blocking. After: a lease holds both.

    For small layers; ``engine/images/unpacker.py`` has the others unpacked by processes.
    Raises: DataLoss when the layer is not the one that the config names, InvalidArgument for a hostile one.
    """
    draft = snapshots.draft(parent)
    try:
        try:
            with open(blobs.path(blob), "rb", buffering=0) as raw:
                applied = apply_layer(raw, draft.path, flat=snapshots.flat, limits=limits, report=report)
        except OSError as err:
            raise from_oserror(err, f"read blob {blob}") from err
        except (InvalidArgument, TooLarge) as err:
            raise refusal(blob, err) from err
        check_diff_id(blob, applied, diff_id)
    except BaseException:
        snapshots.abandon(draft)
        raise
    snapshots.commit(draft, parent, chain_id, applied)


def refusal(blob: str, err: BerthError) -> BerthError:
    """A layer that cannot be unpacked, with its name."""
    return type(err)(f"failed to register layer {blob}: {err.message}")


def check_diff_id(blob: str, applied: Applied, diff_id: str) -> None:
    """Raises: DataLoss when a layer is not what its image's config says."""
    if applied.diff_id != diff_id:
        raise DataLoss(f"layer {blob} has the diff id {applied.diff_id}, its image's config names {diff_id}")
