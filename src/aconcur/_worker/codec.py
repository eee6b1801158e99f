"""Pickle over a stream without copying large values.

A message is its large buffers, one after the other, then the pickle that refers to them (pickle's
protocol 5, PEP 574). Large ``bytes`` are handed to the pickler's file by reference, and read
straight into the object that the receiver gets.

Rule: both ends of every connection import this file, and nothing else knows a message's form.
"""

from __future__ import annotations

__all__ = (
    "INLINE",
    "U64",
    "Buffer",
    "Encoded",
    "SocketFile",
    "decode",
    "encode",
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

U64: Final = Struct("<Q")

INLINE: Final = 128 * 1024
"""Bytes up to which a message is sent and read as one piece. Measured: beyond, a thread pays."""

# Below, a buffer of its own costs more than the copy.
_OUT_OF_BAND: Final = 16 * 1024
# sendmsg(2): IOV_MAX is 1024.
_PIECES: Final = 512
# pickletools: protocol 5, then the opcode of a bytearray; the last opcode.
_BYTEARRAY8: Final = b"\x80\x05\x96"
_STOP: Final = b"."


class Encoded:
    """A message, ready to be sent."""

    __slots__ = ("parts", "sizes", "total")

    def __init__(self, parts: Sequence[Buffer], sizes: tuple[int, ...], total: int) -> None:
        self.parts: Sequence[Buffer] = parts
        """What to send, in order."""
        self.sizes: tuple[int, ...] = sizes
        """The bytes of each buffer before the pickle."""
        self.total: int = total
        """The bytes of all parts."""


class _Sink:
    """A file for the pickler that keeps what is written, large objects by reference."""

    __slots__ = ("parts", "write")

    def __init__(self) -> None:
        self.parts: list[Buffer] = []
        self.write = self.parts.append


def encode(value: object, pickler: type[Any] = pickle.Pickler) -> Encoded:
    """Return the message for a value.

    Raises:
        Exception: what the value's pickling raises.
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
        return Encoded(parts, (), sum(map(len, parts)))
    sizes = tuple(map(len, buffers))
    return Encoded(buffers + parts, sizes, sum(sizes) + sum(map(len, parts)))


def load(data: Buffer, sizes: Sequence[int]) -> Any:  # noqa: ANN401
    """Return the value of a message that is in memory."""
    if not sizes:
        return pickle.loads(data)
    view, buffers, at = memoryview(data), list[bytearray](), 0
    for size in sizes:
        buffers.append(bytearray(view[at : at + size]))
        at += size
    return pickle.loads(view[at:], buffers=buffers)


class SocketFile:
    """The next ``total`` bytes of a blocking socket, the first of which have been read already."""

    def __init__(self, sock: socket.socket, begun: Buffer, total: int) -> None:
        self._sock, self._begun, self._left = sock, memoryview(begun), total

    def readinto(self, into: bytearray | memoryview) -> int:
        """Fill the buffer.

        Raises:
            EOFError: the other end has gone.
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
        """Return so many bytes, or all that are left."""
        into = bytearray(self._left if size < 0 else min(size, self._left))
        self.readinto(into)
        return bytes(into)

    def readline(self) -> bytes:
        """Protocol 5 has no lines."""
        raise pickle.UnpicklingError("a line in a pickle of protocol 5")

    def skip(self) -> None:
        """Read the rest, for nobody."""
        while self._left:
            self.read(min(self._left, 1 << 20))


class _Bytearray:
    """The pickle of a ``bytearray`` whose content comes from elsewhere.

    The unpickler makes it without a first filling with zeros, and reads into it.
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
