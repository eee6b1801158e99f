"""Encode a grid as PNG, and generations as animated PNG: one bit a pixel, with zlib only.

Source: the PNG specification, third edition (W3C 2025), which includes animation.
"""

from __future__ import annotations

__all__ = ("Apng", "png")

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from aconcur.life._images.look import Look
from aconcur.life._model.grid import Grid

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
    """A writer of animated PNG, frame by frame.

    Args:
        file: a seekable file: the number of frames is written into its head at the end.
        look: size and colours of a cell.
        ms: the time that a frame is shown, in milliseconds.
        height: the height of a frame, in cells.
        width: the width of a frame, in cells.
    """

    def __init__(self, file: BinaryIO, look: Look, ms: int, height: int, width: int) -> None:
        self._file, self._look, self._ms = file, look, ms
        self._size = (width * look.scale, height * look.scale)
        self._control = self._sequence = self._frames = 0

    def pack(self, grid: Grid) -> bytes:
        """Return the bytes of a frame. May be called from several threads at once."""
        return _packed(grid, self._look)

    def add(self, frame: bytes) -> None:
        """Write a frame; frames come in order, one at a time."""
        if not self._frames:
            self._file.write(b"".join((_SIGNATURE, *_head(self._size, self._look))))
            self._control = self._file.tell()
            self._file.write(self._animation_control())
        control = struct.pack(">5I2H2B", self._next(), *self._size, 0, 0, self._ms, 1000, 0, 0)
        self._file.write(_chunk(b"fcTL", control))
        # The first frame is also the still picture for programs that do not know animation.
        self._file.write(
            _chunk(b"fdAT", struct.pack(">I", self._next()) + frame)
            if self._frames
            else _chunk(b"IDAT", frame)
        )
        self._frames += 1

    def close(self) -> None:
        """Write the end of the file, and the number of frames into its head."""
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
    # Each row begins with its filter: 0 for none, 2 for the difference to the row above, which is
    # all zeros for the repeated rows of a large cell.
    size = (grid.width * look.scale + 7) // 8
    again = (b"\2" + bytes(size)) * (look.scale - 1)
    # Z_RLE: cells hardly repeat except in runs of dead ones, and searching for other matches takes
    # at least twice as long. Measured.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    rows = b"".join(b"\0" + row + again for row in look.rows(grid))
    return packer.compress(rows) + packer.flush()


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    check = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", check)))
