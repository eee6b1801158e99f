"""Cells as PNG, and generations as animated PNG: one bit a cell, by zlib alone.

Source: the PNG specification, third edition (W3C 2025), which includes animation.
"""

from __future__ import annotations

__all__ = ("Apng", "png")

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from aconcur.life._grid import Grid
from aconcur.life._picture import Look

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PALETTE_BIT_DEPTH_1: Final = (1, 3, 0, 0, 0)


def png(grid: Grid, look: Look) -> bytes:
    """Return a grid as a PNG file."""
    size = (grid.width * look.scale, grid.height * look.scale)
    return b"".join(
        (
            _SIGNATURE,
            *_head(size, look),
            _chunk(b"IDAT", _packed(grid, look)),
            _chunk(b"IEND"),
        )
    )


class Apng:
    """An animated PNG that is written frame by frame; it never holds more than one.

    Args:
        file: where to write; it is gone back in once, at the end.
        look: size and colours of a cell.
        ms: how long a frame is shown.
        height: of a frame, in cells.
        width: of a frame, in cells.
    """

    def __init__(self, file: BinaryIO, look: Look, ms: int, height: int, width: int) -> None:
        self._file, self._look, self._ms = file, look, ms
        self._size = (width * look.scale, height * look.scale)
        self._control = self._sequence = self._frames = 0

    def pack(self, grid: Grid) -> bytes:
        """Return a frame; threads may pack several at once."""
        return _packed(grid, self._look)

    def add(self, frame: bytes) -> None:
        """Write a frame."""
        if not self._frames:
            self._file.write(b"".join((_SIGNATURE, *_head(self._size, self._look))))
            self._control = self._file.tell()
            self._file.write(self._animation_control())
        control = struct.pack(">5I2H2B", self._next(), *self._size, 0, 0, self._ms, 1000, 0, 0)
        self._file.write(_chunk(b"fcTL", control))
        # The first frame is also the picture that programs without animation show.
        self._file.write(
            _chunk(b"fdAT", struct.pack(">I", self._next()) + frame)
            if self._frames
            else _chunk(b"IDAT", frame)
        )
        self._frames += 1

    def close(self) -> None:
        """Write the end, and how many frames there are."""
        self._file.write(_chunk(b"IEND"))
        self._file.seek(self._control)
        self._file.write(self._animation_control())

    def _animation_control(self) -> bytes:
        return _chunk(b"acTL", struct.pack(">2I", self._frames, 0))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1


def _head(size: tuple[int, int], look: Look) -> Iterator[bytes]:
    yield _chunk(b"IHDR", struct.pack(">2I5B", *size, *_PALETTE_BIT_DEPTH_1))
    yield _chunk(b"PLTE", look.palette)


def _packed(grid: Grid, look: Look) -> bytes:
    # Each row begins with its filter: 0 for none; 2 for what differs from the row above, which is
    # nothing at all in the further rows of a large cell.
    size = (grid.width * look.scale + 7) // 8
    again = (b"\2" + bytes(size)) * (look.scale - 1)
    # Cells hardly repeat but in runs of dead ones: looking for more takes twice as long or more.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    rows = b"".join(b"\0" + row + again for row in look.rows(grid))
    return packer.compress(rows) + packer.flush()


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    check = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", check)))
