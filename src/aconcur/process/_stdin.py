"""Write into a pipe whatever it takes.

Rule: nothing here awaits; whoever waits for the pipe calls :meth:`Feed.push` again.
"""

from __future__ import annotations

__all__ = ("Feed", "as_view")

import os
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Final, final

# Bytes that are joined from small chunks of an iterable, so that each write is worth its call.
_JOINED: Final = 1 << 16
# Most bytes in one push, so that the loop gets its turn: about 2 ms at 2 GiB/s.
_TURN: Final = 1 << 22
# A pipe is writable as soon as one page is free. If several writes found no more than a quarter
# of it free, naps let the reader make room for large ones, unless it may empty the whole pipe
# meanwhile: naps end 0.6 to 1.3 ms late, since timers of the event loops have a grain of 1 ms
# (measured on Linux 6.18).
_SMALL_WRITES: Final = 4
_SHORTEST: Final = 0.0005
_LATE: Final = 0.001
# Where naps were too long all the same, so many small writes come between two of them at the most.
_MOST_SMALL_WRITES: Final = 64
# Seconds. A reader that made a pause and goes on is not kept waiting for longer.
_LONGEST: Final = 0.01


@final
class Feed:
    """What is still to be written into one pipe."""

    __slots__ = (
        "_capacity",
        "_chunks",
        "_full_at",
        "_napped",
        "_needed",
        "_room",
        "_sent_when_full",
        "_small",
        "_took",
        "_view",
        "broken",
        "nap_until",
        "sent",
    )

    def __init__(self, chunks: Iterable[object], capacity: int) -> None:
        self._chunks: Iterator[memoryview] = _coalesced(chunks)
        self._capacity: int = capacity
        self._view: memoryview = memoryview(b"")
        self._small: int = 0
        self._needed: int = _SMALL_WRITES
        self._room: float = 0.0
        self._took: float = 0.0
        self._napped: bool = False
        self._full_at: float = 0.0
        self._sent_when_full: int = 0
        self.sent: int = 0
        self.broken: bool = False
        """Whether nobody reads the pipe any more."""
        self.nap_until: float | None = None
        """When to push next, on the clock of ``perf_counter``; None: when the pipe is writable."""

    def push(self, fd: int) -> bool:
        """Write what the pipe takes; return whether all is written, or nobody reads any more.

        Raises:
            TypeError: a chunk is not bytes.
            Exception: whatever the iterable raises.
        """
        self._napped, self.nap_until = self.nap_until is not None, None
        self._full_at = self._full_at or perf_counter()
        left = _TURN
        while left > 0:
            if not self._view and not self._next():
                return True
            try:
                written = os.write(fd, self._view)
            except BlockingIOError:
                return False
            except BrokenPipeError:  # no error of ours: the reader's status decides
                self.broken = True
                return True
            self._view = self._view[written:]
            self.sent += written
            left -= written
            if self._view:
                self._consider_a_nap()
                return False
        return False

    def _next(self) -> bool:
        view = next(self._chunks, None)
        if view is None:
            return False
        self._view = view
        return True

    def _consider_a_nap(self) -> None:
        now = perf_counter()
        room, took = self.sent - self._sent_when_full, now - self._full_at
        self._sent_when_full, self._full_at = self.sent, now
        # Of about the last eight writes: some readers come and go.
        self._room += room - self._room / 8
        self._took += min(took, _LONGEST) - self._took / 8
        if self._napped:
            self._judge_the_nap(room)
        else:
            self._small = self._small + 1 if room < self._capacity // 4 else 0
        until_empty = self._capacity * self._took / self._room
        if self._small >= self._needed and until_empty > _LATE:
            self.nap_until = now + min(max(until_empty / 2 - _LATE, _SHORTEST), _LONGEST)

    def _judge_the_nap(self, room: int) -> None:
        # Less than an eighth was left for the reader: it may have had to wait.
        if room > self._capacity - self._capacity // 8:
            self._small = 0
            self._needed = min(2 * self._needed, _MOST_SMALL_WRITES)
        else:
            self._needed = max(self._needed // 2, _SMALL_WRITES)


def as_view(chunk: object) -> memoryview:
    """Return a chunk of input as plain bytes, without a copy."""
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise TypeError(f"input must yield bytes, not {type(chunk).__name__}")
    return memoryview(chunk).cast("B")


def _coalesced(chunks: Iterable[object]) -> Iterator[memoryview]:
    waiting: list[memoryview] = []
    size = 0
    for chunk in chunks:
        view = as_view(chunk)
        waiting.append(view)
        size += len(view)
        if size >= _JOINED:
            yield from _joined(waiting)
            waiting, size = [], 0
    yield from _joined(waiting)


def _joined(views: list[memoryview]) -> Iterator[memoryview]:
    # A large chunk after small ones is not worth a copy.
    if views and len(views[-1]) >= _JOINED:
        yield from _joined(views[:-1])
        yield views[-1]
    elif views and any(views):
        yield memoryview(b"".join(views))
