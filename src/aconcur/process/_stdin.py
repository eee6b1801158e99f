"""Write into the pipe that the first stage reads.

The states of a :class:`StageInput`
    *open* → *broken* (the stage reads no more) → *closed*; or *open* → *closed*.

Invariants
    1. Only :meth:`StageInput.close` lets the stage see the end of its input, and only the natural
       end of the input calls it. A run that is ended early calls :meth:`StageInput.abandon`, after
       its processes are gone: a program such as ``cat > tmp && mv tmp out`` must not take the first
       half of its input for the whole.
    2. :meth:`StageInput.push` never waits. Its caller waits until the pipe is writable, or until
       ``pause_until``, and calls it again.
"""

from __future__ import annotations

__all__ = ("StageInput", "as_view")

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Final, final

import anyio
from anyio.lowlevel import checkpoint

from aconcur._core.pipe_budget import DEFAULT_SIZE
from aconcur.process._redirect import close

# Bytes that are joined from small chunks of an iterable, so that each write is worth its call.
_JOINED: Final = 1 << 16
# Most bytes in one push, so that other tasks run in between: about 2 ms at 2 GiB/s.
_MOST_BYTES: Final = 1 << 22
# Most seconds in one push: the iterable may be slow.
_MOST_SECONDS: Final = 0.002
# A pipe is writable as soon as one page is free. If several writes found no more than a quarter
# of it free, pauses let the reader make room for large ones, unless it may empty the whole pipe
# meanwhile: pauses end 0.6 to 1.3 ms late, since timers of the event loops have a grain of 1 ms
# (measured on Linux 6.18).
_SMALL_WRITES: Final = 4
_SHORTEST: Final = 0.0005
_LATE: Final = 0.001
# Where pauses were too long all the same, at most so many small writes come between two of them.
_MOST_SMALL_WRITES: Final = 64
# Seconds. A reader that made a pause and goes on waits no longer than this.
_LONGEST: Final = 0.01
# The byte that Ctrl-D sends. A terminal takes it for the end only at the beginning of a line;
# elsewhere it sends the line as it is (termios(3)).
_END_OF_INPUT: Final = b"\x04"


@final
class StageInput:
    """The writing end of the first stage's stdin."""

    __slots__ = (
        "_capacity",
        "_chunks",
        "_full_at",
        "_in_line",
        "_needed",
        "_paused",
        "_room",
        "_sent_when_full",
        "_small",
        "_took",
        "_view",
        "broken",
        "fd",
        "pause_until",
        "pty",
        "sent",
    )

    def __init__(self, fd: int, *, capacity: int = DEFAULT_SIZE, pty: bool = False) -> None:
        self.fd: int = fd
        """-1 when closed."""
        self.pty: bool = pty
        """Whether it is a terminal: its end is typed."""
        self.broken: bool = False
        """Whether the stage reads no more."""
        self.sent: int = 0
        """Bytes written."""
        self.pause_until: float | None = None
        """When to push next, on the clock of ``perf_counter``; None: when the pipe is writable."""
        self._capacity: int = capacity
        self._in_line: bool = False
        self._chunks: Iterator[memoryview] | None = None
        self._view: memoryview = memoryview(b"")
        self._small: int = 0
        self._needed: int = _SMALL_WRITES
        self._room: float = 0.0
        self._took: float = 0.0
        self._paused: bool = False
        self._full_at: float = 0.0
        self._sent_when_full: int = 0

    @property
    def is_feeding(self) -> bool:
        """Whether :meth:`push` has more to write."""
        return self.fd >= 0 and self._chunks is not None

    def feed(self, chunks: Iterable[object]) -> None:
        """Set what :meth:`push` writes."""
        self._chunks = _coalesced(chunks)
        self._full_at, self._sent_when_full = 0.0, self.sent

    def push(self) -> bool:
        """Write what the pipe takes; return whether all is written or the pipe is broken.

        Raises:
            TypeError: a chunk is not bytes.
            Exception: the iterable raised it.
        """
        self._paused, self.pause_until = self.pause_until is not None, None
        began = perf_counter()
        self._full_at = self._full_at or began
        left = _MOST_BYTES
        while True:
            if not self._view and not self._next_chunk():
                return True
            if left <= 0 or perf_counter() - began > _MOST_SECONDS:
                return False
            try:
                written = os.write(self.fd, self._view)
            except BlockingIOError:
                return False
            except OSError as error:
                # EPIPE: the stage's status decides. EIO: the terminal has hung up.
                if error.errno != (errno.EIO if self.pty else errno.EPIPE):
                    raise
                self.broken, self._chunks = True, None
                return True
            self._view = self._view[written:]
            self.sent += written
            left -= written
            if self._view:
                self._consider_a_pause()
                return False

    async def write(self, view: memoryview) -> bool:
        """Write all of it; return False if the input is closed or broken.

        **Cancelled**: any part of it was written.
        """
        await checkpoint()
        if view:
            self._in_line = view[-1] not in b"\r\n"
        self.feed([view])
        try:
            while self.fd >= 0 and not self.push():
                if self.pause_until is None:
                    with suppress(anyio.ClosedResourceError):  # closed while we waited
                        await anyio.wait_writable(self.fd)
                else:
                    await anyio.sleep(self.pause_until - perf_counter())
        finally:
            self._chunks, self._view = None, memoryview(b"")
        return self.fd >= 0 and not self.broken

    def close(self) -> None:
        """Let the stage see the end of its input: on a terminal, type Ctrl-D."""
        if self.fd >= 0:
            if self.pty:
                with suppress(OSError):  # EAGAIN: the stage does not read; EIO: it has ended
                    os.write(self.fd, _END_OF_INPUT * (2 if self._in_line else 1))
            self.abandon()

    def abandon(self) -> None:
        """Close the descriptor without an end that the stage could take for a regular one.

        Only for a stage that is no more: the end of a pipe cannot be told from a regular end.
        """
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            close(fd)

    def _next_chunk(self) -> bool:
        view = next(self._chunks, None) if self._chunks is not None else None
        if view is None:
            self._chunks = None
            return False
        self._view = view
        return True

    def _consider_a_pause(self) -> None:
        now = perf_counter()
        room, took = self.sent - self._sent_when_full, now - self._full_at
        self._sent_when_full, self._full_at = self.sent, now
        # Of about the last eight writes: some readers come and go.
        self._room += room - self._room / 8
        self._took += min(took, _LONGEST) - self._took / 8
        if self._paused:
            self._judge_the_pause(room)
        else:
            self._small = self._small + 1 if room < self._capacity // 4 else 0
        until_empty = self._capacity * self._took / self._room
        if self._small >= self._needed and until_empty > _LATE:
            self.pause_until = now + min(max(until_empty / 2 - _LATE, _SHORTEST), _LONGEST)

    def _judge_the_pause(self, room: int) -> None:
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
    waiting: list[bytes | memoryview] = []
    size, since = 0, perf_counter()
    for chunk in chunks:
        # Thousands of views of small chunks would make the garbage collector run for 50 ms.
        data = chunk if type(chunk) is bytes else as_view(chunk)
        waiting.append(data)
        size += len(data)
        if size >= _JOINED or perf_counter() - since > _MOST_SECONDS:
            if not size:
                yield memoryview(b"")  # other tasks run, however long the iterable is empty
            yield from _joined(waiting)
            waiting, size, since = [], 0, perf_counter()
    yield from _joined(waiting)


def _joined(chunks: list[bytes | memoryview]) -> Iterator[memoryview]:
    # A large chunk after small ones is not worth a copy.
    if chunks and len(chunks[-1]) >= _JOINED:
        yield from _joined(chunks[:-1])
        yield memoryview(chunks[-1])
    elif chunks and any(chunks):
        yield memoryview(b"".join(chunks))
