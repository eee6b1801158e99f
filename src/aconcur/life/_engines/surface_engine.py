"""An engine for every bounded field, however its edges are joined: one big integer, and a border.

Before each generation it copies the edges of the field into the border around it, in the order that
the field's shape asks for. That costs a loop over the rows, so boxes and plain tori have faster
engines.

The joins are Golly's (https://golly.sourceforge.io/Help/bounded.html).
"""

from __future__ import annotations

__all__ = ("Surface",)

from collections.abc import Sequence
from typing import Final, final

from aconcur.life._engines.base import check_count
from aconcur.life._engines.bigint import Layout, compile_step
from aconcur.life._model.bit_rows import join_rows, split_rows
from aconcur.life._model.field import Bounds
from aconcur.life._model.grid import Grid
from aconcur.life._model.rule import LIFE, Rule

Edge = Sequence[int]
"""The cells of an edge, 0 or 1, from left to right or from top to bottom."""


@final
class Surface:
    """The engine for Klein bottles, cross-surfaces, spheres and shifted tori. Any rule.

    It needs the standard library only.

    Args:
        grid: the first generation.
        rule: the rule.
        bounds: the shape; its size is the grid's.
    """

    __slots__ = ("_bounds", "_layout", "_rows", "_step")

    nogil: Final = False

    def __init__(self, grid: Grid, rule: Rule = LIFE, *, bounds: Bounds) -> None:
        self._bounds = bounds
        # A torus has a ghost column on both sides; a step in a box leaves all ghosts as they are.
        self._layout = Layout(grid.height, grid.width, torus=True)
        self._step = compile_step(rule, torus=False)
        self._rows = list(grid.rows())

    @property
    def population(self) -> int:
        """The number of live cells."""
        return sum(row.bit_count() for row in self._rows)

    def step(self, n: int = 1, /) -> None:
        """Advance by ``n`` generations."""
        check_count(n)
        layout = self._layout
        for _ in range(n):
            cells = self._step(layout, join_rows(self._with_border(), layout.stride), 1)
            rows = split_rows(cells >> layout.stride, layout.height, layout.stride)
            self._rows = [row >> 1 for row in rows]

    def state(self) -> bytes:
        """Return the cells as bytes; equal generations have equal states."""
        width = (self._layout.width + 7) // 8
        return b"".join(row.to_bytes(width, "little") for row in self._rows)

    def snapshot(self) -> Grid:
        """Return this generation."""
        layout = self._layout
        return Grid(layout.height, layout.width, join_rows(self._rows, layout.width))

    def _with_border(self) -> list[int]:
        """Return the rows with a cell of border on every side."""
        rows, width = self._rows, self._layout.width
        last = width - 1
        left, right = [row & 1 for row in rows], [row >> last for row in rows]
        top, bottom = ([row >> x & 1 for x in range(width)] for row in (rows[0], rows[-1]))
        above, below, west, east = _joined(self._bounds, top, bottom, left, right)
        middle = [row << 1 | west[y] | east[y] << width + 1 for y, row in enumerate(rows)]
        return [_packed(above), *middle, _packed(below)]


def _packed(cells: Edge) -> int:
    return int("".join(map(str, reversed(cells))), 2)


def _joined(
    bounds: Bounds, top: Edge, bottom: Edge, left: Edge, right: Edge
) -> tuple[Edge, Edge, Edge, Edge]:
    """Return the border above and below, with its corners, and that on the left and right."""
    corners = top[0], top[-1], bottom[0], bottom[-1]
    if bounds.topology == "sphere":
        return _with_own_corners(corners, left, right, top, bottom)
    if bounds.topology == "cross":
        edges = (bottom[::-1], top[::-1], right[::-1], left[::-1])
        return _with_own_corners(corners, *edges)
    twisted = bounds.topology == "klein"
    x, y = bounds.shift_x, bounds.shift_y
    # A corner of the border continues an edge of the border that is already twisted and shifted.
    if bounds.twist == "x" or x:
        above = _shifted(bottom, -x if twisted else x, twisted=twisted)
        below = _shifted(top, -x, twisted=twisted)
        return _continued(above), _continued(below), right, left
    west = _shifted(right, -y if twisted else y, twisted=twisted)
    east = _shifted(left, -y, twisted=twisted)
    return (west[-1], *bottom, east[-1]), (west[0], *top, east[0]), west, east


def _with_own_corners(
    corners: tuple[int, int, int, int], above: Edge, below: Edge, west: Edge, east: Edge
) -> tuple[Edge, Edge, Edge, Edge]:
    """Return the border of a shape in which each corner cell is its own diagonal neighbour."""
    nw, ne, sw, se = corners
    return (nw, *above, ne), (sw, *below, se), west, east


def _shifted(edge: Edge, shift: int, *, twisted: bool) -> Edge:
    """Return an edge rotated towards its end; a twist reverses it first."""
    if twisted:
        edge = edge[::-1]
    by = shift % len(edge)
    return (*edge[-by:], *edge[:-by]) if by else edge


def _continued(edge: Edge) -> Edge:
    """Return an edge with one more cell at both ends, as it meets itself."""
    return (edge[-1], *edge, edge[0])
