"""What a pool and a worker say to each other, over one stream socket.

A frame is its header, the sizes of its message's buffers, and its message (see ``codec``).
"""

from __future__ import annotations

__all__ = (
    "ANSWER",
    "CALL",
    "FAILED",
    "FORGET",
    "FUNCTION",
    "ITEMS",
    "READY",
    "SHARE",
    "STOP",
    "UNREADABLE",
    "Frame",
    "Inbox",
    "head",
)

import _socket as socket
from struct import Struct

from aconcur._worker.codec import INLINE, U64, Encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# From the pool.
FUNCTION: Final = 1  # of a map
ITEMS: Final = 2  # a chunk of a map
CALL: Final = 3  # a function and its arguments
FORGET: Final = 4  # a map's function
SHARE: Final = 5  # a value for all that follows
STOP: Final = 6
# From the worker.
ANSWER: Final = 7
UNREADABLE: Final = 8  # a chunk or a function
READY: Final = 9
FAILED: Final = 10  # the initializer

# kind, flags, count, number of sizes, job, chunk, seconds, total
_HEADER: Final = Struct("<BBHIQQdQ")
_ROOM: Final = 2 * INLINE


class Frame:
    """A frame that has been read, or the beginning of one."""

    __slots__ = ("body", "chunk", "flags", "job", "kind", "seconds", "sizes", "total")

    def __init__(
        self,
        kind: int,
        flags: int,
        job: int,
        chunk: int,
        seconds: float,
        total: int,
        sizes: tuple[int, ...],
        body: memoryview,
    ) -> None:
        self.kind: int = kind
        self.flags: int = flags
        self.job: int = job
        self.chunk: int = chunk
        self.seconds: float = seconds
        self.total: int = total
        self.sizes: tuple[int, ...] = sizes
        """The bytes of each buffer of the message."""
        self.body: memoryview = body
        """The message, good until the next read; its beginning if ``total`` is more than INLINE."""


def head(
    kind: int, message: Encoded, *, job: int = 0, chunk: int = 0, flags: int = 0, seconds: float = 0
) -> bytes:
    """Return the bytes before a message."""
    sizes = message.sizes
    header = _HEADER.pack(kind, flags, 0, len(sizes), job, chunk, seconds, message.total)
    return header + b"".join(map(U64.pack, sizes)) if sizes else header


class Inbox:
    """The frames that come out of a socket."""

    __slots__ = ("_at", "_end", "_sock", "_view")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._view = memoryview(bytearray(_ROOM))
        self._at = self._end = 0

    def receive(self, flags: int = 0) -> bool:
        """Read what there is; return False if the other end has gone.

        Raises:
            BlockingIOError: nothing is there, and the flags say not to wait.
            OSError: the connection is broken.
        """
        if self._at == self._end:
            self._at = self._end = 0
        elif self._at:
            rest = bytes(self._view[self._at : self._end])
            self._at, self._end = 0, len(rest)
            self._view[: self._end] = rest
        count = self._sock.recv_into(self._view[self._end :], 0, flags)
        self._end += count
        return count > 0

    def next(self) -> Frame | None:
        """Return the next frame that is complete, or too long for one."""
        start = self._at + _HEADER.size
        if start > self._end:
            return None
        kind, flags, _, buffers, job, chunk, seconds, total = _HEADER.unpack_from(
            self._view, self._at
        )
        sizes: tuple[int, ...] = ()
        if buffers:
            if start + 8 * buffers > _ROOM:
                raise EOFError("too many buffers")
            if start + 8 * buffers > self._end:
                return None
            sizes = tuple(self._view[start : start + 8 * buffers].cast("Q"))
            start += 8 * buffers
        end = start + total
        if total > INLINE:
            end = min(end, self._end)
        elif end > self._end:
            return None
        self._at = end
        return Frame(kind, flags, job, chunk, seconds, total, sizes, self._view[start:end])
