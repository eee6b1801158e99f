"""The quadtree in Python objects. It needs the standard library only.

A leaf is a square of cells in one integer; four leaves are advanced together, by bit operations.
"""

from __future__ import annotations

__all__ = ("Node", "Quadtree")

from time import perf_counter
from typing import Final, final

from aconcur.life._engines.bigint import compile_step
from aconcur.life._hashlife.build import build_tree
from aconcur.life._hashlife.plane import MOST_BYTES, Outcome
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import Rule

# About 300 bytes each.
MOST_NODES: Final = MOST_BYTES // 300


class _Late(Exception):  # noqa: N818 - control flow: the same call continues later
    """Unwinds a leap whose time is up. Finished nodes keep their results."""


class _Full(Exception):  # noqa: N818 - control flow: the leap is tried again
    """Unwinds a leap that has made too many nodes."""


@final
class Node:
    """A square of ``2 ** level`` cells a side: four squares of half the side, or a leaf."""

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
        """Whether every cell is dead."""
        return not self.population

    @property
    def quarters(self) -> tuple[Node, Node, Node, Node]:
        """North-west, north-east, south-west, south-east."""
        return self.nw, self.ne, self.sw, self.se


@final
class _Leaves:
    """How leaves of 32 × 32 cells are kept and advanced."""

    __slots__ = ("_mask", "_step")

    level: Final = 5
    stride: Final = 64
    # Four leaves are advanced as one square with dead cells around it. That makes the edge wrong by
    # one more cell each generation, so only the middle is kept.
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
    """All nodes of a plane, and their memos.

    Args:
        rule: the rule.
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
        # The memos: for each j, a node's middle 2 ** j generations later.
        self._known: dict[int, dict[Node, Node]] = {}
        self._has_no_memos = True

    def forget(self) -> None:
        """Drop all memos, and every node that the current generation does not need."""
        self._clear()
        self.root = self._copied(self.root)

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self.root.population

    def load(self, pattern: Pattern) -> None:
        """Make a pattern the current generation."""
        self.root, _ = build_tree(self, pattern)

    def leap(self, j: int, until: float) -> Outcome:
        """Advance by 2 ** j generations at once; see :class:`.Plane`."""
        self._until = until
        while True:
            while self.root.level < max(j, self.bottom) + 3 or not _is_central(self.root):
                self.root = self._grown(self.root)
            try:
                self.root = self._later(self.root, j)
            except _Late:
                return Outcome.LATE
            except _Full:
                had_no_memos = self._has_no_memos
                self.forget()
                if had_no_memos:
                    return Outcome.FULL
            else:
                self._has_no_memos = False
                return Outcome.DONE

    def _grown(self, node: Node) -> Node:
        """Return a square of twice the side with this one in its middle."""
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
        """Return the square of this level in which every cell is dead."""
        while len(self._empty) <= level - self.bottom:
            last = self._empty[-1]
            self._empty.append(self.join(last, last, last, last))
        return self._empty[level - self.bottom]

    def _copied(self, node: Node) -> Node:
        """Return an equal square made of new nodes."""
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
            node: a node above the leaves.
            j: the binary logarithm of the number of generations, at most the node's level - 2.

        Raises:
            _Late: the time is up; the same call later continues.
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
        """Compute the middle from those of nine overlapping squares of half the side."""
        join, later = self.join, self._later
        nw, ne, sw, se = node.nw, node.ne, node.sw, node.se
        # The longest leap of a node takes two steps of half the length; a shorter one takes only
        # the first step, and then the middles of the parts.
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
    """Return whether no live cell can leave the middle half in one leap."""
    middle = (node.nw.se.se, node.ne.sw.sw, node.sw.ne.ne, node.se.nw.nw)
    return sum(part.population for part in middle) == node.population
