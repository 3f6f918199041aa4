"""One module a verb of ``berth-runtime``: its ``FLAGS``, and ``run(program, options)`` that returns the exit status."""
