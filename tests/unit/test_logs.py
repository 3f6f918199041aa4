"""json-file: writing whole chunks, rotation, partial lines, reading back."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from berth.logs.drivers.json_file import MAX_PARTIAL, JsonFileWriter, encode_lines
from berth.logs.reader import LogReader, stream_log
from berth.spec.streams import LogQuery

EVERYTHING = LogQuery(True, True, False, None, None, False, None, False)
TAIL = b',"stream":"stdout","time":"T"}\n'


def writer(path: Path, *, max_size: int = -1, max_file: int = 1, attrs: dict[str, str] | None = None) -> JsonFileWriter:
    return JsonFileWriter(str(path), max_size=max_size, max_file=max_file, attrs=attrs or {})


def read_all(path: Path, query: LogQuery = EVERYTHING, *, tty: bool = True) -> bytes:
    reader = LogReader(str(path), query, tty)
    parts = []
    while (chunk := reader.next()) is not None:
        parts.append(chunk)
    reader.close()
    return b"".join(parts)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.characters(blacklist_characters="\n", blacklist_categories=("Cs",))), min_size=1))
def test_a_chunk_becomes_one_valid_entry_a_line(lines: list[str]) -> None:
    text = "".join(line + "\n" for line in lines)
    entries = [json.loads(raw) for raw in encode_lines(text.encode(), TAIL).split(b"\n")[:-1]]
    assert [e["log"] for e in entries] == [line + "\n" for line in lines]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert json.loads(encode_lines(b"a\xff\\n\n", TAIL))["log"] == "a�\\n\n"


def test_lines_that_come_in_pieces_and_a_last_one_without_newline(tmp_path: Path) -> None:
    log = writer(tmp_path / "l")
    for piece in (b"he", b"llo\nwo", b"rld"):
        log.write("stdout", piece)
    log.close()
    assert [json.loads(line)["log"] for line in (tmp_path / "l").read_text().splitlines()] == ["hello\n", "world"]


def test_a_line_without_end_is_split_at_16_kb(tmp_path: Path) -> None:
    log = writer(tmp_path / "l")
    log.write("stderr", b"x" * (2 * MAX_PARTIAL + 5))
    log.close()
    sizes = [len(json.loads(line)["log"]) for line in (tmp_path / "l").read_text().splitlines()]
    assert sizes == [MAX_PARTIAL, MAX_PARTIAL, 5]


def test_rotation_keeps_the_newest_files_within_their_size(tmp_path: Path) -> None:
    log = writer(tmp_path / "l", max_size=2000, max_file=3)
    for number in range(200):
        log.write("stdout", f"line {number}\n".encode())
    log.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["l", "l.1", "l.2"]
    assert all(p.stat().st_size <= 2000 for p in tmp_path.iterdir())
    lines = read_all(tmp_path / "l").decode().splitlines()
    assert lines == [f"line {n}" for n in range(200 - len(lines), 200)] and len(lines) > 30


def test_one_large_chunk_is_cut_over_files(tmp_path: Path) -> None:
    log = writer(tmp_path / "l", max_size=3000, max_file=100)
    log.write("stdout", b"".join(b"%05d\n" % n for n in range(1000)))
    log.close()
    assert read_all(tmp_path / "l").decode().split() == [f"{n:05d}" for n in range(1000)]


def test_a_single_file_is_cut_when_it_is_full(tmp_path: Path) -> None:
    log = writer(tmp_path / "l", max_size=1000, max_file=1)
    for number in range(100):
        log.write("stdout", f"{number}\n".encode())
    log.close()
    assert (tmp_path / "l").stat().st_size <= 1000
    assert read_all(tmp_path / "l").decode().split()[-1] == "99"


def test_frames_and_streams(tmp_path: Path) -> None:
    log = writer(tmp_path / "l")
    log.write("stdout", b"a\nb\n")
    log.write("stderr", b"c\n")
    log.close()
    assert read_all(tmp_path / "l", tty=False) == b"\x01\0\0\0\0\0\0\x04a\nb\n\x02\0\0\0\0\0\0\x02c\n"
    assert read_all(tmp_path / "l", EVERYTHING._replace(stderr=False), tty=False) == b"\x01\0\0\0\0\0\0\x04a\nb\n"


@pytest.mark.parametrize(("tail", "expected"), [(0, []), (1, ["9"]), (3, ["7", "8", "9"]), (50, list("0123456789"))])
def test_tail_counts_lines_from_the_end(tmp_path: Path, tail: int, expected: list[str]) -> None:
    log = writer(tmp_path / "l", max_size=200, max_file=20)
    for number in range(10):
        log.write("stdout", f"{number}\n".encode())
    log.close()
    assert read_all(tmp_path / "l", EVERYTHING._replace(tail=tail)).decode().split() == expected


def test_since_until_timestamps_and_details(tmp_path: Path) -> None:
    path = tmp_path / "l"
    path.write_text("".join(
        f'{{"log":"{n}\\n","attrs":{{"a":"1"}},"stream":"stdout","time":"2026-01-01T00:00:0{n}.000000000Z"}}\n' for n in range(5)
    ))  # fmt: skip
    second = 1767225600 * 10**9
    query = EVERYTHING._replace(since_ns=second + 10**9, until_ns=second + 3 * 10**9)
    assert read_all(path, query).decode().split() == ["1", "2", "3"]
    stamped = read_all(path, query._replace(timestamps=True, details=True, tail=None)).decode().splitlines()
    assert stamped[0] == "2026-01-01T00:00:01.000000000Z a=1 1"


def test_a_torn_line_does_not_hide_the_others(tmp_path: Path) -> None:
    path = tmp_path / "l"
    good = '{"log":"ok\\n","stream":"stdout","time":"T"}\n'
    path.write_text(good + '{"log":"to' + "\n" + good + '{"log":"half')
    assert read_all(path) == b"ok\nok\n"


def test_following_over_a_rotation_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l"

    async def scenario() -> bytes:
        log = writer(path, max_size=4000, max_file=50)
        ended = False
        got = bytearray()

        async def follow() -> None:
            async for chunk in stream_log(str(path), EVERYTHING._replace(follow=True), True, lambda: ended):
                got.extend(chunk)

        task = asyncio.create_task(follow())
        for start in range(0, 2000, 50):
            log.write("stdout", b"".join(b"%d\n" % n for n in range(start, start + 50)))
            await asyncio.sleep(0)
        log.close()
        ended = True
        await asyncio.wait_for(task, 10)
        return bytes(got)

    assert asyncio.run(scenario()).split() == [b"%d" % n for n in range(2000)]


def test_following_ends_at_its_moment_though_nothing_comes(tmp_path: Path) -> None:
    log = writer(tmp_path / "l")
    log.write("stdout", b"first\n")
    query = EVERYTHING._replace(follow=True, until_ns=time.time_ns() + 300_000_000)

    async def followed() -> list[bytes]:
        return [chunk async for chunk in stream_log(str(tmp_path / "l"), query, True, lambda: False)]

    assert asyncio.run(asyncio.wait_for(followed(), 10)) == [b"first\n"]
    log.close()


@pytest.mark.parametrize("tail", [None, 15])
def test_a_rotation_while_the_log_is_opened_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: int | None
) -> None:
    path = tmp_path / "l"
    log = writer(path, max_size=750, max_file=50)  # ten lines
    listed = LogReader._files

    def listed_and_rotated(reader: LogReader) -> list[str]:
        found = listed(reader)
        monkeypatch.setattr(LogReader, "_files", listed)
        log.write("stdout", b"".join(b"%d\n" % n for n in range(10, 20)))
        return found

    log.write("stdout", b"".join(b"%d\n" % n for n in range(10)))
    monkeypatch.setattr(LogReader, "_files", listed_and_rotated)
    got = read_all(path, EVERYTHING._replace(tail=tail)).split()
    assert got == [b"%d" % n for n in range(20 - (tail or 20), 20)]
    assert len(listed(LogReader(str(path), EVERYTHING, True))) > 1


def test_a_full_disk_loses_lines_and_raises_nothing() -> None:
    log = JsonFileWriter("/dev/full", max_size=-1, max_file=1, attrs={})
    log.write("stdout", b"gone\n")
    assert log.lost > 0
    log.close()
