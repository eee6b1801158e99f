"""The quadtree of HashLife: equal squares are one node, so that what was lived once is known.

Source: R. W. Gosper, "Exploiting regularities in large cellular spaces", Physica D 10 (1984).

Rule: a node never changes. Leaves are squares of 32 × 32 cells in one integer, stepped all at once.
"""

from __future__ import annotations

__all__ = ("Full", "Late", "Node", "Quadtree")

from time import perf_counter
from typing import Final, final

from aconcur.life._bigint import compile_step
from aconcur.life._rule import Rule

LEVEL: Final = 5
"""A leaf has 2⁵ cells a side."""
SIDE: Final = 1 << LEVEL

# About 300 bytes each. A guess: what a program can spare.
MOST_NODES: Final = 2_000_000


class Late(Exception):  # noqa: N818 - no error: the work goes on where it was
    """Raised in the middle of a step whose time is up; what it has found out is kept."""


class Full(Exception):  # noqa: N818 - no error: the step is taken again in two halves
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


@final
class Quadtree:
    """All nodes of a universe, and what became of them."""

    def __init__(self, rule: Rule) -> None:
        # Four leaves are stepped as one square with nothing around it: what is wrong at its edge
        # moves inwards by a cell a generation, and only the middle is kept.
        self.stride: Final = 2 * SIDE
        self.inner: Final = (1 << self.stride * self.stride) - 1
        row = (1 << SIDE) - 1
        self._leaf_mask = sum(row << y * self.stride for y in range(SIDE))
        self._step = compile_step(rule, torus=False)
        self._most = MOST_NODES
        self.until = float("inf")
        self.forget()

    def forget(self) -> None:
        """Drop every node and all that is known."""
        self._leaves: dict[int, Node] = {}
        self._nodes: dict[tuple[Node, Node, Node, Node], Node] = {}
        self._empty = [self.leaf(0)]
        # What a node's middle is 2 ** j generations later, for each j.
        self._known: dict[int, dict[Node, Node]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def leaf(self, bits: int) -> Node:
        """Return the leaf with these cells: bit ``y * stride + x``."""
        node = self._leaves.get(bits)
        if node is None:
            node = self._leaves[bits] = Node()
            node.bits, node.level, node.population = bits, LEVEL, bits.bit_count()
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
        while len(self._empty) <= level - LEVEL:
            last = self._empty[-1]
            self._empty.append(self.join(last, last, last, last))
        return self._empty[level - LEVEL]

    def again(self, node: Node) -> Node:
        """Return the same square, made of nodes of this tree."""
        copies: dict[Node, Node] = {}

        def copy(old: Node) -> Node:
            new = copies.get(old)
            if new is None:
                new = copies[old] = (
                    self.leaf(old.bits)
                    if old.level == LEVEL
                    else self.join(copy(old.nw), copy(old.ne), copy(old.sw), copy(old.se))
                )
            return new

        return copy(node)

    def _middle_bits(self, node: Node, generations: int) -> Node:
        """Return the middle of four leaves later, by at most as many generations as half a side."""
        cells = node.nw.bits | node.ne.bits << SIDE
        cells |= (node.sw.bits | node.se.bits << SIDE) << self.stride * SIDE
        later = self._step(self, cells, generations)
        return self.leaf(later >> (SIDE // 2) * (self.stride + 1) & self._leaf_mask)

    def _middle(self, node: Node) -> Node:
        if node.level == LEVEL + 1:
            return self._middle_bits(node, 0)
        return self.join(node.nw.se, node.ne.sw, node.sw.ne, node.se.nw)

    def later(self, node: Node, j: int) -> Node:
        """Return the middle half of a node, 2 ** j generations later.

        Args:
            node: at least two levels above a leaf's, and ``j`` at most its level less 2.
            j: the binary logarithm of the number of generations.

        Raises:
            Late: the time is up; call again, and it goes on.
            Full: there are too many nodes.
        """
        known = self._known.setdefault(j, {})
        found = known.get(node)
        if found is not None:
            return found
        if not node.population:
            return self.empty(node.level - 1)
        if perf_counter() > self.until:
            raise Late
        if len(self._nodes) > self._most:
            raise Full
        if node.level == LEVEL + 1:
            found = self._middle_bits(node, 1 << j)
        else:
            found = self._later_of_nine(node, j)
        known[node] = found
        return found

    def _later_of_nine(self, node: Node, j: int) -> Node:
        """Put the middle together from those of nine squares of half the side that overlap."""
        join, later = self.join, self.later
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
