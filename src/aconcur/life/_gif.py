"""Generations as an animated GIF, written frame by frame: Pillow packs them, or machine code.

Source: the GIF89a specification (CompuServe 1990).
"""

from __future__ import annotations

__all__ = ("Gif",)

import struct
import sys
from importlib.util import find_spec
from typing import BinaryIO, Final

from aconcur.errors import MissingRequirementError
from aconcur.life._grid import Grid
from aconcur.life._picture import Look

_FOR_EVER: Final = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
_END: Final = b"\x3b"
# The smallest that the format allows, enough for two colours.
_CODE_SIZE: Final = 2
_NOT_INTERLACED: Final = 0
# Browsers slow down what is asked to go faster.
_FASTEST: Final = 2  # hundredths of a second

# To import and to compile what packs two colours in half of Pillow's time takes about as long as
# Pillow needs for so many pixels.
_WORTH_NUMBA: Final = 1 << 27


class Gif:
    """An animated GIF that is written frame by frame; it never holds more than one.

    Args:
        file: where to write.
        look: size and colours of a cell.
        ms: how long a frame is shown; the format rounds it to hundredths of a second, 2 at least.
        height: of a frame, in cells.
        width: of a frame, in cells.

    Raises:
        MissingRequirementError: Pillow is not installed.
    """

    def __init__(self, file: BinaryIO, look: Look, ms: int, height: int, width: int) -> None:
        try:
            from PIL import Image
        except ImportError:
            raise MissingRequirementError("pillow", "install aconcur[images] for GIF") from None
        self._image = Image
        self._file, self._look = file, look
        delay = max(round(ms / 10), _FASTEST)
        self._control = b"\x21\xf9\x04\x04" + struct.pack("<H", delay) + b"\0\0"
        self._size = (width * look.scale, height * look.scale)
        self._frames = 0

    def pack(self, grid: Grid) -> bytes:
        """Return a frame; threads may pack several at once."""
        width, height = self._size
        pack = self._by_numba if _use_numba(self._frames * width * height) else self._by_pillow
        return pack(grid)

    def _by_pillow(self, grid: Grid) -> bytes:
        pixels = b"".join(row * self._look.scale for row in self._look.rows(grid))
        image = self._image.frombytes("P", self._size, pixels, "raw", "P;1")
        packed: bytes = image.tobytes("gif", "P", _CODE_SIZE, _NOT_INTERLACED)
        return packed

    def _by_numba(self, grid: Grid) -> bytes:
        from aconcur.life._lzw_kernel import pack

        return pack(grid.to_numpy(), self._look.scale)

    def add(self, frame: bytes) -> None:
        """Write a frame."""
        if not self._frames:
            screen = struct.pack("<2H", *self._size)
            head = b"GIF89a" + screen + b"\x80\0\0" + self._look.palette
            self._file.write(head + _FOR_EVER)
        descriptor = b"\x2c" + struct.pack("<4H2B", 0, 0, *self._size, 0, _CODE_SIZE)
        self._file.write(self._control + descriptor + frame + b"\0")
        self._frames += 1

    def close(self) -> None:
        """Write the end."""
        self._file.write(_END)


def _use_numba(pixels: int) -> bool:
    if sys.modules.get("numba") is not None:
        return True
    return pixels > _WORTH_NUMBA and find_spec("numba") is not None
