"""What is written into a pipe, and when a nap pays."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from aconcur.process._feed import Feed, as_view


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_all_that_fits_is_written_at_once(ends: tuple[int, int]) -> None:
    feed = Feed([b"a" * 100, b"", b"b" * 100_000], 65_536)
    assert not feed.push(ends[1])
    assert 61_000 < feed.sent <= 65_536  # a small write takes a page of its own
    written = os.read(ends[0], 1 << 20)
    assert feed.push(ends[1])
    assert written + os.read(ends[0], 1 << 20) == b"a" * 100 + b"b" * 100_000
    assert (feed.sent, feed.broken) == (100_100, False)


def test_a_reader_that_has_gone_ends_it() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    feed = Feed([b"x"], 65_536)
    assert feed.push(writing)
    os.close(writing)
    assert (feed.broken, feed.sent) == (True, 0)


def test_after_several_small_writes_it_naps_unless_the_reader_is_fast(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("aconcur.process._feed.perf_counter", lambda: clock[0])
    for seconds, naps in ((0.001, True), (0.00001, False)):
        clock[0] = 1.0
        feed = Feed([bytes(1 << 20)], 65_536)
        feed.push(ends[1])
        for _ in range(4):
            assert feed.nap_until is None
            os.read(ends[0], 4096)
            clock[0] += seconds
            feed.push(ends[1])
        assert (feed.nap_until is not None) == naps
        os.read(ends[0], 1 << 20)


def test_chunks_of_other_shapes_are_bytes_all_the_same() -> None:
    assert as_view(memoryview(b"abcd").cast("B", (2, 2))).tobytes() == b"abcd"
    with pytest.raises(TypeError, match="not str"):
        as_view("x")
