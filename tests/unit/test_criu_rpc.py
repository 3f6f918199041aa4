"""The wire of CRIU's conversation: protocol buffers, as far as its messages need them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.oci.criu_rpc import decode, encode

VALUES = st.one_of(st.integers(0, 2**64 - 1), st.binary(max_size=300))


@given(st.dictionaries(st.integers(1, 70), VALUES, max_size=8))
def test_what_is_written_is_read(fields: dict[int, int | bytes]) -> None:
    assert decode(encode(list(fields.items()))) == fields


@given(st.binary(max_size=60))
def test_whatever_comes_is_fields_or_refused(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        pass


def test_words_of_the_specification() -> None:
    """Examples of protobuf's own guide: field 1 is 150; field 2 is "testing"; -1 takes ten bytes."""
    assert encode([(1, 150)]) == bytes.fromhex("089601")
    assert encode([(2, "testing")]) == bytes.fromhex("120774657374696e67")
    assert encode([(1, -1)]) == bytes.fromhex("08") + b"\xff" * 9 + b"\x01"
    for cut in ("08", "1207", "0d00000000"):
        with pytest.raises(ValueError):
            decode(bytes.fromhex(cut))
