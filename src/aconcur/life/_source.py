"""Cells that somebody has and that a grid shows: engines hand these over, not laid out yet.

Rule: nothing in a source may change any more.
"""

from __future__ import annotations

__all__ = ("LARGEST", "Bounded", "GridTooLargeError", "Source", "Zooming")

from collections.abc import Iterator
from typing import Final, Protocol, runtime_checkable

from aconcur.errors import AconcurError
from aconcur.life._rows import ones, split_rows

# 1 GiB of bits. A guess: more than anyone looks at, less than most machines have.
LARGEST: Final = 1 << 33


class GridTooLargeError(AconcurError, MemoryError):
    """Raised where the box around a pattern has more cells than fit in memory."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__(
            f"a grid of {height} × {width} cells is too large to lay out: "
            "iterate over cells(), or use population"
        )


class Source(Protocol):
    """Cells that an engine has, but has not laid out yet."""

    def box(self) -> tuple[int, int, int, int]:
        """Return top, left, height, width."""
        ...

    def population(self) -> int:
        """Return the number of live cells."""
        ...

    def bits(self) -> int:
        """Return the cells, as :attr:`Grid.bits` has them."""
        ...

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (y, x) of each live cell, in any order; the box begins at (top, left)."""
        ...


@runtime_checkable
class Zooming(Protocol):
    """A :class:`Source` that can be seen from afar without going through its cells."""

    def dots(self, y: int, x: int, height: int, width: int, dot: int) -> Iterator[tuple[int, int]]:
        """Yield each dot of ``dot * dot`` cells in a window that has a live one, at least once."""
        ...


class Bounded:
    """A :class:`Source` that has all cells of a torus or box, whoever lays them out."""

    __slots__ = ("_height", "_width")

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width

    def box(self) -> tuple[int, int, int, int]:
        """Return top, left, height, width."""
        return 0, 0, self._height, self._width

    def bits(self) -> int:
        """Return the cells, as :attr:`Grid.bits` has them."""
        raise NotImplementedError

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (y, x) of each live cell."""
        for y, row in enumerate(split_rows(self.bits(), self._height, self._width)):
            for x in ones(row):
                yield y, x
