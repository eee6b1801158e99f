"""What is written into a pipe, and when a pause pays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import pytest

from aconcur.process._stdin import StageInput, as_view


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def feeding(fd: int, chunks: Iterable[bytes]) -> StageInput:
    feed = StageInput(fd)
    feed.feed(chunks)
    return feed


def test_all_that_fits_is_written_at_once(ends: tuple[int, int]) -> None:
    feed = feeding(ends[1], [b"a" * 100, b"", b"b" * 100_000])
    assert not feed.push()
    assert 61_000 < feed.sent <= 65_536  # a small write takes a page of its own
    written = os.read(ends[0], 1 << 20)
    assert feed.push()
    assert written + os.read(ends[0], 1 << 20) == b"a" * 100 + b"b" * 100_000
    assert (feed.sent, feed.broken) == (100_100, False)


def test_a_reader_that_has_gone_ends_it() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    feed = feeding(writing, [b"x"])
    assert feed.push()
    os.close(writing)
    assert (feed.broken, feed.sent) == (True, 0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1.0]
    monkeypatch.setattr("aconcur.process._stdin.perf_counter", lambda: now[0])
    return now


def drain(
    feed: StageInput, ends: tuple[int, int], size: int, clock: list[float], took: float
) -> None:
    """Let the reader take so many bytes in so many seconds, and the feed go on."""
    os.read(ends[0], size)
    clock[0] += took
    feed.push()


def started(ends: tuple[int, int]) -> StageInput:
    feed = feeding(ends[1], [bytes(1 << 22)])
    feed.push()
    return feed


@pytest.mark.parametrize(
    ("seconds", "pause"),
    [(0.00001, None), (0.0003, 0.0005), (0.001, 0.0045), (10.0, 0.009)],
    ids=["fast", "usual", "slow", "after a pause"],
)
def test_after_several_small_writes_it_pauses_unless_the_reader_is_fast(
    ends: tuple[int, int], clock: list[float], seconds: float, pause: float | None
) -> None:
    feed = started(ends)
    drain(feed, ends, 32_768, clock, 8 * seconds)
    for _ in range(4):
        assert feed.pause_until is None
        drain(feed, ends, 4096, clock, seconds)
    if pause is None:
        assert feed.pause_until is None
    else:
        assert feed.pause_until is not None
        assert feed.pause_until - clock[0] == pytest.approx(pause, rel=0.6)


def test_it_goes_on_pausing_while_pauses_are_not_too_long(
    ends: tuple[int, int], clock: list[float]
) -> None:
    feed = started(ends)
    for _ in range(4):
        drain(feed, ends, 4096, clock, 0.0005)
    for _ in range(10):
        assert feed.pause_until is not None
        drain(feed, ends, 32_768, clock, 0.004)
    assert feed.pause_until is not None
    drain(feed, ends, 65_536, clock, 0.004)
    for _ in range(8):
        assert feed.pause_until is None
        drain(feed, ends, 4096, clock, 0.0005)
    assert feed.pause_until is not None


def test_chunks_of_other_shapes_are_bytes_all_the_same() -> None:
    assert as_view(memoryview(b"abcd").cast("B", (2, 2))).tobytes() == b"abcd"
    with pytest.raises(TypeError, match="not str"):
        as_view("x")
