"""What pictures of all formats share: how large a cell is, and its colours."""

from __future__ import annotations

__all__ = ("Look",)

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aconcur.life._grid import Grid

_COLOUR: Final = re.compile(r"#?(?P<digits>[0-9a-fA-F]{6})")
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Look:
    """How cells are drawn.

    Args:
        scale: a cell is so many pixels wide and high, 1 to 64.
        alive: the colour of live cells, ``"#rrggbb"``.
        dead: the colour of dead cells.

    Raises:
        ValueError: the scale is another, or a colour is none.
    """

    scale: int = 1
    alive: str = "#e8f0ff"
    dead: str = "#101420"

    def __post_init__(self) -> None:
        if not 1 <= self.scale <= 64:
            raise ValueError(f"scale must be from 1 to 64, not {self.scale}")
        for colour in (self.alive, self.dead):
            if not _COLOUR.fullmatch(colour):
                raise ValueError(f"a colour is written #rrggbb, not {colour!r}")

    @property
    def palette(self) -> bytes:
        """Red, green and blue of dead cells, then of live ones."""
        return bytes.fromhex(self.dead[-6:] + self.alive[-6:])

    def rows(self, grid: Grid) -> Iterator[bytes]:
        """Yield a row of pixels for each row of cells: it is to be shown ``scale`` times.

        A bit is a pixel, and the leftmost one is the highest; the last byte is filled up with dead
        pixels.
        """
        size = (grid.width * self.scale + 7) // 8
        if self.scale == 1 and grid.width % 8 == 0:
            # Each row begins on a byte: all of them are turned round at once.
            cells = grid.bits.to_bytes(size * grid.height, "little").translate(_REVERSED)
            for begin in range(0, len(cells), size):
                yield cells[begin : begin + size]
            return
        for row in grid.rows():
            yield self._widened(row).to_bytes(size, "little").translate(_REVERSED)

    def _widened(self, row: int) -> int:
        """Return a row in which each bit stands ``scale`` times."""
        scale = self.scale
        if scale == 1:
            return row
        if scale <= 5:
            # Binary digits read as digits of another power of two lie ``scale`` bits apart.
            return int(f"{row:b}", 1 << scale) * ((1 << scale) - 1)
        return int(f"{row:b}".replace("0", "0" * scale).replace("1", "1" * scale), 2)
