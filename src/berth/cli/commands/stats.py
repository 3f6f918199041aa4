"""``container stats``: what containers use, as a table that is drawn anew, or once."""

from __future__ import annotations

import sys

from berth.base.errors import BerthError
from berth.cli import table
from berth.cli.command import Command
from berth.cli.flags import FORMAT, Flag
from berth.cli.stats_sample import COLUMNS, Sample
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading

    from berth.cli.flags import Flags
    from berth.client.engine import Engine

_REDRAW_S = 0.5
_DEFAULT = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")


class Board:
    """The containers that are watched and each one's newest sample, filled by a thread a container."""

    def __init__(self, engine: Engine) -> None:
        import threading

        self._engine = engine
        self._threading = threading
        self._samples: dict[str, Sample] = {}
        self._threads: list[threading.Thread] = []
        self.changed = threading.Event()

    def watch(self, ref: str, *, stream: bool, newest: bool = False) -> None:
        """Read a container's stats from now on; ``newest`` puts it first."""
        if ref in self._samples:
            return
        sample = Sample(ref)
        self._samples = {ref: sample, **self._samples} if newest else {**self._samples, ref: sample}
        thread = self._threading.Thread(target=self._read, args=(sample, stream), daemon=True)
        self._threads.append(thread)
        thread.start()

    def forget(self, ref: str) -> None:
        self._samples = {key: sample for key, sample in self._samples.items() if key != ref}
        self.changed.set()

    def _read(self, sample: Sample, stream: bool) -> None:
        from berth.client import quick_json

        path = f"/containers/{sample.ref}/stats" + query(stream="true" if stream else "false")
        try:
            for line in self._engine.send("GET", path, fresh=True).lines():
                sample.take(quick_json.loads(line))
                self.changed.set()
        except (BerthError, OSError) as err:
            sample.error = err if isinstance(err, BerthError) else BerthError(str(err))
        self.changed.set()

    def finish(self) -> None:
        """Wait until every container has been read to its end."""
        for thread in self._threads:
            thread.join()

    def rows(self) -> list[Sample]:
        """Raises: the first container's error that is not about one that went away meanwhile."""
        samples = list(self._samples.values())
        for sample in samples:
            if sample.error is not None and not sample.seen:
                raise sample.error
        return samples


def stats(engine: Engine, flags: Flags) -> int:
    format_ = flags.text("format")
    if not format_:
        from berth.cli import config

        format_ = config.text("statsFormat")
    _check(format_)
    _ = engine.version  # asked once, before the threads want it
    board = Board(engine)
    stream = not flags.on("no-stream")
    listing = engine.get("/containers/json" + query(all=flags.on("all"))) if not flags.args else []
    for ref in flags.args or [row["Id"] for row in listing]:
        board.watch(ref, stream=stream)
    trunc = not flags.on("no-trunc")
    if not stream:
        board.finish()
        _show(board.rows(), format_, trunc=trunc)
        return 0
    if not flags.args:
        _follow_events(engine, board, everything=flags.on("all"))
    return _live(board, format_, trunc=trunc)


def _check(format_: str) -> None:
    """A wrong template is told before anybody waits. Raises: InvalidArgument."""
    if format_ not in ("", "table", "json", "raw"):
        import contextlib
        import io

        with contextlib.redirect_stdout(io.StringIO()):
            _show([Sample("x")], format_, trunc=True)


def _show(samples: list[Sample], format_: str, *, trunc: bool) -> None:
    for sample in samples:
        sample.trunc = trunc
    table.show(COLUMNS, _DEFAULT, samples, format_, type_name="*container.statsContext")


def _follow_events(engine: Engine, board: Board, *, everything: bool) -> None:
    """Containers that start are added, those that end or are removed go."""
    import threading

    def follow() -> None:
        from berth.client import quick_json

        try:
            response = engine.send("GET", "/events" + query(filters={"type": ["container"]}), fresh=True)
            for line in response.lines():
                event = quick_json.loads(line)
                ident, action = event["Actor"]["ID"], event["Action"]
                if action == ("create" if everything else "start"):
                    board.watch(ident, stream=True, newest=True)
                elif action == ("destroy" if everything else "die"):
                    board.forget(ident)
        except (BerthError, OSError):
            pass  # without events the table stays with the containers it has

    threading.Thread(target=follow, daemon=True).start()


def _live(board: Board, format_: str, *, trunc: bool) -> int:
    import contextlib
    import io
    import time

    board.changed.wait(2.0)
    while True:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            _show(board.rows(), format_, trunc=trunc)
        sys.stdout.write("\033[H" + text.getvalue().replace("\n", "\033[K\n") + "\033[J")
        sys.stdout.flush()
        time.sleep(_REDRAW_S)


COMMANDS = {
    "stats": Command(
        "[OPTIONS] [CONTAINER...]", "Display a live stream of container(s) resource usage statistics",
        [
            Flag("all", "bool", "Show all containers (default shows just running)", "a"), FORMAT,
            Flag("no-stream", "bool", "Disable streaming stats and only pull the first result"),
            Flag("no-trunc", "bool", "Do not truncate output"),
        ],
        (0, -1), stats, complete=("live",),
    ),
}  # fmt: skip
