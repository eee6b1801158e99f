"""Encode generations as an animated GIF, frame by frame, by Pillow or by a compiled kernel.

Source: the GIF89a specification (CompuServe 1990).
"""

from __future__ import annotations

__all__ = ("Gif",)

import struct
import sys
from importlib.util import find_spec
from typing import BinaryIO, Final

from aconcur.errors import MissingRequirementError
from aconcur.life._images.look import Look
from aconcur.life._model.grid import Grid

_FOR_EVER: Final = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
_END: Final = b"\x3b"
# The smallest code size of the format, enough for two colours.
_CODE_SIZE: Final = 2
_NOT_INTERLACED: Final = 0
# Hundredths of a second. Browsers play animations with a shorter delay at 10 frames a second.
_SHORTEST_DELAY: Final = 2

# Pixels packed with Pillow before numba is imported: about the number that Pillow packs while numba
# is imported and the kernel compiled.
_WORTH_NUMBA: Final = 1 << 27


class Gif:
    """A writer of animated GIF, frame by frame.

    Args:
        file: the file.
        look: size and colours of a cell.
        ms: the time that a frame is shown, in milliseconds, rounded to hundredths of a second, at
            least 2.
        height: the height of a frame, in cells.
        width: the width of a frame, in cells.

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
        delay = max(round(ms / 10), _SHORTEST_DELAY)
        self._control = b"\x21\xf9\x04\x04" + struct.pack("<H", delay) + b"\0\0"
        self._size = (width * look.scale, height * look.scale)
        self._frames = 0

    def pack(self, grid: Grid) -> bytes:
        """Return the bytes of a frame. May be called from several threads at once."""
        width, height = self._size
        pack = self._by_numba if _use_numba(self._frames * width * height) else self._by_pillow
        return pack(grid)

    def _by_pillow(self, grid: Grid) -> bytes:
        pixels = b"".join(row * self._look.scale for row in self._look.rows(grid))
        image = self._image.frombytes("P", self._size, pixels, "raw", "P;1")
        packed: bytes = image.tobytes("gif", "P", _CODE_SIZE, _NOT_INTERLACED)
        return packed

    def _by_numba(self, grid: Grid) -> bytes:
        from aconcur.life._images.lzw_kernel import pack

        return pack(grid.to_numpy(), self._look.scale)

    def add(self, frame: bytes) -> None:
        """Write a frame; frames come in order, one at a time."""
        if not self._frames:
            screen = struct.pack("<2H", *self._size)
            head = b"GIF89a" + screen + b"\x80\0\0" + self._look.palette
            self._file.write(head + _FOR_EVER)
        descriptor = b"\x2c" + struct.pack("<4H2B", 0, 0, *self._size, 0, _CODE_SIZE)
        self._file.write(self._control + descriptor + frame + b"\0")
        self._frames += 1

    def close(self) -> None:
        """Write the end of the file."""
        self._file.write(_END)


def _use_numba(pixels: int) -> bool:
    if sys.modules.get("numba") is not None:
        return True
    return pixels > _WORTH_NUMBA and find_spec("numba") is not None
