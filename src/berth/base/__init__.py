"""The base floor: words every other floor uses. No I/O at import, nothing imported from above.

Owns: error kinds, ids, ``Layout`` (every path under data-root and run-root), ``Undo``, keyed locks, clock,
failpoints, and ``spawn`` (the one place that starts programs).
"""
