"""Build a quadtree around the origin from a pattern, out of any kind of nodes.

Equal squares become one node, and a node is made after its quarters.
"""

from __future__ import annotations

__all__ = ("NodeFactory", "build_tree", "copy_tree")

import sys
from typing import Final, Protocol, TypeAlias, TypeVar

from aconcur.life._errors import PatternSizeError
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.tree import Square, TreeCells

T = TypeVar("T")
_Parts: TypeAlias = tuple[tuple[int, int, int], ...]

# A run through so many leaves is worth a search for equal squares. A guess.
_LONG_RUN: Final = 512


class NodeFactory(Protocol[T]):
    """An object that makes nodes and finds equal ones."""

    @property
    def bottom(self) -> int:
        """The level of a leaf: it has ``2 ** bottom`` cells a side."""
        ...

    @property
    def stride(self) -> int:
        """The number of bits from one row of a leaf to the next."""
        ...

    @property
    def smallest(self) -> int:
        """The lowest level of a whole pattern."""
        ...

    def leaf(self, bits: int, /) -> T:
        """Return the leaf with these cells: bit ``y * stride + x``."""
        ...

    def join(self, nw: T, ne: T, sw: T, se: T, /) -> T:
        """Return the node with these quarters."""
        ...

    def empty(self, level: int, /) -> T:
        """Return the square of this level in which every cell is dead."""
        ...


def build_tree(
    tree: NodeFactory[T], pattern: Pattern, *, most_leaves: int = sys.maxsize
) -> tuple[T, int]:
    """Return a square around the origin with the pattern's cells, and its level.

    Args:
        tree: makes the nodes.
        pattern: the cells.
        most_leaves: the most leaves to visit. A pattern with very long runs has no such limit,
            because equal squares of it are visited once.

    Raises:
        PatternSizeError: there are more leaves.
    """
    if pattern.tree is not None:
        return copy_tree(tree, pattern.tree), pattern.tree.root.level
    if max(pattern.run_arrays()[2], default=0) > _LONG_RUN << tree.bottom:
        return _build_top_down(tree, pattern)
    return _build_bottom_up(tree, pattern, most_leaves)


def _build_bottom_up(tree: NodeFactory[T], pattern: Pattern, most_leaves: int) -> tuple[T, int]:
    """Fill all leaves, then join them level by level: fast, but visits every leaf."""
    level, side = tree.bottom, 1 << tree.bottom
    last, stride, join = side - 1, tree.stride, tree.join
    leaves: dict[tuple[int, int], int] = {}
    for y, x, length in pattern.runs():
        if len(leaves) + length // side > most_leaves:
            raise PatternSizeError(
                f"{pattern!r} has more than {most_leaves} squares of {side} × {side} cells: "
                "write RLE"
            )
        row = (y & last) * stride
        while length > 0:
            here = min(length, side - (x & last))
            place = y >> level, x >> level
            leaves[place] = leaves.get(place, 0) | ((1 << here) - 1) << row + (x & last)
            x, length = x + here, length - here
    nodes = {place: tree.leaf(bits) for place, bits in leaves.items()}
    while any(not -1 <= at <= 0 for place in nodes for at in place) or level < tree.smallest - 1:
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


def _build_top_down(tree: NodeFactory[T], pattern: Pattern) -> tuple[T, int]:
    """Split runs by quarters, and build equal squares once: slow, but for any length."""
    known: dict[tuple[int, _Parts], T] = {}

    def built(level: int, runs: _Parts) -> T:
        if not runs:
            return tree.empty(level)
        node = known.get((level, runs))
        if node is None:
            if level == tree.bottom:
                node = tree.leaf(sum(((1 << n) - 1) << y * tree.stride + x for y, x, n in runs))
            else:
                half = 1 << level - 1
                quarters = [_runs_in(runs, y, x, half) for y in (0, half) for x in (0, half)]
                node = tree.join(*(built(level - 1, quarter) for quarter in quarters))
            known[level, runs] = node
        return node

    (top, left), (height, width) = pattern.offset, (pattern.height, pattern.width)
    reach = max(-top, -left, top + height, left + width)
    level = max((reach - 1).bit_length() + 1, tree.smallest)
    half = 1 << level - 1
    return built(level, tuple((y + half, x + half, n) for y, x, n in pattern.runs())), level


def _runs_in(runs: _Parts, top: int, left: int, side: int) -> _Parts:
    """Return the runs in a square, counted from its corner."""
    found: list[tuple[int, int, int]] = []
    for y, x, n in runs:
        begin, end = max(x - left, 0), min(x + n - left, side)
        if 0 <= y - top < side and begin < end:
            found.append((y - top, begin, end - begin))
    return tuple(found)


def copy_tree(tree: NodeFactory[T], cells: TreeCells) -> T:
    """Copy a tree whose leaves may be of another size; equal squares are copied once."""
    known: dict[Square, T] = {}

    def copied(square: Square) -> T:
        if square.is_empty:
            return tree.empty(square.level)
        node = known.get(square)
        if node is None:
            if square.level <= tree.bottom:
                node = tree.leaf(_bits_of(square, cells, tree.stride))
            elif square.level == cells.bottom:
                node = split(square.level, square.bits)
            else:
                node = tree.join(*map(copied, square.quarters))
            known[square] = node
        return node

    def split(level: int, bits: int) -> T:
        """Make a node of a leaf's bits, which may have dead cells beyond the node."""
        if level == tree.bottom:
            return tree.leaf(_restrided(bits, 1 << level, cells.stride, tree.stride))
        half = 1 << level - 1
        corners = (0, half, half * cells.stride, half * (cells.stride + 1))
        return tree.join(*(split(level - 1, bits >> corner) for corner in corners))

    return copied(cells.root)


def _bits_of(square: Square, cells: TreeCells, stride: int) -> int:
    """Return the cells of a square: bit ``y * stride + x``."""
    if square.level == cells.bottom:
        return _restrided(square.bits, 1 << square.level, cells.stride, stride)
    half = 1 << square.level - 1
    corners = (0, half, half * stride, half * (stride + 1))
    bits = 0
    for quarter, corner in zip(square.quarters, corners, strict=True):
        if not quarter.is_empty:
            bits |= _bits_of(quarter, cells, stride) << corner
    return bits


def _restrided(bits: int, side: int, old: int, new: int) -> int:
    """Return the bits of a square with another number of bits from one row to the next."""
    mask = (1 << side) - 1
    return sum((bits >> y * old & mask) << y * new for y in range(side))
