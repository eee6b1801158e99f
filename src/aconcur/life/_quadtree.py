"""The quadtree of HashLife: equal squares are one node, so that what was lived once is known.

Source: R. W. Gosper, "Exploiting regularities in large cellular spaces", Physica D 10 (1984).

Rule: a node never changes. A leaf is a square of cells in one integer, stepped all at once.
"""

from __future__ import annotations

__all__ = ("Node", "Quadtree")

from time import perf_counter
from typing import Final, final

from aconcur.life._bigint import compile_step
from aconcur.life._pattern import Pattern
from aconcur.life._plane import MOST_BYTES, Outcome
from aconcur.life._planting import plant
from aconcur.life._rule import Rule

# About 300 bytes each.
MOST_NODES: Final = MOST_BYTES // 300


class _Late(Exception):  # noqa: N818 - no error: the work goes on where it was
    """Raised in the middle of a step whose time is up; what it has found out is kept."""


class _Full(Exception):  # noqa: N818 - no error: the step is taken again in two halves
    """Raised in the middle of a step that has made too many nodes."""


@final
class Node:
    """A square of ``2 ** level`` cells a side: four squares of half the side, or a leaf's bits."""

    __slots__ = ("bits", "level", "ne", "nw", "population", "se", "sw")

    bits: int
    level: int
    population: int
    nw: Node
    ne: Node
    sw: Node
    se: Node

    @property
    def is_empty(self) -> bool:
        """Whether there is no live cell."""
        return not self.population

    @property
    def quarters(self) -> tuple[Node, Node, Node, Node]:
        """North-west, north-east, south-west, south-east."""
        return self.nw, self.ne, self.sw, self.se


@final
class _Leaves:
    """Leaves of 32 × 32 cells that need the standard library alone."""

    __slots__ = ("_mask", "_step")

    level: Final = 5
    stride: Final = 64
    # Four leaves live as one square with nothing around it: what is wrong at its edge comes inwards
    # by a cell a generation, and only the middle is kept.
    inner: Final = (1 << 64 * 64) - 1

    def __init__(self, rule: Rule) -> None:
        self._mask: int = sum(((1 << 32) - 1) << 64 * y for y in range(32))
        self._step = compile_step(rule, torus=False)

    def middle(self, node: Node, n: int) -> int:
        """Return the middle of four leaves after ``n`` generations, at most 16."""
        cells = node.nw.bits | node.ne.bits << 32
        cells |= (node.sw.bits | node.se.bits << 32) << 64 * 32
        return self._step(self, cells, n) >> 16 * 65 & self._mask


@final
class Quadtree:
    """All nodes of a universe, and what became of them.

    Args:
        rule: which cells live next.
    """

    bottom: Final = _Leaves.level
    stride: Final = _Leaves.stride
    smallest: Final = bottom + 3

    def __init__(self, rule: Rule) -> None:
        self._of_leaves = _Leaves(rule)
        self._most = MOST_NODES
        self._until = float("inf")
        self._clear()
        self.root: Node = self.empty(self.smallest)

    def _clear(self) -> None:
        self._leaves: dict[int, Node] = {}
        self._nodes: dict[tuple[Node, Node, Node, Node], Node] = {}
        self._empty = [self.leaf(0)]
        # What a node's middle is 2 ** j generations later, for each j.
        self._known: dict[int, dict[Node, Node]] = {}
        self._is_bare = True

    def forget(self) -> None:
        """Drop all that is known, and every node but those of the cells as they are now."""
        self._clear()
        self.root = self._again(self.root)

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self.root.population

    def plant(self, pattern: Pattern) -> None:
        """Make a pattern the first generation."""
        self.root, _ = plant(self, pattern)

    def leap(self, j: int, until: float) -> Outcome:
        """Live 2 ** j generations at once; see :class:`~._plane.Plane`."""
        self._until = until
        while True:
            while self.root.level < max(j, self.bottom) + 3 or not _is_central(self.root):
                self.root = self._grown(self.root)
            try:
                self.root = self._later(self.root, j)
            except _Late:
                return Outcome.LATE
            except _Full:
                was_bare = self._is_bare
                self.forget()
                if was_bare:
                    return Outcome.FULL
            else:
                self._is_bare = False
                return Outcome.DONE

    def _grown(self, node: Node) -> Node:
        """Return the same plane in a square of twice the side."""
        none, join = self.empty(node.level - 1), self.join
        return join(
            join(none, none, none, node.nw),
            join(none, none, node.ne, none),
            join(none, node.sw, none, none),
            join(node.se, none, none, none),
        )

    def leaf(self, bits: int) -> Node:
        """Return the leaf with these cells: bit ``y * stride + x``."""
        node = self._leaves.get(bits)
        if node is None:
            node = self._leaves[bits] = Node()
            node.bits, node.level, node.population = bits, self.bottom, bits.bit_count()
        return node

    def join(self, nw: Node, ne: Node, sw: Node, se: Node) -> Node:
        """Return the node with these quarters."""
        key = nw, ne, sw, se
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node()
            node.nw, node.ne, node.sw, node.se = key
            node.level = nw.level + 1
            node.population = nw.population + ne.population + sw.population + se.population
        return node

    def empty(self, level: int) -> Node:
        """Return the square of that size without a live cell."""
        while len(self._empty) <= level - self.bottom:
            last = self._empty[-1]
            self._empty.append(self.join(last, last, last, last))
        return self._empty[level - self.bottom]

    def _again(self, node: Node) -> Node:
        """Return the same square, made of nodes of this tree."""
        copies: dict[Node, Node] = {}

        def copy(old: Node) -> Node:
            new = copies.get(old)
            if new is None:
                new = copies[old] = (
                    self.leaf(old.bits)
                    if old.level == self.bottom
                    else self.join(copy(old.nw), copy(old.ne), copy(old.sw), copy(old.se))
                )
            return new

        return copy(node)

    def _middle(self, node: Node) -> Node:
        if node.level == self.bottom + 1:
            return self.leaf(self._of_leaves.middle(node, 0))
        return self.join(node.nw.se, node.ne.sw, node.sw.ne, node.se.nw)

    def _later(self, node: Node, j: int) -> Node:
        """Return the middle half of a node, 2 ** j generations later.

        Args:
            node: at least two levels above a leaf's, and ``j`` at most its level less 2.
            j: the binary logarithm of the number of generations.

        Raises:
            _Late: the time is up; call again, and it goes on.
            _Full: there are too many nodes.
        """
        known = self._known.setdefault(j, {})
        found = known.get(node)
        if found is not None:
            return found
        if not node.population:
            return self.empty(node.level - 1)
        if perf_counter() > self._until:
            raise _Late
        if len(self._nodes) > self._most:
            raise _Full
        if node.level == self.bottom + 1:
            found = self.leaf(self._of_leaves.middle(node, 1 << j))
        else:
            found = self._later_of_nine(node, j)
        known[node] = found
        return found

    def _later_of_nine(self, node: Node, j: int) -> Node:
        """Put the middle together from those of nine squares of half the side that overlap."""
        join, later = self.join, self._later
        nw, ne, sw, se = node.nw, node.ne, node.sw, node.se
        # As far as this node can go takes two steps; a shorter one is taken first, and that is all.
        half = j == node.level - 2
        i = j - half
        n = later(join(nw.ne, ne.nw, nw.se, ne.sw), i)
        w = later(join(nw.sw, nw.se, sw.nw, sw.ne), i)
        m = later(join(nw.se, ne.sw, sw.ne, se.nw), i)
        e = later(join(ne.sw, ne.se, se.nw, se.ne), i)
        s = later(join(sw.ne, se.nw, sw.se, se.sw), i)
        parts = (
            join(later(nw, i), n, w, m),
            join(n, later(ne, i), m, e),
            join(w, m, later(sw, i), s),
            join(m, e, s, later(se, i)),
        )
        if half:
            return join(*(later(part, i) for part in parts))
        return join(*map(self._middle, parts))


def _is_central(node: Node) -> bool:
    """Tell whether every live cell is so near the middle that none can leave it in a leap."""
    middle = (node.nw.se.se, node.ne.sw.sw, node.sw.ne.ne, node.se.nw.nw)
    return sum(part.population for part in middle) == node.population
