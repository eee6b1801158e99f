"""Write into a pipe whatever it takes.

Rule: nothing here awaits; whoever waits for the pipe calls :meth:`Feed.push` again.
"""

from __future__ import annotations

__all__ = ("NAP", "Feed", "as_view")

import os
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Final, final

# Bytes that are joined from small chunks of an iterable, so that each write is worth its call.
_JOINED: Final = 1 << 16
# Most bytes in one push, so that the loop gets its turn: about 2 ms at 2 GiB/s.
_TURN: Final = 1 << 22
# A pipe is writable as soon as one page is free. If several writes found no more than a quarter
# of it free, a nap lets the reader make room for one large write...
_SMALL_WRITES: Final = 4
NAP: Final = 0.0005
"""Seconds."""
# ...unless the reader may empty the whole pipe meanwhile. A nap of 0.5 ms ends after 1.1 to 1.8 ms,
# since timers of the event loops have a grain of 1 ms (measured on Linux 6.18).
_NAP_AT_WORST: Final = 0.0018


@final
class Feed:
    """What is still to be written into one pipe."""

    __slots__ = ("_began", "_capacity", "_chunks", "_small", "_view", "broken", "nap_until", "sent")

    def __init__(self, chunks: Iterable[object], capacity: int) -> None:
        self._chunks: Iterator[memoryview] = _coalesced(chunks)
        self._capacity: int = capacity
        self._view: memoryview = memoryview(b"")
        self._small: int = 0
        self._began: float = 0.0
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
        self.nap_until = None
        self._began = self._began or perf_counter()
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
                self._consider_a_nap(written)
                return False
        return False

    def _next(self) -> bool:
        view = next(self._chunks, None)
        if view is None:
            return False
        self._view = view
        return True

    def _consider_a_nap(self, written: int) -> None:
        self._small = self._small + 1 if written < self._capacity // 4 else 0
        if self._small >= _SMALL_WRITES:
            rate = self.sent / (perf_counter() - self._began)
            if rate * _NAP_AT_WORST < self._capacity:
                self.nap_until = perf_counter() + NAP


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
