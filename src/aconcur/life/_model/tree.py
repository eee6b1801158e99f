"""The cells of one generation as a quadtree around the origin: a form for patterns of any size.

A node is a square of ``2 ** level`` cells a side: four squares of half the side, or a leaf's bits.
Equal squares may be one object, so that a tree with few nodes can have any number of cells.
"""

from __future__ import annotations

__all__ = ("SMALLEST_LEVEL", "Square", "TreeCells")

import re
from collections.abc import Iterator
from typing import Final, Protocol, TypeAlias, final

from aconcur.life._errors import GridTooLargeError
from aconcur.life._model.bit_rows import join_rows, ones
from aconcur.life._model.row_runs import Runs, checked, of_rows

SMALLEST_LEVEL: Final = 8
"""The lowest level of a tree that engines can start from."""
# The most leaves to lay out one by one: some seconds, and about a gigabyte. A guess.
_MOST_LEAVES: Final = 1 << 22
# The most runs in all squares together for laying out equal squares once: tenths of a second. A
# guess.
_MOST_RUNS: Final = 1 << 16
_LIVE: Final = re.compile("1+")

_Extent: TypeAlias = tuple[int, int, int, int]
_Parts: TypeAlias = tuple[tuple[int, int, int], ...]
"""Row, first column and length of each run in a square, from its corner."""


class Square(Protocol):
    """A square of ``2 ** level`` cells a side: four squares of half the side, or a leaf."""

    @property
    def level(self) -> int: ...

    @property
    def population(self) -> int: ...

    @property
    def bits(self) -> int:
        """The cells of a leaf: bit ``y * stride + x``."""
        ...

    @property
    def is_empty(self) -> bool: ...

    @property
    def quarters(self) -> tuple[Square, Square, Square, Square]:
        """North-west, north-east, south-west, south-east."""
        ...


@final
class TreeCells:
    """One generation as a quadtree around the origin.

    Args:
        root: the square with all live cells.
        bottom: the level of a leaf.
        stride: the number of bits from one row of a leaf to the next.
    """

    __slots__ = ("bottom", "root", "stride")

    def __init__(self, root: Square, bottom: int, stride: int) -> None:
        self.root: Square = root
        self.bottom: int = bottom
        self.stride: int = stride

    def population(self) -> int:
        """Return the number of live cells."""
        return self.root.population

    def box(self) -> tuple[int, int, int, int]:
        """Return top, left, height and width of the smallest box around the cells."""
        if self.root.is_empty:
            return 0, 0, 1, 1
        top, left, bottom, right = self._extent(self.root, {})
        half = 1 << self.root.level - 1
        return top - half, left - half, bottom - top, right - left

    def bits(self) -> int:
        """Return the cells of that box as :attr:`.Grid.bits`."""
        top, left, height, width = self.box()
        rows = [0] * height
        for y0, x0, leaf in self._leaves():
            for y, row in self._rows_of(leaf):
                at = x0 - left
                rows[y0 + y - top] |= row << at if at >= 0 else row >> -at
        return join_rows(rows, width)

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (y, x) of each live cell."""
        for y0, x0, leaf in self._leaves():
            for y, row in self._rows_of(leaf):
                for x in ones(row):
                    yield y0 + y, x0 + x

    def runs(self) -> Runs:
        """Return the cells as runs.

        Raises:
            GridTooLargeError: there are too many, more than 2²² leaves without long rows.
            PatternSizeError: a coordinate is beyond ±2⁶¹.
        """
        half = 1 << self.root.level - 1
        runs: list[tuple[int, int, int]]
        try:
            runs = [(y - half, x - half, n) for y, x, n in self._parts(self.root)]
        except _TooManyRunsError:
            if self._count_leaves() > _MOST_LEAVES:
                raise GridTooLargeError(*self.box()[2:]) from None
            runs = sorted(self._each_run())
        return of_rows(checked(runs))

    def _count_leaves(self) -> int:
        known: dict[Square, int] = {}

        def count(square: Square) -> int:
            if square.is_empty or square.level == self.bottom:
                return not square.is_empty
            if square not in known:
                known[square] = sum(map(count, square.quarters))
            return known[square]

        return count(self.root)

    def _each_run(self) -> Iterator[tuple[int, int, int]]:
        """Yield the runs of all leaves, in any order."""
        for y, x, leaf in self._leaves():
            for row, column, length in self._runs_of(leaf):
                yield y + row, x + column, length

    def _runs_of(self, leaf: Square) -> Iterator[tuple[int, int, int]]:
        for y, row in self._rows_of(leaf):
            for live in _LIVE.finditer(f"{row:b}"[::-1]):
                yield y, live.start(), live.end() - live.start()

    def _parts(self, root: Square) -> _Parts:
        """Return the runs of a square, joined; squares that are equal are laid out once."""
        known: dict[Square, _Parts] = {}
        left = _MOST_RUNS

        def lay_out(square: Square) -> _Parts:
            nonlocal left
            if square.is_empty:
                return ()
            if square not in known:
                if square.level == self.bottom:
                    found = tuple(self._runs_of(square))
                else:
                    quarters = [lay_out(quarter) for quarter in square.quarters]
                    found = _joined(1 << square.level - 1, *quarters)
                left -= len(found)
                if left < 0:
                    raise _TooManyRunsError
                known[square] = found
            return known[square]

        return lay_out(root)

    def dots(self, y: int, x: int, height: int, width: int, dot: int) -> Iterator[tuple[int, int]]:
        """Yield dots as :meth:`.Grid.dots` does, without visiting squares smaller than a dot."""
        half = 1 << self.root.level - 1
        stack = [(-half - y, -half - x, self.root)]
        while stack:
            top, left, node = stack.pop()
            side = 1 << node.level
            outside = top >= height or left >= width or top + side <= 0 or left + side <= 0
            if outside or node.is_empty:
                continue
            inside = top >= 0 and top + side <= height and left >= 0 and left + side <= width
            last = side - 1
            if inside and top // dot == (top + last) // dot and left // dot == (left + last) // dot:
                yield top // dot, left // dot
            elif node.level == self.bottom:
                for row, bits in self._rows_of(node):
                    for column in ones(bits):
                        if 0 <= top + row < height and 0 <= left + column < width:
                            yield (top + row) // dot, (left + column) // dot
            else:
                stack += _placed(top, left, node)

    def _leaves(self) -> Iterator[tuple[int, int, Square]]:
        half = 1 << self.root.level - 1
        stack = [(-half, -half, self.root)]
        while stack:
            y, x, node = stack.pop()
            if node.level == self.bottom:
                yield y, x, node
            else:
                stack += (place for place in _placed(y, x, node) if not place[2].is_empty)

    def _rows_of(self, leaf: Square) -> Iterator[tuple[int, int]]:
        side, bits = 1 << self.bottom, leaf.bits
        mask = (1 << side) - 1
        for y in range(side):
            if row := bits >> y * self.stride & mask:
                yield y, row

    def _extent(self, node: Square, known: dict[Square, _Extent]) -> _Extent:
        """Return top, left, bottom and right of a node's live cells, from its corner."""
        found = known.get(node)
        if found is None:
            if node.level == self.bottom:
                rows = list(self._rows_of(node))
                columns = 0
                for _, row in rows:
                    columns |= row
                left = (columns & -columns).bit_length() - 1
                found = rows[0][0], left, rows[-1][0] + 1, columns.bit_length()
            else:
                extents = [
                    (y + top, x + left, y + bottom, x + right)
                    for y, x, quarter in _placed(0, 0, node)
                    if not quarter.is_empty
                    for top, left, bottom, right in [self._extent(quarter, known)]
                ]
                tops, lefts, bottoms, rights = zip(*extents, strict=True)
                found = min(tops), min(lefts), max(bottoms), max(rights)
            known[node] = found
        return found


class _TooManyRunsError(Exception):
    """Raised when there are too many runs for laying out equal squares once."""


def _joined(half: int, nw: _Parts, ne: _Parts, sw: _Parts, se: _Parts) -> _Parts:
    north = sorted((*nw, *((y, x + half, n) for y, x, n in ne)))
    south = sorted((*sw, *((y, x + half, n) for y, x, n in se)))
    runs = list[tuple[int, int, int]]()
    for y, x, n in (*north, *((y + half, x, n) for y, x, n in south)):
        if runs and runs[-1][0] == y and runs[-1][1] + runs[-1][2] == x:
            runs[-1] = y, runs[-1][1], runs[-1][2] + n
        else:
            runs.append((y, x, n))
    return tuple(runs)


def _placed(y: int, x: int, node: Square) -> tuple[tuple[int, int, Square], ...]:
    """Return the quarters with their corners, last first, as they are popped from a stack."""
    half = 1 << node.level - 1
    nw, ne, sw, se = node.quarters
    return (y + half, x + half, se), (y + half, x, sw), (y, x + half, ne), (y, x, nw)
