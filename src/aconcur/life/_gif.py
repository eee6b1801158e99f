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

    Raises:
        MissingRequirementError: Pillow is not installed.
    """

    def __init__(self, file: BinaryIO, look: Look, ms: int) -> None:
        try:
            from PIL import Image
        except ImportError:
            raise MissingRequirementError("pillow", "install aconcur[images] for GIF") from None
        self._image = Image
        self._file, self._look = file, look
        delay = max(round(ms / 10), _FASTEST)
        self._control = b"\x21\xf9\x04\x04" + struct.pack("<H", delay) + b"\0\0"
        self._begun = False
        self._pixels = 0

    def add(self, grid: Grid) -> None:
        """Write a frame."""
        scale, palette = self._look.scale, self._look.palette
        width, height = grid.width * scale, grid.height * scale
        if not self._begun:
            screen = struct.pack("<2H", width, height)
            self._file.write(b"GIF89a" + screen + b"\x80\0\0" + palette + _FOR_EVER)
            self._begun = True
        descriptor = b"\x2c" + struct.pack("<4H2B", 0, 0, width, height, 0, _CODE_SIZE)
        self._pixels += width * height
        pack = self._by_numba if _use_numba(self._pixels) else self._by_pillow
        self._file.write(self._control + descriptor + pack(grid, width, height) + b"\0")

    def _by_pillow(self, grid: Grid, width: int, height: int) -> bytes:
        pixels = b"".join(row * self._look.scale for row in self._look.rows(grid))
        image = self._image.frombytes("P", (width, height), pixels, "raw", "P;1")
        packed: bytes = image.tobytes("gif", "P", _CODE_SIZE, _NOT_INTERLACED)
        return packed

    def _by_numba(self, grid: Grid, *_: int) -> bytes:
        from aconcur.life._lzw_kernel import pack

        return pack(grid.to_numpy(), self._look.scale)

    def close(self) -> None:
        """Write the end."""
        self._file.write(_END)


def _use_numba(pixels: int) -> bool:
    if sys.modules.get("numba") is not None:
        return True
    return pixels > _WORTH_NUMBA and find_spec("numba") is not None
