"""The plane in machine code that holds no GIL: leaps in tables that grow, and that are cleared.

Rule: importing this imports numba.
"""

from __future__ import annotations

__all__ = ("NodeTables",)

from collections.abc import Iterator
from math import inf
from time import perf_counter
from typing import Any, Final, final

import numpy as np

from aconcur.life import _node_layout as k
from aconcur.life import _table_kernel as kernels
from aconcur.life._leaf_kernel import WORK, masks_of
from aconcur.life._node_kernel import begin, leap
from aconcur.life._pattern import Pattern
from aconcur.life._plane import MOST_BYTES, Outcome
from aconcur.life._planting import plant
from aconcur.life._rule import LIFE, Rule
from aconcur.life._tables import BYTES, Tables, TableSquare

# Nodes and leaves at first, and by how much tables grow. Measured: memory that is touched for the
# first time costs a small pattern more than its generations do.
FEW: Final = (1 << 12, 1 << 10)
GROWTH: Final = 4
# Steps of a leap, and nodes that are moved, between two looks at the clock: half a millisecond.
STEPS: Final = 1 << 10
MOVES: Final = 1 << 13
# If more than this is left of a table when all that can go has gone, it would be full again soon.
MOST_LEFT: Final = 0.75
# How often tables may be cleared in a leap: what is dropped has to be found out again. A guess.
MOST_CLEARED: Final = 16


@final
class NodeTables:
    """The plane; leaves of 16 × 16 cells.

    Args:
        rule: which cells live next.
    """

    __slots__ = (
        "_chores",
        "_cleared",
        "_conway",
        "_is_in_vain",
        "_level",
        "_part",
        "_shared",
        "_tables",
        "_under",
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
        # The binary logarithm of the leap that is on the stack, or -1.
        self._under = -1
        self._chores: Iterator[None] = iter(())
        # How often tables have been cleared in this leap, and whether that is of no use any more.
        self._cleared = 0
        self._is_in_vain = False

    @property
    def root(self) -> TableSquare:
        """All cells there are."""
        return TableSquare(self._tables, self._part, self._level)

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self.root.population

    def plant(self, pattern: Pattern) -> None:
        """Make a pattern the first generation."""
        self._part, self._level = plant(self, pattern)

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
        """Return the square of that size without a live cell."""
        return level if level > k.BOTTOM else k.LEAF

    def _make_room(self) -> None:
        if self._tables.is_full():
            larger = self._larger()
            if larger is None:
                raise MemoryError("the pattern needs too much memory")
            for _ in self._moved(larger, everything=True):
                pass

    def leap(self, j: int, until: float) -> Outcome:
        """Live 2 ** j generations at once; see :class:`~._plane.Plane`.

        Raises:
            OverflowError: the plane is not as large as that.
        """
        while True:
            for _ in self._chores:
                if perf_counter() > until:
                    return Outcome.LATE
            if self._is_in_vain:
                self._is_in_vain, self._cleared = False, 0
                self._give_up()
                return Outcome.FULL
            found = self._go_on(j, until)
            if found == k.DONE:
                head = self._tables.head
                self._part, self._level = head[k.ROOT], head[k.LEVEL] - 1
                self._under = -1
                self._cleared = 0
                return Outcome.DONE
            if found == k.LATE:
                return Outcome.LATE
            if found == k.TOO_LARGE:
                raise OverflowError(f"the plane is 2**{k.HIGHEST} cells wide, and no more")
            larger = self._larger()
            self._chores = self._moved(larger or self._tables.room, everything=larger is not None)

    def forget(self) -> None:
        """Leave behind whatever neither the root nor a leap that is under way needs."""
        for _ in self._moved(self._tables.room, everything=False):
            pass

    def _go_on(self, j: int, until: float) -> int:
        address, head = self._tables.address, self._tables.head
        if self._under != j:
            head[k.ROOT], head[k.LEVEL] = self._part, self._level
            found = int(begin(address, j))
            if found != k.DONE:
                self._give_up()
                return found
            self._under = j
        if until == inf:
            return int(leap(address, j, 1 << 62))
        while (found := int(leap(address, j, STEPS))) == k.LATE:
            if perf_counter() > until:
                break
        return found

    def _give_up(self) -> None:
        self._tables.head[k.STACK] = self._under = -1

    def _larger(self) -> tuple[int, int] | None:
        """Return room enough for what there is and more; None if that is too much memory."""
        pairs = zip(self._tables.used, self._tables.room, strict=True)
        nodes, leaves = (room * GROWTH if used + k.MARGIN >= room else room for used, room in pairs)
        return (nodes, leaves) if (nodes + leaves) * BYTES <= MOST_BYTES else None

    def _moved(self, room: tuple[int, int], *, everything: bool) -> Iterator[None]:
        """Move to other tables everything, or what the root and the stack need, bit by bit."""
        old, new = self._tables, Tables(room, self._shared, conway=self._conway)
        for at in (k.STACK, k.LEVEL):
            new.head[at] = old.head[at]
        names = [(np.ones if everything else np.zeros)(used, np.int32) for used in old.used]
        to = names[0].ctypes.data, names[1].ctypes.data
        nodes, leaves = old.used
        if not everything:
            kernels.mark_roots(old.address, self._part, *to)
            for last in range(nodes, k.EMPTIES, -MOVES):
                kernels.mark(old.address, *to, max(last - MOVES, k.EMPTIES), last)
                yield
        names[0][: k.EMPTIES] = np.arange(k.EMPTIES)
        names[1][0] = 0
        for what, least, end in ((0, 1, leaves), (1, k.EMPTIES, nodes), (2, k.EMPTIES, nodes)):
            for first in range(least, end, MOVES):
                kernels.move(old.address, new.address, *to, what, first, min(first + MOVES, end))
                yield
        self._part = int(kernels.rename_roots(new.address, self._part, *to))
        self._tables = new
        if not everything:
            self._cleared += 1
            left = zip(new.used, room, strict=True)
            self._is_in_vain = self._cleared > MOST_CLEARED or any(
                used > of * MOST_LEFT for used, of in left
            )
