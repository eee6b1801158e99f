"""Any stream, cut anywhere, gives the lines that split() gives, in linear time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aconcur.process._line_buffer import LineBuffer


@given(pieces=st.lists(st.sampled_from([b"", b"a", b"\n", b"ab\nc", b"\n\n", b"\r\n"]), max_size=9))
def test_the_cuts_do_not_matter(pieces: list[bytes]) -> None:
    buffer, found = LineBuffer(), []
    for piece in pieces:
        buffer.feed(piece)
        found += buffer.batch()
    if buffer.end():
        found += buffer.batch()
    expected = b"".join(pieces).split(b"\n")
    assert found == (expected if expected[-1] else expected[:-1])


@given(pieces=st.lists(st.sampled_from([b"a", b"\n", b"ab\nc"]), max_size=6), taken=st.integers(0))
def test_what_was_not_taken_comes_back_as_it_came(pieces: list[bytes], taken: int) -> None:
    buffer, data = LineBuffer(), b"".join(pieces)
    buffer.feed(data)
    taken %= len(buffer.ready) + 1
    lines = [buffer.ready.pop() for _ in range(taken)]
    assert b"".join(line + b"\n" for line in lines) + buffer.rest() == data
    assert buffer.rest() == b""


def test_one_long_line_is_joined_once() -> None:
    buffer = LineBuffer()
    for _ in range(100_000):
        buffer.feed(b"x" * 100)
    assert not buffer.ready
    assert buffer.end()
    assert len(buffer.ready.pop()) == 10_000_000
