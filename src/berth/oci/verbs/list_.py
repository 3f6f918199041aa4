"""``list [-q] [-f table|json]``: the containers of this root."""

from __future__ import annotations

import json

from berth.base.errors import InvalidArgument
from berth.oci import record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options

FLAGS = Flags(("format,f",), ("quiet,q",))


def run(program: Program, options: Options) -> int:
    form = options.text("format", "table")
    if form not in ("table", "json"):
        raise InvalidArgument("invalid format option")
    rows = [found.oci_state() | {"owner": "root"} for found in record.load_all(program.root)]
    if options.on("quiet"):
        for row in rows:
            print(row["id"])
    elif form == "json":
        print(json.dumps(rows or None))
    else:
        columns = [("ID", "id"), ("PID", "pid"), ("STATUS", "status"), ("BUNDLE", "bundle"), ("CREATED", "created"),
                   ("OWNER", "owner")]  # fmt: skip
        table = [[head for head, _ in columns], *([str(row[key]) for _, key in columns] for row in rows)]
        widths = [max(12, *(len(line[at]) + 3 for line in table)) for at in range(len(columns) - 1)]
        for line in table:
            print("".join(f"{text:<{w}}" for text, w in zip(line, widths, strict=False)) + line[-1])
    return 0
