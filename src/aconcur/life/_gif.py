"""Generations as an animated GIF: Pillow packs each frame, and the file is written frame by frame.

Source: the GIF89a specification (CompuServe 1990).
"""

from __future__ import annotations

__all__ = ("Gif",)

import struct
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

    def add(self, grid: Grid) -> None:
        """Write a frame."""
        scale, palette = self._look.scale, self._look.palette
        size = (grid.width * scale, grid.height * scale)
        if not self._begun:
            screen = struct.pack("<2H", *size)
            self._file.write(b"GIF89a" + screen + b"\x80\0\0" + palette + _FOR_EVER)
            self._begun = True
        pixels = b"".join(row * scale for row in self._look.rows(grid))
        image = self._image.frombytes("P", size, pixels, "raw", "P;1")
        packed = image.tobytes("gif", "P", _CODE_SIZE, _NOT_INTERLACED)
        descriptor = b"\x2c" + struct.pack("<4H2B", 0, 0, *size, 0, _CODE_SIZE)
        self._file.write(self._control + descriptor + packed + b"\0")

    def close(self) -> None:
        """Write the end."""
        self._file.write(_END)
