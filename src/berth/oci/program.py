"""``berth-runtime``: the OCI runtime as a program, with runc's command line, state folder, sentences and exit codes.

Verbs that put a process into a container run from a sealed copy of the interpreter (``kernel/sealed.py``). They start twice,
so this module imports next to nothing: the first start only makes the copy and becomes it.
"""

from __future__ import annotations

import sys

ENTERING = frozenset({"create", "run", "exec", "restore"})
"""Verbs, wherever among the first words: a flag's value that looks like one costs a start, not more."""


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0; 1 with a sentence (255 of exec); the process's own for ``run`` and ``exec``."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not ENTERING.isdisjoint(words[:16]):
        from berth.kernel.sealed import run_sealed

        run_sealed("berth.oci.program", words)
    from berth.oci.dispatch import dispatch

    return dispatch(words)


if __name__ == "__main__":
    sys.exit(main())
