"""Build a grid's integer from text, from cells, or at random.

Bit ``y * width + x`` is the cell in row ``y``, column ``x``. The caller checks sizes.
"""

from __future__ import annotations

__all__ = ("check_size", "of_cells", "of_lines", "random_bits")

from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

LIVE: Final = "O*"
DEAD: Final = "._"
_TO_DIGITS: Final = str.maketrans(LIVE + DEAD, "1" * len(LIVE) + "0" * len(DEAD))


def check_size(height: int, width: int) -> None:
    """Refuse sizes of which a grid cannot be made.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is below 1.
    """
    for size in (height, width):
        if not hasattr(size, "__index__"):
            raise TypeError(f"a grid's height and width must be whole numbers, not {size!r}")
    if height < 1 or width < 1:
        raise ValueError(
            f"a grid needs at least one row and one column, not {height} rows of {width} cells"
        )


def of_lines(rows: Sequence[str]) -> int:
    """Return the bits of lines of text.

    Raises:
        ValueError: a line is longer or shorter than the first, or a character is not a cell; the
            message names it.
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
    """Return the bits of live cells, given as (y, x).

    Raises:
        ValueError: a cell is outside of the grid; the message names it.
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


def random_bits(size: int, density: float, seed: int | None) -> int:
    """Return random bits, each set with probability ``density``, to the nearest 256th.

    Raises:
        ValueError: the density is not a probability.
    """
    if not 0 <= density <= 1:
        raise ValueError(f"density must be from 0 to 1, not {density}")
    source, of_256 = Random(seed), round(density * 256)
    if of_256 == 256:
        return (1 << size) - 1
    bits = 0
    # From the lowest binary digit of the density to the highest: OR with a fair coin maps a
    # probability p to (1 + p) / 2, AND maps it to p / 2.
    for digit in range((of_256 & -of_256).bit_length() - 1, 8) if of_256 else ():
        coin = source.getrandbits(size)
        bits = bits | coin if of_256 >> digit & 1 else bits & coin
    return bits
