"""The one integer of a grid, made of text, of cells, or by lot.

Rule: bit ``y * width + x`` is the cell in row ``y``, column ``x``; sizes are checked by who calls.
"""

from __future__ import annotations

__all__ = ("by_lot", "check_size", "of_cells", "of_lines")

from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

LIVE: Final = "O*"
DEAD: Final = "._"
_TO_DIGITS: Final = str.maketrans(LIVE + DEAD, "1" * len(LIVE) + "0" * len(DEAD))


def check_size(height: int, width: int) -> None:
    """Raise if there would be no cell.

    Raises:
        TypeError: a size is no whole number.
        ValueError: it is below 1.
    """
    for size in (height, width):
        if not hasattr(size, "__index__"):
            raise TypeError(f"a grid's height and width are whole numbers, not {size!r}")
    if height < 1 or width < 1:
        raise ValueError(
            f"a grid needs a row and a column at least, not {height} rows of {width} cells"
        )


def of_lines(rows: Sequence[str]) -> int:
    """Lay out lines that are all as long as the first one.

    Raises:
        ValueError: they are not, or a character is no cell; names it.
    """
    width = len(rows[0])
    for y, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(f"row {y} has {len(row)} cells, row 0 has {width}")
        if strange := set(row).difference(LIVE, DEAD):
            x, character = min((row.index(found), found) for found in strange)
            raise ValueError(
                f"a cell is one of {LIVE + DEAD!r}, not {character!r}: row {y}, column {x}"
            )
    return int("".join(rows)[::-1].translate(_TO_DIGITS), 2)


def of_cells(cells: Iterable[tuple[int, int]], height: int, width: int, top: int, left: int) -> int:
    """Lay out (y, x) of live cells.

    Raises:
        ValueError: one is outside; names it.
    """
    packed = bytearray((height * width + 7) // 8)
    for y, x in cells:
        if not (0 <= y - top < height and 0 <= x - left < width):
            raise ValueError(
                f"the cell ({y}, {x}) is outside of {height} × {width} at ({top}, {left})"
            )
        index = (y - top) * width + x - left
        packed[index >> 3] |= 1 << (index & 7)
    return int.from_bytes(packed, "little")


def by_lot(size: int, density: float, seed: int | None) -> int:
    """Let each cell live by lot, with this likelihood to the nearest 256th.

    Raises:
        ValueError: the density is no probability.
    """
    if not 0 <= density <= 1:
        raise ValueError(f"density must be from 0 to 1, not {density}")
    lots, of_256 = Random(seed), round(density * 256)
    if of_256 == 256:
        return (1 << size) - 1
    bits = 0
    # From the lowest binary digit: OR with a fair coin adds a half, AND takes one away.
    for digit in range((of_256 & -of_256).bit_length() - 1, 8) if of_256 else ():
        coin = lots.getrandbits(size)
        bits = bits | coin if of_256 >> digit & 1 else bits & coin
    return bits
