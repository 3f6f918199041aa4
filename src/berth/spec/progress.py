"""The bar that stands as text beside the numbers in a stream of progress: older clients print it as it is."""

from __future__ import annotations

from berth.spec.units import human_size

_WIDTH = 50


def progress_text(current: int, total: int) -> str:
    """``[=====>      ]  12.3MB/45.1MB``; the bytes alone where the total is not known."""
    if total <= 0 or current > total:
        return f"{human_size(current):>8}" if current > 0 else ""
    filled = current * _WIDTH // total
    return f"[{'=' * filled}>{' ' * (_WIDTH - filled)}] {human_size(current):>8}/{human_size(total)}"
