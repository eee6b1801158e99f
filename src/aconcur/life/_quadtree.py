"""The quadtree of HashLife: equal squares are one node, so that what was lived once is known.

Source: R. W. Gosper, "Exploiting regularities in large cellular spaces", Physica D 10 (1984).

Rule: a node never changes. A leaf is a square of cells in one integer, stepped all at once.
"""

from __future__ import annotations

__all__ = ("CompiledLeaves", "Full", "IntegerLeaves", "Late", "Leaves", "Node", "Quadtree")

from functools import partial
from time import perf_counter
from typing import Final, Protocol, final

from aconcur.errors import MissingRequirementError
from aconcur.life._bigint import compile_step
from aconcur.life._grid import import_numpy
from aconcur.life._rule import Rule

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


class Leaves(Protocol):
    """How large leaves are, and how they live."""

    @property
    def level(self) -> int:
        """A leaf has ``2 ** level`` cells a side."""
        ...

    @property
    def stride(self) -> int:
        """Bits from one row of a leaf to the next."""
        ...

    def middle(self, node: Node, n: int) -> int:
        """Return the middle of four leaves after ``n`` generations, at most half a side."""
        ...


@final
class IntegerLeaves:
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
class CompiledLeaves:
    """Leaves of 64 × 64 cells that live in machine code.

    Raises:
        MissingRequirementError: numba is not installed.
    """

    __slots__ = ("_from_bytes", "_kernel", "_out", "_sums")

    level: Final = 6
    stride: Final = 64

    def __init__(self, rule: Rule) -> None:
        np = import_numpy()
        try:
            from aconcur.life._leaf_kernel import make_leaf_kernel
        except ImportError:
            raise MissingRequirementError("numba", "install aconcur[life]") from None
        self._kernel = make_leaf_kernel(rule)
        self._from_bytes = partial(np.frombuffer, dtype=np.uint64)
        self._sums = np.empty((6, 130), np.uint64)
        self._out = np.empty(64, np.uint64)

    def middle(self, node: Node, n: int) -> int:
        """Return the middle of four leaves after ``n`` generations, at most 32."""
        # 64 rows of eight bytes a leaf.
        four = node.nw.bits | node.ne.bits << 4096 | node.sw.bits << 8192 | node.se.bits << 12288
        self._kernel(self._from_bytes(four.to_bytes(2048, "little")), n, self._sums, self._out)
        return int.from_bytes(self._out.tobytes(), "little")


@final
class Quadtree:
    """All nodes of a universe, and what became of them."""

    def __init__(self, leaves: Leaves) -> None:
        self._of_leaves = leaves
        self._bottom = leaves.level
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
            node.bits, node.level, node.population = bits, self._bottom, bits.bit_count()
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
        while len(self._empty) <= level - self._bottom:
            last = self._empty[-1]
            self._empty.append(self.join(last, last, last, last))
        return self._empty[level - self._bottom]

    def again(self, node: Node) -> Node:
        """Return the same square, made of nodes of this tree."""
        copies: dict[Node, Node] = {}

        def copy(old: Node) -> Node:
            new = copies.get(old)
            if new is None:
                new = copies[old] = (
                    self.leaf(old.bits)
                    if old.level == self._bottom
                    else self.join(copy(old.nw), copy(old.ne), copy(old.sw), copy(old.se))
                )
            return new

        return copy(node)

    def _middle(self, node: Node) -> Node:
        if node.level == self._bottom + 1:
            return self.leaf(self._of_leaves.middle(node, 0))
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
        if node.level == self._bottom + 1:
            found = self.leaf(self._of_leaves.middle(node, 1 << j))
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
