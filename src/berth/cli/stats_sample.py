"""One container's stats as figures to show: Docker's arithmetic on what the API sends."""

from __future__ import annotations

from berth.spec.units import bytes_size, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.base.errors import BerthError
    from berth.cli.table import Column


class Sample:
    """The newest message about one container. Before the first every figure is ``--``."""

    def __init__(self, ref: str) -> None:
        self.ref = ref
        self.error: BerthError | None = None
        self.seen = False
        self.trunc = True
        self._message: dict[str, Any] = {}

    def take(self, message: dict[str, Any]) -> None:
        self._message = message
        self.seen = True

    @property
    def name(self) -> str:
        return str(self._message.get("name") or self._message.get("Name") or "--").lstrip("/")

    @property
    def ident(self) -> str:
        found = str(self._message.get("id") or self._message.get("Id") or "--")
        return found[:12] if self.trunc else found

    @property
    def cpu_percent(self) -> float:
        """Of one CPU; two busy ones are 200."""
        now, before = self._message.get("cpu_stats") or {}, self._message.get("precpu_stats") or {}
        used = (now.get("cpu_usage") or {}).get("total_usage", 0) - (before.get("cpu_usage") or {}).get(
            "total_usage", 0
        )
        passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
        cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or ())
        return float(used / passed * cpus * 100) if used > 0 and passed > 0 else 0.0

    @property
    def memory(self) -> tuple[float, float]:
        """Bytes in use without the pages of files that the kernel would give back at once, and the limit."""
        found = self._message.get("memory_stats") or {}
        usage, detail = found.get("usage", 0), found.get("stats") or {}
        cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
        return (usage - cache if cache < usage else usage), found.get("limit", 0)

    @property
    def memory_percent(self) -> float:
        used, limit = self.memory
        return used / limit * 100 if limit else 0.0

    @property
    def network(self) -> tuple[float, float]:
        """Bytes received and sent."""
        cards = (self._message.get("networks") or {}).values()
        return sum(card.get("rx_bytes", 0) for card in cards), sum(card.get("tx_bytes", 0) for card in cards)

    @property
    def block(self) -> tuple[float, float]:
        """Bytes read and written."""
        entries = (self._message.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
        sums = {"r": 0.0, "w": 0.0}
        for entry in entries:
            letter = str(entry.get("op", ""))[:1].lower()
            if letter in sums:
                sums[letter] += entry.get("value", 0)
        return sums["r"], sums["w"]

    @property
    def pids(self) -> int:
        return int((self._message.get("pids_stats") or {}).get("current", 0))

    def pair(self, values: tuple[float, float]) -> str:
        return f"{human_size(values[0], 3)} / {human_size(values[1], 3)}" if self.seen else "--"

    def percent(self, value: float) -> str:
        return f"{value:.2f}%" if self.seen else "--"


def _memory(sample: Sample) -> str:
    return " / ".join(bytes_size(value) for value in sample.memory) if sample.seen else "-- / --"


COLUMNS: dict[str, Column] = {
    "Container": ("CONTAINER", lambda s: s.ref), "ID": ("CONTAINER ID", lambda s: s.ident),
    "Name": ("NAME", lambda s: s.name), "CPUPerc": ("CPU %", lambda s: s.percent(s.cpu_percent)),
    "MemUsage": ("MEM USAGE / LIMIT", _memory), "MemPerc": ("MEM %", lambda s: s.percent(s.memory_percent)),
    "NetIO": ("NET I/O", lambda s: s.pair(s.network)), "BlockIO": ("BLOCK I/O", lambda s: s.pair(s.block)),
    "PIDs": ("PIDS", lambda s: str(s.pids) if s.seen else "--"),
}  # fmt: skip
