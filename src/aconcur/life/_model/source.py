"""How an engine hands its cells to a :class:`Grid` without laying them out first.

A source never changes: the grid may read it at any later time, from any thread.
"""

from __future__ import annotations

__all__ = ("LARGEST", "BoundedSource", "Source", "ZoomableSource")

from collections.abc import Iterator
from typing import Final, Protocol, runtime_checkable

from aconcur.life._model.bit_rows import ones, split_rows

LARGEST: Final = 1 << 33
"""The most cells that are laid out: 1 GiB of bits. A guess at what most machines can spare."""


class Source(Protocol):
    """The cells of one generation, in an engine's own form."""

    def box(self) -> tuple[int, int, int, int]:
        """Return top, left, height, width."""
        ...

    def population(self) -> int:
        """Return the number of live cells."""
        ...

    def bits(self) -> int:
        """Return the cells in the form of :attr:`Grid.bits`."""
        ...

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (y, x) of each live cell, in any order; the box begins at (top, left)."""
        ...


@runtime_checkable
class ZoomableSource(Protocol):
    """A :class:`Source` that can be drawn at a small scale without visiting every cell."""

    def dots(self, y: int, x: int, height: int, width: int, dot: int) -> Iterator[tuple[int, int]]:
        """Yield each dot of ``dot * dot`` cells that has a live cell, at least once."""
        ...


class BoundedSource:
    """A base class for the sources of engines that hold every cell of a bounded field."""

    __slots__ = ("_height", "_width")

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width

    def box(self) -> tuple[int, int, int, int]:
        """Return top, left, height, width."""
        return 0, 0, self._height, self._width

    def bits(self) -> int:
        """Return the cells in the form of :attr:`Grid.bits`."""
        raise NotImplementedError

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (y, x) of each live cell."""
        for y, row in enumerate(split_rows(self.bits(), self._height, self._width)):
            for x in ones(row):
                yield y, x
