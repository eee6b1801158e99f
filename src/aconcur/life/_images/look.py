"""The size and the colours of a cell, and rows of pixels, for pictures of all formats."""

from __future__ import annotations

__all__ = ("Look",)

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aconcur.life._model.grid import Grid

_COLOUR: Final = re.compile(r"#?(?P<digits>[0-9a-fA-F]{6})")
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Look:
    """How cells are drawn.

    Args:
        scale: the width and height of a cell in pixels, 1 to 64.
        alive: the colour of live cells, ``"#rrggbb"``.
        dead: the colour of dead cells, ``"#rrggbb"``.

    Raises:
        ValueError: the scale is out of range, or a colour has another form.
    """

    scale: int = 1
    alive: str = "#e8f0ff"
    dead: str = "#101420"

    def __post_init__(self) -> None:
        if not 1 <= self.scale <= 64:
            raise ValueError(f"scale must be from 1 to 64, not {self.scale}")
        for colour in (self.alive, self.dead):
            if not _COLOUR.fullmatch(colour):
                raise ValueError(f"a colour must have the form #rrggbb, not {colour!r}")

    @property
    def palette(self) -> bytes:
        """Red, green and blue of dead cells, then those of live cells."""
        return bytes.fromhex(self.dead[-6:] + self.alive[-6:])

    def rows(self, grid: Grid) -> Iterator[bytes]:
        """Yield a row of pixels for each row of cells. The caller repeats it ``scale`` times.

        A pixel is a bit, the leftmost one the highest of its byte; the last byte is padded with
        dead pixels.
        """
        size = (grid.width * self.scale + 7) // 8
        if self.scale == 1 and grid.width % 8 == 0:
            # Each row begins on a byte, so one translation reverses the bits of all bytes.
            cells = grid.bits.to_bytes(size * grid.height, "little").translate(_REVERSED)
            for begin in range(0, len(cells), size):
                yield cells[begin : begin + size]
            return
        for row in grid.rows():
            yield self._widened(row).to_bytes(size, "little").translate(_REVERSED)

    def _widened(self, row: int) -> int:
        """Return a row in which each bit is repeated ``scale`` times."""
        scale = self.scale
        if scale == 1:
            return row
        if scale <= 5:
            # Binary digits parsed in base 2 ** scale are ``scale`` bits apart.
            return int(f"{row:b}", 1 << scale) * ((1 << scale) - 1)
        return int(f"{row:b}".replace("0", "0" * scale).replace("1", "1" * scale), 2)
