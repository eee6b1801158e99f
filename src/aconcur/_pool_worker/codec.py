"""Frames on the socket between a pool and its worker, and the messages in them.

A message is a pickle, preceded by its large buffers (pickle protocol 5, out-of-band, PEP 574). A
frame is a header, the sizes of the message's buffers, and the message. Large ``bytes`` are written
by reference and read straight into the object that the receiver gets, so they are copied once on
each side. Both ends import this module; no other module knows the format.
"""

from __future__ import annotations

__all__ = (
    "ANSWER",
    "ASYNC_CALL",
    "ASYNC_ITEM",
    "CALL",
    "CANCEL",
    "FAILED",
    "FORGET",
    "FUNCTION",
    "INITIALIZE",
    "INLINE",
    "ITEMS",
    "LOG",
    "NOTHING",
    "READY",
    "SHARE",
    "STOP",
    "U64",
    "UNREADABLE",
    "UNSHARE",
    "Buffer",
    "Encoded",
    "Frame",
    "Inbox",
    "SocketFile",
    "decode",
    "encode",
    "header",
    "load",
    "send_all",
)

import _pickle as pickle
import _socket as socket
from collections.abc import Sequence
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

# Kinds of frames that a pool sends.
FUNCTION: Final = 1  # the function of a map
ITEMS: Final = 2  # a chunk of a map
CALL: Final = 3  # a function and its arguments
FORGET: Final = 4  # drop the function of a map
SHARE: Final = 5  # a shared value
STOP: Final = 6
INITIALIZE: Final = 7  # the initializer and its arguments
UNSHARE: Final = 8  # drop a shared value
ASYNC_CALL: Final = 9  # a coroutine function and its arguments
CANCEL: Final = 10  # cancel the coroutine of a chunk
ASYNC_ITEM: Final = 11  # an item of a map with a coroutine function
# Kinds of frames that a worker sends.
ANSWER: Final = 16
UNREADABLE: Final = 17  # a chunk or a function could not be unpickled
READY: Final = 18
FAILED: Final = 19  # the initializer raised
LOG: Final = 20  # a log record of a task

U64: Final = Struct("<Q")

INLINE: Final = 128 * 1024
"""The largest message that is sent and read in one piece. Above it a thread pays (measured)."""

# Below this size a separate buffer costs more than a copy.
_OUT_OF_BAND: Final = 16 * 1024
# sendmsg(2) takes at most IOV_MAX = 1024 buffers.
_PIECES: Final = 512
# pickletools: protocol 5 and the BYTEARRAY8 opcode; the STOP opcode.
_BYTEARRAY8: Final = b"\x80\x05\x96"
_STOP: Final = b"."
# kind, flags, padding, number of sizes, job, chunk, seconds, total
_HEADER: Final = Struct("<BBHIQQdQ")
_ROOM: Final = 2 * INLINE


# ------------------------------------------------------------------------------- messages


class Encoded:
    """A message that is ready to be sent."""

    __slots__ = ("by_name", "parts", "sizes", "total")

    def __init__(
        self,
        parts: Sequence[Buffer],
        sizes: tuple[int, ...],
        total: int,
        by_name: bool = True,
    ) -> None:
        self.parts: Sequence[Buffer] = parts
        """The pieces to send, in order."""
        self.sizes: tuple[int, ...] = sizes
        """The bytes of each buffer before the pickle."""
        self.total: int = total
        """The bytes of all parts."""
        self.by_name: bool = by_name
        """Whether pickle itself made it, without cloudpickle."""


NOTHING: Final = Encoded([b"N."], (), 2)
"""The message for None."""


class _Sink:
    """A file for the pickler that keeps what is written, large objects by reference."""

    __slots__ = ("parts", "write")

    def __init__(self) -> None:
        self.parts: list[Buffer] = []
        self.write = self.parts.append


def encode(value: object, pickler: type[Any] = pickle.Pickler) -> Encoded:
    """Return the message for a value.

    Raises:
        Exception: raised by pickling the value.
    """
    buffers: list[Buffer] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _OUT_OF_BAND:
            return True
        buffers.append(raw)
        return False

    sink = _Sink()
    pickler(sink, 5, buffer_callback=keep).dump(value)
    parts = sink.parts
    if not buffers:
        return Encoded(parts, (), sum(map(len, parts)), pickler is pickle.Pickler)
    sizes = tuple(map(len, buffers))
    total = sum(sizes) + sum(map(len, parts))
    return Encoded(buffers + parts, sizes, total, pickler is pickle.Pickler)


def load(data: Buffer, sizes: Sequence[int]) -> Any:  # noqa: ANN401
    """Return the value of a message that is completely in memory."""
    if not sizes:
        return pickle.loads(data)
    view, buffers, at = memoryview(data), list[bytearray](), 0
    for size in sizes:
        buffers.append(bytearray(view[at : at + size]))
        at += size
    return pickle.loads(view[at:], buffers=buffers)


class SocketFile:
    """The next ``total`` bytes of a blocking socket, the first of which were already read."""

    def __init__(self, sock: socket.socket, begun: Buffer, total: int) -> None:
        self._sock, self._begun, self._left = sock, memoryview(begun), total

    def readinto(self, into: bytearray | memoryview) -> int:
        """Fill the buffer.

        Raises:
            EOFError: the other end was closed.
        """
        view = memoryview(into).cast("B")
        size = min(len(view), self._left)
        got = min(len(self._begun), size)
        view[:got] = self._begun[:got]
        self._begun = self._begun[got:]
        while got < size:
            count = self._sock.recv_into(view[got:size], size - got, socket.MSG_WAITALL)
            if not count:
                raise EOFError
            got += count
        self._left -= size
        return size

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, or all that are left."""
        into = bytearray(self._left if size < 0 else min(size, self._left))
        self.readinto(into)
        return bytes(into)

    def readline(self) -> bytes:
        """Refuse: protocol 5 has no lines."""
        raise pickle.UnpicklingError("a line in a pickle of protocol 5")

    def skip(self) -> None:
        """Read and drop the rest."""
        while self._left:
            self.read(min(self._left, 1 << 20))


class _Bytearray:
    """The pickle of a ``bytearray`` whose content is read from a file.

    The unpickler allocates the object without filling it with zeros first, and reads into it.
    """

    def __init__(self, file: SocketFile, size: int) -> None:
        self._head = _BYTEARRAY8 + U64.pack(size)
        self.readinto, self.readline = file.readinto, file.readline

    def read(self, size: int) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or _STOP


def decode(file: SocketFile, sizes: Sequence[int]) -> Any:  # noqa: ANN401
    """Return the value of a message that is still to be read."""
    buffers = [pickle.Unpickler(_Bytearray(file, size)).load() for size in sizes]
    return pickle.Unpickler(file, buffers=buffers).load()


def send_all(sock: socket.socket, parts: Sequence[Buffer]) -> None:
    """Write all parts to a blocking socket without joining them."""
    left = [memoryview(part).cast("B") for part in parts if len(part)]
    at = 0
    while at < len(left):
        sent = sock.sendmsg(left[at : at + _PIECES])
        while sent:
            size = len(left[at])
            if sent < size:
                left[at] = left[at][sent:]
                break
            sent -= size
            at += 1


# --------------------------------------------------------------------------------- frames


class Frame:
    """A frame that was read, or the beginning of a long one."""

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
        """The number of the map, call or shared value."""
        self.chunk: int = chunk
        """The number of the chunk; 0: the frame is about the job itself."""
        self.seconds: float = seconds
        """ITEMS: the time budget. ANSWER: the time that the work took."""
        self.total: int = total
        """The bytes of the message."""
        self.sizes: tuple[int, ...] = sizes
        """The bytes of each buffer of the message."""
        self.body: memoryview = body
        """The message, valid until the next read; only its beginning if ``total`` > INLINE."""


def header(
    kind: int, message: Encoded, job: int = 0, chunk: int = 0, flags: int = 0, seconds: float = 0
) -> bytes:
    """Return the bytes that precede a message."""
    sizes = message.sizes
    first = _HEADER.pack(kind, flags, 0, len(sizes), job, chunk, seconds, message.total)
    return first + b"".join(map(U64.pack, sizes)) if sizes else first


class Inbox:
    """Reads frames from a socket."""

    __slots__ = ("_at", "_end", "_sock", "_view")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._view = memoryview(bytearray(_ROOM))
        self._at = self._end = 0

    def receive(self, flags: int = 0) -> bool:
        """Read the bytes that have arrived; return False if the other end was closed.

        Raises:
            BlockingIOError: nothing has arrived, and the flags say not to wait.
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
        """Return the next frame that has arrived completely, or the beginning of a long one."""
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
