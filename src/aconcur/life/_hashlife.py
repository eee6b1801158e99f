"""Life on the unbounded plane, with the standard library alone or leaves in machine code."""

from __future__ import annotations

__all__ = ("HashLife",)

from collections.abc import Iterator
from time import perf_counter
from typing import Final, TypeAlias, final

from aconcur.life._engine import check_count
from aconcur.life._errors import UnboundedRuleError
from aconcur.life._grid import Grid
from aconcur.life._pattern import Pattern
from aconcur.life._quadtree import (
    CompiledLeaves,
    Full,
    IntegerLeaves,
    Late,
    Leaves,
    Node,
    Quadtree,
)
from aconcur.life._rows import join_rows, ones
from aconcur.life._rule import LIFE, Rule

_Parts: TypeAlias = tuple[tuple[int, int, int], ...]

# A run of so many cells has so many leaves that most of them are worth making once. A guess.
_LONG_RUN: Final = 1 << 14


@final
class HashLife:
    """An engine for the plane: what is regular in space or time is lived once.

    A gun lives 2⁴⁰ generations in a fraction of a second; a soup, in which nothing is regular, is
    slow. Any rule but those with B0, in which the empty plane comes to life.

    Args:
        start: the first generation, where it lies on the plane.
        rule: which cells live next.
        compiled: whether leaves live in machine code, which takes numba; the rest is Python.

    Raises:
        MissingRequirementError: numba is needed and not installed.
        UnboundedRuleError: the rule has B0.
    """

    __slots__ = ("_leaves", "_root", "_tree")

    nogil: Final = False

    def __init__(self, start: Grid | Pattern, rule: Rule = LIFE, *, compiled: bool = False) -> None:
        if 0 in rule.born:
            raise UnboundedRuleError(rule)
        self._leaves: Leaves = CompiledLeaves(rule) if compiled else IntegerLeaves(rule)
        self._tree = Quadtree(self._leaves)
        pattern = Pattern.from_grid(start) if isinstance(start, Grid) else start
        self._root = _plant(self._tree, self._leaves, pattern)

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self._root.population

    def step(self, n: int = 1, /) -> None:
        """Live ``n`` generations, in as many steps as ``n`` has ones in binary."""
        check_count(n)
        self.step_within(n, float("inf"))

    def step_within(self, n: int, seconds: float, /) -> int:
        """Live up to ``n`` generations, for about so many seconds; return how many were lived.

        A step that is not done in time has lived none of its generations, but is not in vain: the
        next call with the same ``n`` goes on where it was.
        """
        self._tree.until = perf_counter() + seconds
        lived = 0
        try:
            while lived < n:
                left = n - lived
                j = (left & -left).bit_length() - 1
                self._leap(j)
                lived += 1 << j
        except Late:
            pass
        return lived

    def _leap(self, j: int, *, cleared: bool = False) -> None:
        """Live 2 ** j generations at once, or in halves where there is no room for that."""
        tree = self._tree
        while self._root.level < max(j, self._leaves.level) + 3 or not _is_central(self._root):
            self._root = _grown(tree, self._root)
        try:
            self._root = tree.later(self._root, j)
        except Full:
            tree.forget()
            self._root = tree.again(self._root)
            if not cleared:
                self._leap(j, cleared=True)
            elif j:
                self._leap(j - 1)
                self._leap(j - 1)
            else:
                raise MemoryError(
                    f"a generation of {self.population} cells needs too much memory"
                ) from None

    def state(self) -> bytes:
        """Return the cells in some form, wherever on the plane they are."""
        seen = self.snapshot()
        return f"{seen.height} {seen.width} {seen.bits:x}".encode()

    def snapshot(self) -> Grid:
        """Return this generation, in the smallest box; costs nothing until somebody looks."""
        return Grid.from_source(_Planted(self._root, self._leaves))


def _is_central(node: Node) -> bool:
    """Tell whether every live cell is so near the middle that none can leave it in a leap."""
    middle = (node.nw.se.se, node.ne.sw.sw, node.sw.ne.ne, node.se.nw.nw)
    return sum(part.population for part in middle) == node.population


def _grown(tree: Quadtree, node: Node) -> Node:
    """Return the same plane in a square of twice the side."""
    none, join = tree.empty(node.level - 1), tree.join
    return join(
        join(none, none, none, node.nw),
        join(none, none, node.ne, none),
        join(none, node.sw, none, none),
        join(node.se, none, none, none),
    )


def _plant(tree: Quadtree, of: Leaves, pattern: Pattern) -> Node:
    """Return the smallest square around the origin, its corner of four, that has these cells."""
    if max(pattern.run_arrays()[2], default=0) > _LONG_RUN:
        return _plant_long(tree, of, pattern)
    runs = pattern.runs()
    level, side = of.level, 1 << of.level
    leaves: dict[tuple[int, int], int] = {}
    for y, x, length in runs:
        row = y % side * of.stride
        while length > 0:
            here = min(length, side - x % side)
            place = y >> level, x >> level
            leaves[place] = leaves.get(place, 0) | ((1 << here) - 1) << row + x % side
            x, length = x + here, length - here
    nodes = {place: tree.leaf(bits) for place, bits in leaves.items()}
    while any(not -1 <= at <= 0 for place in nodes for at in place) or level < of.level + 2:
        none = tree.empty(level)
        nodes = {
            (y, x): tree.join(
                *(nodes.get((2 * y + dy, 2 * x + dx), none) for dy in (0, 1) for dx in (0, 1))
            )
            for y, x in {(y >> 1, x >> 1) for y, x in nodes}
        }
        level += 1
    none = tree.empty(level)
    return tree.join(*(nodes.get((y, x), none) for y in (-1, 0) for x in (-1, 0)))


def _plant_long(tree: Quadtree, of: Leaves, pattern: Pattern) -> Node:
    """Do as :func:`_plant`, and plant squares that are equal once, however many there are."""
    known: dict[tuple[int, _Parts], Node] = {}

    def plant(level: int, runs: _Parts) -> Node:
        if not runs:
            return tree.empty(level)
        node = known.get((level, runs))
        if node is None:
            if level == of.level:
                node = tree.leaf(sum(((1 << n) - 1) << y * of.stride + x for y, x, n in runs))
            else:
                half = 1 << level - 1
                quarters = [_part(runs, y, x, half) for y in (0, half) for x in (0, half)]
                node = tree.join(*(plant(level - 1, quarter) for quarter in quarters))
            known[level, runs] = node
        return node

    (top, left), (height, width) = pattern.offset, (pattern.height, pattern.width)
    reach = max(-top, -left, top + height, left + width)
    level = max(reach.bit_length() + 1, of.level + 3)
    half = 1 << level - 1
    return plant(level, tuple((y + half, x + half, n) for y, x, n in pattern.runs()))


def _part(runs: _Parts, top: int, left: int, side: int) -> _Parts:
    """Return what lies in a square, from its corner."""
    found: list[tuple[int, int, int]] = []
    for y, x, n in runs:
        begin, end = max(x - left, 0), min(x + n - left, side)
        if 0 <= y - top < side and begin < end:
            found.append((y - top, begin, end - begin))
    return tuple(found)


@final
class _Planted:
    """The cells of a generation as a quadtree around the origin."""

    __slots__ = ("_leaf", "_root")

    def __init__(self, root: Node, leaf: Leaves) -> None:
        self._root, self._leaf = root, leaf

    def population(self) -> int:
        return self._root.population

    def box(self) -> tuple[int, int, int, int]:
        if not self._root.population:
            return 0, 0, 1, 1
        top, left, bottom, right = _extent(self._root, self._leaf, {})
        half = 1 << self._root.level - 1
        return top - half, left - half, bottom - top, right - left

    def bits(self) -> int:
        top, left, height, width = self.box()
        rows = [0] * height
        for y0, x0, leaf in self._leaves():
            for y, row in _leaf_rows(leaf, self._leaf):
                at = x0 - left
                rows[y0 + y - top] |= row << at if at >= 0 else row >> -at
        return join_rows(rows, width)

    def cells(self) -> Iterator[tuple[int, int]]:
        for y0, x0, leaf in self._leaves():
            for y, row in _leaf_rows(leaf, self._leaf):
                for x in ones(row):
                    yield y0 + y, x0 + x

    def dots(self, y: int, x: int, height: int, width: int, dot: int) -> Iterator[tuple[int, int]]:
        half = 1 << self._root.level - 1
        stack = [(-half - y, -half - x, self._root)]
        while stack:
            top, left, node = stack.pop()
            side = 1 << node.level
            outside = top >= height or left >= width or top + side <= 0 or left + side <= 0
            if outside or not node.population:
                continue
            inside = top >= 0 and top + side <= height and left >= 0 and left + side <= width
            last = side - 1
            if inside and top // dot == (top + last) // dot and left // dot == (left + last) // dot:
                yield top // dot, left // dot
            elif node.level == self._leaf.level:
                for row, bits in _leaf_rows(node, self._leaf):
                    for column in ones(bits):
                        if 0 <= top + row < height and 0 <= left + column < width:
                            yield (top + row) // dot, (left + column) // dot
            else:
                half = side >> 1
                stack += (
                    (top, left, node.nw),
                    (top, left + half, node.ne),
                    (top + half, left, node.sw),
                    (top + half, left + half, node.se),
                )

    def _leaves(self) -> Iterator[tuple[int, int, Node]]:
        half = 1 << self._root.level - 1
        stack = [(-half, -half, self._root)]
        while stack:
            y, x, node = stack.pop()
            if not node.population:
                continue
            if node.level == self._leaf.level:
                yield y, x, node
                continue
            half = 1 << node.level - 1
            stack += (
                (y + half, x + half, node.se),
                (y + half, x, node.sw),
                (y, x + half, node.ne),
                (y, x, node.nw),
            )


def _leaf_rows(leaf: Node, of: Leaves) -> Iterator[tuple[int, int]]:
    side = 1 << of.level
    mask = (1 << side) - 1
    for y in range(side):
        if row := leaf.bits >> y * of.stride & mask:
            yield y, row


def _extent(
    node: Node, of: Leaves, known: dict[Node, tuple[int, int, int, int]]
) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of the live cells, from the node's own corner."""
    found = known.get(node)
    if found is None:
        if node.level == of.level:
            rows = list(_leaf_rows(node, of))
            columns = 0
            for _, row in rows:
                columns |= row
            left = (columns & -columns).bit_length() - 1
            found = rows[0][0], left, rows[-1][0] + 1, columns.bit_length()
        else:
            half = 1 << node.level - 1
            quarters = (
                (0, 0, node.nw),
                (0, half, node.ne),
                (half, 0, node.sw),
                (half, half, node.se),
            )
            extents = [
                (y + top, x + left, y + bottom, x + right)
                for y, x, quarter in quarters
                if quarter.population
                for top, left, bottom, right in [_extent(quarter, of, known)]
            ]
            tops, lefts, bottoms, rights = zip(*extents, strict=True)
            found = min(tops), min(lefts), max(bottoms), max(rights)
        known[node] = found
    return found
