"""Live cells as runs: what a pattern keeps, however wide, sparse or full it is.

Rule: runs are canonical, so equal sets of cells are equal runs: in reading order, none of them
empty, and none begins where the one before it in its row ends.
"""

from __future__ import annotations

__all__ = (
    "FURTHEST",
    "Runs",
    "check_reach",
    "of_arrays",
    "of_bits",
    "of_cells",
    "of_rows",
    "shifted",
    "to_bits",
)

import re
import sys
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from aconcur.life._errors import PatternSizeError

if TYPE_CHECKING:  # an extra, and slower to import than all of this package
    import numpy as np
    from numpy.typing import NDArray

# A sum of two such numbers is still one machine word.
FURTHEST: Final = 2**61

_LIVE: Final = re.compile("1+")
# A guess: fewer runs are laid out one by one before numpy's calls are made.
_WORTH_NUMPY: Final = 1000


class Runs(NamedTuple):
    """Rows, first columns and lengths of runs: three arrays of signed 64-bit integers."""

    y: array[int]
    x: array[int]
    n: array[int]

    def __bool__(self) -> bool:
        return bool(self.y)

    def each(self) -> Iterator[tuple[int, int, int]]:
        """Yield row, first column and length of each run."""
        return zip(*self, strict=True)

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield row and column of each cell, in reading order."""
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
        if len(self.y) < _WORTH_NUMPY or "numpy" not in sys.modules:
            return min(self.x), max(map(int.__add__, self.x, self.n))
        import numpy as np

        x, n = np.frombuffer(self.x, np.int64), np.frombuffer(self.n, np.int64)
        return int(x.min()), int((x + n).max())


def of_rows(runs: Iterable[tuple[int, int, int]]) -> Runs:
    """Make runs of (row, first column, length) in reading order; runs that touch are joined."""
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
    """Make runs of (row, column) in any order, each as often as it likes."""
    ordered = sorted(set(cells))
    if ordered:
        check_reach(ordered[0][0], min(x for _, x in ordered))
        check_reach(ordered[-1][0], max(x for _, x in ordered))
    return of_rows((y, x, 1) for y, x in ordered)


def check_reach(y: int, x: int) -> None:
    """Raise if a cell is further out than patterns reach."""
    if not (-FURTHEST <= y <= FURTHEST and -FURTHEST <= x <= FURTHEST):
        raise PatternSizeError(f"cell ({y}, {x}) is too far out: patterns reach to 2**61")


def shifted(runs: Runs, down: int, right: int) -> Runs:
    """Move runs; they must not leave what patterns reach."""
    top, left, height, width = runs.box()
    check_reach(top + down, left + right)
    check_reach(top + down + height, left + right + width)
    return Runs(
        array("q", [y + down for y in runs.y]) if down else runs.y,
        array("q", [x + right for x in runs.x]) if right else runs.x,
        runs.n,
    )


def to_bits(runs: Runs, height: int, width: int) -> int:
    """Return one number of ``height * width`` bits, row after row: bit 0 is cell (0, 0).

    Takes a byte a cell for a moment, and time in proportion to it.
    """
    if len(runs.y) >= _WORTH_NUMPY and "numpy" in sys.modules:
        return _to_bits_by_numpy(runs, height, width)
    digits = bytearray(b"0") * (height * width)
    for y, x, n in runs.each():
        begin = y * width + x
        digits[begin : begin + n] = b"1" * n
    return int(digits[::-1] or b"0", 2)


def _to_bits_by_numpy(runs: Runs, height: int, width: int) -> int:
    import numpy as np

    y, x, n = (np.frombuffer(array, np.int64) for array in runs)
    changes = np.zeros(height * width + 1, np.int8)
    begins = y * width + x
    changes[begins] += 1
    changes[begins + n] -= 1
    cells = np.cumsum(changes[:-1], dtype=np.int8).view(np.bool_)
    return int.from_bytes(np.packbits(cells, bitorder="little").tobytes(), "little")


def of_bits(rows: Iterable[int], top: int, left: int) -> Runs:
    """Make runs of rows from the top on; bit ``x`` of a row is column ``left + x``."""
    return of_rows(
        (y, left + found.start(), found.end() - found.start())
        for y, row in enumerate(rows, top)
        for found in _LIVE.finditer(f"{row:b}"[::-1])
    )


def of_arrays(y: NDArray[np.int64], x: NDArray[np.int64], n: NDArray[np.int64]) -> Runs:
    """Make runs of arrays in reading order; runs that touch are joined."""
    import numpy as np

    if not len(y):
        return of_rows(())
    first = np.ones(len(y), np.bool_)
    np.logical_or(y[1:] != y[:-1], x[1:] != x[:-1] + n[:-1], out=first[1:])
    at = np.flatnonzero(first)
    joined = np.add.reduceat(n, at)
    found = Runs(array("q"), array("q"), array("q"))
    for into, values in zip(found, (y[at], x[at], joined), strict=True):
        into.frombytes(values.astype(np.int64).tobytes())
    return found
