"""The interface between HashLife and its two forms of quadtree."""

from __future__ import annotations

__all__ = ("MOST_BYTES", "Outcome", "Plane")

from enum import Enum, auto
from typing import Final, Protocol

from aconcur.life._model.pattern import Pattern
from aconcur.life._model.tree import Square

MOST_BYTES: Final = 1 << 28
"""The most memory that nodes may take; twice that while the needed ones are copied.

A guess at what a program can spare.
"""


class Outcome(Enum):
    """How an attempt at a leap ended."""

    DONE = auto()
    LATE = auto()
    """The time was up. All results so far are kept."""
    FULL = auto()
    """It needs more nodes than there may be. A shorter leap may need fewer."""


class Plane(Protocol):
    """The plane as a quadtree around the origin."""

    @property
    def bottom(self) -> int:
        """The level of a leaf."""
        ...

    @property
    def stride(self) -> int:
        """The number of bits from one row of a leaf to the next."""
        ...

    @property
    def root(self) -> Square:
        """The square that contains every live cell of the current generation."""
        ...

    @property
    def population(self) -> int:
        """The number of live cells."""
        ...

    def load(self, pattern: Pattern) -> None:
        """Make a pattern the current generation."""
        ...

    def forget(self) -> None:
        """Drop every node that the current generation does not need."""
        ...

    def leap(self, j: int, until: float) -> Outcome:
        """Advance by 2 ** j generations at once.

        Args:
            j: the binary logarithm of the number of generations.
            until: when to stop, by :func:`time.perf_counter`. The next call with the same j
                continues.
        """
        ...
