"""Live cells as runs (row, first column, length): the form in which a pattern keeps its cells.

Runs are canonical: sorted by row and column, never empty, and no run begins where the one before it
in its row ends. Equal sets of cells therefore have equal arrays.
"""

from __future__ import annotations

__all__ = (
    "FURTHEST",
    "Runs",
    "check_reach",
    "checked",
    "of_arrays",
    "of_bits",
    "of_cell_array",
    "of_cells",
    "of_rows",
    "shifted",
    "to_bits",
)

import re
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from aconcur.life._errors import PatternSizeError
from aconcur.life._model.arrays import numpy_is_imported

if TYPE_CHECKING:  # an extra, and slower to import than all of this package
    import numpy as np
    from numpy.typing import NDArray

# The sum of two coordinates still fits in a machine word.
FURTHEST: Final = 2**61

_LIVE: Final = re.compile("1+")
# A guess: below so many runs, the overhead of numpy's calls exceeds what they save.
_WORTH_NUMPY: Final = 1000
# Cells that take a byte each while they are packed: a guess at the size of a level 2 cache.
_BAND: Final = 1 << 20


class Runs(NamedTuple):
    """Rows, first columns and lengths, as three arrays of signed 64-bit integers."""

    y: array[int]
    x: array[int]
    n: array[int]

    def __bool__(self) -> bool:
        return bool(self.y)

    def each(self) -> Iterator[tuple[int, int, int]]:
        """Yield row, first column and length of each run."""
        return zip(*self, strict=True)

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield row and column of each cell, row by row."""
        return chain.from_iterable(
            ((y, column) for column in range(x, x + n)) for y, x, n in self.each()
        )

    def box(self) -> tuple[int, int, int, int]:
        """Return top, left, height and width of the smallest box around the cells."""
        if not self:
            return 0, 0, 0, 0
        left, right = self._sides()
        return self.y[0], left, self.y[-1] - self.y[0] + 1, right - left

    def _sides(self) -> tuple[int, int]:
        if len(self.y) < _WORTH_NUMPY or not numpy_is_imported():
            return min(self.x), max(map(int.__add__, self.x, self.n))
        import numpy as np

        x, n = np.frombuffer(self.x, np.int64), np.frombuffer(self.n, np.int64)
        return int(x.min()), int((x + n).max())


def of_rows(runs: Iterable[tuple[int, int, int]]) -> Runs:
    """Return sorted (row, first column, length) as runs; runs that touch are joined."""
    found = Runs(array("q"), array("q"), array("q"))
    ys, xs, ns = found
    for y, x, n in runs:
        if ys and ys[-1] == y and xs[-1] + ns[-1] == x:
            ns[-1] += n
        else:
            ys.append(y)
            xs.append(x)
            ns.append(n)
    return found


def of_cells(cells: Iterable[tuple[int, int]]) -> Runs:
    """Return the runs of (row, column) in any order; a cell may be given more than once."""
    ordered = sorted(set(cells))
    if ordered:
        check_reach(ordered[0][0], min(x for _, x in ordered))
        check_reach(ordered[-1][0], max(x for _, x in ordered))
    return of_rows((y, x, 1) for y, x in ordered)


def check_reach(y: int, x: int) -> None:
    """Refuse a cell beyond the largest coordinate of a pattern.

    Raises:
        PatternSizeError: a coordinate is beyond ±2⁶¹.
    """
    if not (-FURTHEST <= y <= FURTHEST and -FURTHEST <= x <= FURTHEST):
        raise PatternSizeError(f"cell ({y}, {x}) is too far out: patterns reach to 2**61")


def checked(runs: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Yield runs as they are, after a check.

    Raises:
        PatternSizeError: a coordinate is beyond ±2⁶¹.
        ValueError: a run is empty, or begins before the end of the one before it.
    """
    row = end = -FURTHEST
    for y, x, n in runs:
        check_reach(y, x)
        check_reach(y, x + n)
        if n < 1 or y < row or (y == row and x < end):
            raise ValueError(
                f"run {(y, x, n)} is empty, or begins before the end of the one before it"
            )
        row, end = y, x + n
        yield y, x, n


def shifted(runs: Runs, down: int, right: int) -> Runs:
    """Return the runs moved by some rows and columns.

    Raises:
        PatternSizeError: a coordinate would be beyond ±2⁶¹.
    """
    top, left, height, width = runs.box()
    check_reach(top + down, left + right)
    check_reach(top + down + height, left + right + width)
    return Runs(
        array("q", [y + down for y in runs.y]) if down else runs.y,
        array("q", [x + right for x in runs.x]) if right else runs.x,
        runs.n,
    )


def to_bits(runs: Runs, height: int, width: int) -> int:
    """Return the bits of a grid of this size, in which every run must lie.

    For a moment it takes three times the memory of the result.
    """
    if len(runs.y) >= _WORTH_NUMPY and numpy_is_imported() and 8 * width <= _BAND:
        return int.from_bytes(_packed_by_numpy(runs, height, width), "little")
    packed = bytearray((height * width + 7) // 8)
    for y, x, n in runs.each():
        begin = y * width + x
        last = begin + n - 1
        first_byte, last_byte = begin >> 3, last >> 3
        if first_byte == last_byte:
            packed[first_byte] |= ((1 << n) - 1) << (begin & 7)
        else:
            packed[first_byte] |= 0xFF << (begin & 7) & 0xFF
            packed[first_byte + 1 : last_byte] = b"\xff" * (last_byte - first_byte - 1)
            packed[last_byte] |= 0xFF >> 7 - (last & 7)
    return int.from_bytes(packed, "little")


def _packed_by_numpy(runs: Runs, height: int, width: int) -> bytearray:
    import numpy as np

    y, x, n = (np.frombuffer(array, np.int64) for array in runs)
    packed = bytearray((height * width + 7) // 8)
    # Take a multiple of eight rows at a time, so that each block begins on a byte of the result.
    rows = _BAND // (8 * width) * 8
    for top in range(0, height, rows):
        size = min(rows, height - top) * width
        low, high = np.searchsorted(y, (top, top + rows))
        changes = np.zeros(size + 1, np.int8)
        begins = (y[low:high] - top) * width + x[low:high]
        changes[begins] += 1
        changes[begins + n[low:high]] -= 1
        cells = np.cumsum(changes[:-1], dtype=np.int8)
        at = top * width // 8
        packed[at : at + (size + 7) // 8] = np.packbits(cells, bitorder="little").data
    return packed


def of_bits(rows: Iterable[int], top: int, left: int) -> Runs:
    """Return the runs of rows of bits; bit ``x`` of a row is column ``left + x``."""
    return of_rows(
        (y, left + found.start(), found.end() - found.start())
        for y, row in enumerate(rows, top)
        for found in _LIVE.finditer(f"{row:b}"[::-1])
    )


def of_cell_array(cells: NDArray[np.uint8], top: int, left: int) -> Runs:
    """Return the runs of an array of 0 and 1 whose corner is at (``top``, ``left``)."""
    import numpy as np

    height, width = cells.shape
    # A dead column after the last one separates the rows.
    flat = np.zeros(height * (width + 1) + 1, np.uint8)
    flat[1:].reshape(height, width + 1)[:, :width] = cells
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    begins, ends = changes[::2], changes[1::2]
    y, x = np.divmod(begins, width + 1)
    return of_arrays(y + top, x + left, ends - begins)


def of_arrays(y: NDArray[np.int64], x: NDArray[np.int64], n: NDArray[np.int64]) -> Runs:
    """Return sorted arrays as runs; runs that touch are joined."""
    import numpy as np

    touching = np.logical_and(y[1:] == y[:-1], x[1:] == x[:-1] + n[:-1])
    if touching.any():
        at = np.append(0, np.flatnonzero(~touching) + 1)
        y, x, n = y[at], x[at], np.add.reduceat(n, at)
    found = Runs(array("q"), array("q"), array("q"))
    for into, values in zip(found, (y, x, n), strict=True):
        into.frombytes(np.ascontiguousarray(values, np.int64).view(np.uint8).data)
    return found
