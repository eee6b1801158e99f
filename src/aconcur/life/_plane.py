"""What HashLife needs of a quadtree, whatever it is made of.

Rule: equal squares are one node, and a node never changes.
"""

from __future__ import annotations

__all__ = ("MOST_BYTES", "Outcome", "Plane", "Square")

from enum import Enum, auto
from typing import Final, Protocol

from aconcur.life._pattern import Pattern

MOST_BYTES: Final = 1 << 28
"""What a quadtree may take; twice that for a moment, when what is not needed is left behind.

A guess: what a program can spare.
"""


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
