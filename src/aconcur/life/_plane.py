"""What HashLife needs of a quadtree, whatever it is made of, and what is planted in one.

Rule: equal squares are one node, and a node never changes.
"""

from __future__ import annotations

__all__ = ("MOST_BYTES", "Outcome", "Plane", "Square", "plant")

from enum import Enum, auto
from typing import Final, Protocol, TypeAlias, TypeVar

from aconcur.life._pattern import Pattern

T = TypeVar("T")

MOST_BYTES: Final = 1 << 28
"""What a quadtree may take; twice that for a moment, when what is not needed is left behind.

A guess: what a program can spare.
"""

# A run of so many cells has so many leaves that most of them are worth making once. A guess.
_LONG_RUN: Final = 1 << 14


class Outcome(Enum):
    """What came of a leap."""

    DONE = auto()
    LATE = auto()
    """The time is up; what was found out is kept."""
    FULL = auto()
    """It takes more nodes than there may be; a shorter leap may not."""


class Square(Protocol):
    """A square of ``2 ** level`` cells a side: four squares of half the side, or a leaf's bits."""

    @property
    def level(self) -> int: ...

    @property
    def population(self) -> int: ...

    @property
    def bits(self) -> int:
        """Of a leaf: bit ``y * stride + x``."""
        ...

    @property
    def is_empty(self) -> bool: ...

    @property
    def quarters(self) -> tuple[Square, Square, Square, Square]:
        """North-west, north-east, south-west, south-east."""
        ...


class Plane(Protocol):
    """The universe as a quadtree around the origin."""

    @property
    def bottom(self) -> int:
        """The level of a leaf."""
        ...

    @property
    def stride(self) -> int:
        """Bits from one row of a leaf to the next."""
        ...

    @property
    def root(self) -> Square:
        """All cells there are, as they are now."""
        ...

    @property
    def population(self) -> int:
        """The number of live cells."""
        ...

    def plant(self, pattern: Pattern) -> None:
        """Make a pattern the first generation."""
        ...

    def forget(self) -> None:
        """Drop every node that nobody needs."""
        ...

    def leap(self, j: int, until: float) -> Outcome:
        """Live 2 ** j generations at once.

        Args:
            j: the binary logarithm.
            until: when to give up, by :func:`time.perf_counter`. The next call with this j goes on.
        """
        ...


class Nursery(Protocol[T]):
    """Where nodes are made."""

    @property
    def bottom(self) -> int: ...

    @property
    def stride(self) -> int: ...

    def leaf(self, bits: int, /) -> T: ...

    def join(self, nw: T, ne: T, sw: T, se: T, /) -> T: ...

    def empty(self, level: int, /) -> T: ...


_Parts: TypeAlias = tuple[tuple[int, int, int], ...]


def plant(tree: Nursery[T], pattern: Pattern) -> tuple[T, int]:
    """Return a square around the origin that has these cells, and its level."""
    if max(pattern.run_arrays()[2], default=0) > _LONG_RUN:
        return _plant_long(tree, pattern)
    return _plant_short(tree, pattern)


def _plant_short(tree: Nursery[T], pattern: Pattern) -> tuple[T, int]:
    level, side = tree.bottom, 1 << tree.bottom
    last, stride, join = side - 1, tree.stride, tree.join
    leaves: dict[tuple[int, int], int] = {}
    for y, x, length in pattern.runs():
        row = (y & last) * stride
        while length > 0:
            here = min(length, side - (x & last))
            place = y >> level, x >> level
            leaves[place] = leaves.get(place, 0) | ((1 << here) - 1) << row + (x & last)
            x, length = x + here, length - here
    nodes = {place: tree.leaf(bits) for place, bits in leaves.items()}
    while any(not -1 <= at <= 0 for place in nodes for at in place) or level < tree.bottom + 2:
        none = tree.empty(level)
        parents = {(y >> 1, x >> 1) for y, x in nodes}
        find = nodes.get
        nodes = {
            (y, x): join(
                find((2 * y, 2 * x), none),
                find((2 * y, 2 * x + 1), none),
                find((2 * y + 1, 2 * x), none),
                find((2 * y + 1, 2 * x + 1), none),
            )
            for y, x in parents
        }
        level += 1
    none = tree.empty(level)
    return join(*(nodes.get((y, x), none) for y in (-1, 0) for x in (-1, 0))), level + 1


def _plant_long(tree: Nursery[T], pattern: Pattern) -> tuple[T, int]:
    """Plant squares that are equal once, however many there are."""
    known: dict[tuple[int, _Parts], T] = {}

    def planted(level: int, runs: _Parts) -> T:
        if not runs:
            return tree.empty(level)
        node = known.get((level, runs))
        if node is None:
            if level == tree.bottom:
                node = tree.leaf(sum(((1 << n) - 1) << y * tree.stride + x for y, x, n in runs))
            else:
                half = 1 << level - 1
                quarters = [_part(runs, y, x, half) for y in (0, half) for x in (0, half)]
                node = tree.join(*(planted(level - 1, quarter) for quarter in quarters))
            known[level, runs] = node
        return node

    (top, left), (height, width) = pattern.offset, (pattern.height, pattern.width)
    reach = max(-top, -left, top + height, left + width)
    level = max(reach.bit_length() + 1, tree.bottom + 3)
    half = 1 << level - 1
    return planted(level, tuple((y + half, x + half, n) for y, x, n in pattern.runs())), level


def _part(runs: _Parts, top: int, left: int, side: int) -> _Parts:
    """Return what lies in a square, from its corner."""
    found: list[tuple[int, int, int]] = []
    for y, x, n in runs:
        begin, end = max(x - left, 0), min(x + n - left, side)
        if 0 <= y - top < side and begin < end:
            found.append((y - top, begin, end - begin))
    return tuple(found)
