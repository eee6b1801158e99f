"""The quadtree in arrays: leaps by compiled kernels, in tables that grow and are cleaned.

Importing this module imports numba.
"""

from __future__ import annotations

__all__ = ("NodeTables",)

from collections.abc import Iterator
from math import inf
from time import perf_counter
from typing import Any, Final, final

import numpy as np

from aconcur.life._hashlife import node_layout as k
from aconcur.life._hashlife import table_kernel as kernels
from aconcur.life._hashlife.build import build_tree
from aconcur.life._hashlife.leaf_kernel import WORK, masks_of
from aconcur.life._hashlife.node_kernel import begin, leap
from aconcur.life._hashlife.plane import MOST_BYTES, Outcome
from aconcur.life._hashlife.tables import BYTES, Tables, TableSquare
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import LIFE, Rule

# The first capacity for nodes and leaves, and the factor of growth. Measured: for a small pattern,
# touching new memory costs more than the generations.
FEW: Final = (1 << 12, 1 << 10)
GROWTH: Final = 4
# Steps of a leap, and nodes copied, between two looks at the clock: about half a millisecond.
STEPS: Final = 1 << 10
COPIES: Final = 1 << 13
# A table that is fuller than this after cleaning would be full again soon.
MOST_LEFT: Final = 0.75
# How often tables may be cleaned in one leap: dropped memos have to be computed again. A guess.
MOST_CLEANED: Final = 16


@final
class NodeTables:
    """The plane in tables, with leaves of 16 × 16 cells.

    Args:
        rule: the rule.
    """

    __slots__ = (
        "_cleaned",
        "_conway",
        "_copying",
        "_exponent",
        "_is_too_full",
        "_level",
        "_part",
        "_shared",
        "_tables",
    )

    bottom: Final = k.BOTTOM
    stride: Final = 16
    smallest: Final = bottom + 3

    def __init__(self, rule: Rule) -> None:
        self._conway = rule == LIFE
        self._shared: dict[int, Any] = {
            k.AT_FRAMES: np.zeros(k.EMPTIES * k.FRAME, np.int64),
            k.AT_MASKS: masks_of(rule),
            k.AT_WORK: np.zeros(WORK, np.uint64),
        }
        self._tables = Tables(FEW, self._shared, conway=self._conway)
        self._part = self._level = self.smallest
        # The exponent j of the leap on the stack, or -1.
        self._exponent = -1
        self._copying: Iterator[None] = iter(())
        # How often tables have been cleaned in this leap, and whether cleaning is useless by now.
        self._cleaned = 0
        self._is_too_full = False

    @property
    def root(self) -> TableSquare:
        """The square that contains every live cell."""
        return TableSquare(self._tables, self._part, self._level)

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self.root.population

    def load(self, pattern: Pattern) -> None:
        """Make a pattern the current generation."""
        self._part, self._level = build_tree(self, pattern)

    def leaf(self, bits: int) -> int:
        """Return the leaf with these cells: bit ``16 * y + x``."""
        self._make_room()
        word = 2**64 - 1
        return int(
            kernels.leaf_of(
                self._tables.address,
                np.uint64(bits & word),
                np.uint64(bits >> 64 & word),
                np.uint64(bits >> 128 & word),
                np.uint64(bits >> 192),
            )
        )

    def join(self, nw: int, ne: int, sw: int, se: int) -> int:
        """Return the node with these quarters."""
        self._make_room()
        return int(kernels.node_of(self._tables.address, nw, ne, sw, se))

    def empty(self, level: int) -> int:
        """Return the square of this level in which every cell is dead."""
        return level if level > k.BOTTOM else k.LEAF

    def _make_room(self) -> None:
        if self._tables.is_full():
            larger = self._larger()
            if larger is None:
                raise MemoryError("the pattern needs too much memory")
            for _ in self._copied(larger, everything=True):
                pass

    def leap(self, j: int, until: float) -> Outcome:
        """Advance by 2 ** j generations at once; see :class:`.Plane`.

        Raises:
            OverflowError: the pattern outgrew the plane.
        """
        while True:
            for _ in self._copying:
                if perf_counter() > until:
                    return Outcome.LATE
            if self._is_too_full:
                self._is_too_full, self._cleaned = False, 0
                self._drop_leap()
                return Outcome.FULL
            found = self._continue_leap(j, until)
            if found == k.DONE:
                head = self._tables.head
                self._part, self._level = head[k.ROOT], head[k.LEVEL] - 1
                self._exponent = -1
                self._cleaned = 0
                return Outcome.DONE
            if found == k.LATE:
                return Outcome.LATE
            if found == k.TOO_LARGE:
                raise OverflowError(f"the plane is 2**{k.HIGHEST} cells wide, and no more")
            larger = self._larger()
            self._copying = self._copied(larger or self._tables.room, everything=larger is not None)

    def forget(self) -> None:
        """Drop every node that neither the root nor an unfinished leap needs."""
        for _ in self._copied(self._tables.room, everything=False):
            pass

    def _continue_leap(self, j: int, until: float) -> int:
        address, head = self._tables.address, self._tables.head
        if self._exponent != j:
            head[k.ROOT], head[k.LEVEL] = self._part, self._level
            found = int(begin(address, j))
            if found != k.DONE:
                self._drop_leap()
                return found
            self._exponent = j
        if until == inf:
            return int(leap(address, j, 1 << 62))
        while (found := int(leap(address, j, STEPS))) == k.LATE:
            if perf_counter() > until:
                break
        return found

    def _drop_leap(self) -> None:
        self._tables.head[k.STACK] = self._exponent = -1

    def _larger(self) -> tuple[int, int] | None:
        """Return a larger capacity, or None if that would take too much memory."""
        pairs = zip(self._tables.used, self._tables.room, strict=True)
        nodes, leaves = (room * GROWTH if used + k.MARGIN >= room else room for used, room in pairs)
        return (nodes, leaves) if (nodes + leaves) * BYTES <= MOST_BYTES else None

    def _copied(self, room: tuple[int, int], *, everything: bool) -> Iterator[None]:
        """Copy everything, or what the root and the stack need, to new tables, step by step."""
        old, new = self._tables, Tables(room, self._shared, conway=self._conway)
        for at in (k.STACK, k.LEVEL):
            new.head[at] = old.head[at]
        marks = [(np.ones if everything else np.zeros)(used, np.int32) for used in old.used]
        to = marks[0].ctypes.data, marks[1].ctypes.data
        nodes, leaves = old.used
        if not everything:
            kernels.mark_roots(old.address, self._part, *to)
            for last in range(nodes, k.EMPTIES, -COPIES):
                kernels.mark(old.address, *to, max(last - COPIES, k.EMPTIES), last)
                yield
        marks[0][: k.EMPTIES] = np.arange(k.EMPTIES)
        marks[1][0] = 0
        for what, least, end in ((0, 1, leaves), (1, k.EMPTIES, nodes), (2, k.EMPTIES, nodes)):
            for first in range(least, end, COPIES):
                kernels.move(old.address, new.address, *to, what, first, min(first + COPIES, end))
                yield
        self._part = int(kernels.rename_roots(new.address, self._part, *to))
        self._tables = new
        if not everything:
            self._cleaned += 1
            left = zip(new.used, room, strict=True)
            self._is_too_full = self._cleaned > MOST_CLEANED or any(
                used > of * MOST_LEFT for used, of in left
            )
