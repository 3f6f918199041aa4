"""``ps [-f table|json] ID [PS OPTIONS]``: the container's processes, by their numbers on the host.

The table is read from /proc; options of ps(1) go to the host's ps, whose lines are kept where the PID is the container's.
"""

from __future__ import annotations

import json
import os
import time

from berth.base.errors import InvalidArgument, NotFound
from berth.oci import record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, at_least

FLAGS = Flags(("format,f",), (), stop=1)


def run(program: Program, options: Options) -> int:
    at_least(options, "ps", 1)
    form = options.text("format", "table")
    if form not in ("table", "json"):
        raise InvalidArgument("invalid format option")
    pids = sorted(record.load(program.root, options.words[0]).group().procs())
    if form == "json":
        print(json.dumps(pids or None))
    elif len(options.words) > 1:
        return _hosts_ps(options.words[1:], pids)
    else:
        print(f"{'UID':<10}{'PID':>8}{'PPID':>8} {'STIME':<6}{'TTY':<9}{'TIME':<9}CMD")
        for pid in pids:
            _line(pid)
    return 0


def _line(pid: int) -> None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            name, _, rest = file.read().partition("(")[2].rpartition(")")
        with open(f"/proc/{pid}/cmdline", "rb") as raw:
            command = raw.read().replace(b"\0", b" ").decode(errors="replace").strip()
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return  # it has ended meanwhile
    fields = rest.split()
    ticks = os.sysconf("SC_CLK_TCK")
    begin = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / ticks
    used = (int(fields[11]) + int(fields[12])) // ticks
    device = int(fields[4])
    terminal = f"pts/{device & 0xFF | device >> 12 & 0xFFF00}" if device else "?"
    print(
        f"{_user(uid):<10}{pid:>8}{fields[1]:>8} {time.strftime('%H:%M', time.localtime(begin)):<6}{terminal:<9}"
        f"{used // 3600:02d}:{used // 60 % 60:02d}:{used % 60:02d} {command or f'[{name}]'}"
    )


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _hosts_ps(words: list[str], pids: list[int]) -> int:
    from berth.base import spawn

    try:
        done = spawn.run(["ps", *words])
    except FileNotFoundError:
        raise NotFound('exec: "ps": executable file not found in $PATH') from None
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode or not lines or "PID" not in lines[0].split():
        raise InvalidArgument(f"couldn't find PID field in ps output: {done.stderr.decode(errors='replace').strip()}")
    column = lines[0].split().index("PID")
    print(lines[0])
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > column and fields[column].isdigit() and int(fields[column]) in pids:
            print(line)
    return 0
