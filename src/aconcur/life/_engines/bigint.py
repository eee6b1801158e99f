"""An engine that keeps all cells in one Python integer; each operation works on all of them.

It needs the standard library only, and holds the GIL.

A row is ``width`` cells after a ghost column on the left and, on a torus, before one on the right;
a ghost row lies above and below. Ghosts repeat the cells across the edge, or stay dead in a box.
"""

from __future__ import annotations

__all__ = ("BigInt", "compile_step")

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, Protocol, TypeAlias, cast, final

from aconcur.life._engines.base import check_count
from aconcur.life._engines.circuit import circuit
from aconcur.life._model.bit_rows import join_rows, split_rows
from aconcur.life._model.grid import Grid
from aconcur.life._model.rule import LIFE, Rule
from aconcur.life._model.source import BoundedSource

Step: TypeAlias = Callable[["Area", int, int], int]


class Area(Protocol):
    """What a step in a box needs to know of the layout; a torus needs a :class:`Layout`."""

    @property
    def stride(self) -> int:
        """Bits from one row to the next."""
        ...

    @property
    def inner(self) -> int:
        """A mask of the bits that are cells, not ghosts."""
        ...


READ_LAYOUT: Final = """
    left, right, first = area.left, area.right, area.first
    width, size = area.width, area.height * stride"""
FILL_GHOSTS: Final = """
        c |= (c >> width & left) | (c << width & right)
        c |= (c >> size) | (c & first) << size"""

SOURCE: Final = """
def step(area, c, n):
    stride, inner = area.stride, area.inner{read_layout}
    for _ in range(n):{fill_ghosts}
        l = c << 1
        r = c >> 1
        a = l ^ r
        s0 = a ^ c
        s1 = l & r | a & c
        n0 = s0 << stride
        n1 = s1 << stride
        d0 = s0 >> stride
        d1 = s1 >> stride
        {gates}
        c = {result} & inner
    return c
"""


@lru_cache(maxsize=256)
def compile_step(rule: Rule, torus: bool) -> Step:
    """Return a function ``step(area, cells, n)`` that returns the cells n generations later."""
    names = {"1": "inner"}
    of_rule = circuit(rule)
    gates = [
        f"{gate.name} = {names.get(gate.a, gate.a)} {gate.op} {names.get(gate.b, gate.b)}"
        for gate in of_rule.gates
    ]
    source = SOURCE.format(
        read_layout=READ_LAYOUT if torus else "",
        fill_ghosts=FILL_GHOSTS if torus else "",
        gates="\n        ".join(gates),
        result=names.get(of_rule.result, of_rule.result),
    )
    namespace: dict[str, object] = {}
    # The source contains no text from outside: a rule is two sets of digits.
    exec(source, namespace)
    return cast("Step", namespace["step"])


@final
class Layout:
    """Where each cell of a grid is in the integer."""

    __slots__ = ("first", "height", "inner", "left", "offset", "right", "stride", "torus", "width")

    def __init__(self, height: int, width: int, torus: bool) -> None:
        self.height, self.width, self.torus = height, width, torus
        # In a box one dead column serves as this row's right ghost and the next row's left one.
        self.stride: int = width + 1 + torus
        row = (1 << width) - 1
        self.inner: int = self.lay_out([row] * height)
        every_row = self.lay_out([1] * height)
        self.left: int = every_row >> 1
        self.right: int = every_row << width
        # The mask of the first row with its ghosts, which the ghost row below repeats.
        self.first: int = ((1 << self.stride) - 1) << self.stride

    def lay_out(self, rows: list[int]) -> int:
        return join_rows((row << 1 for row in rows), self.stride) << self.stride

    def rows_of(self, cells: int) -> Iterator[int]:
        for row in split_rows(cells >> self.stride, self.height, self.stride):
            yield row >> 1


@final
class BigInt:
    """The engine that needs the standard library only.

    Any rule, on a torus or in a box. A generation takes about 35 operations on integers of
    ``(height + 2) * (width + 2)`` bits.

    Args:
        grid: the first generation.
        rule: the rule.
        torus: whether opposite edges meet; else dead cells surround the field.
    """

    __slots__ = ("_cells", "_layout", "_step")

    nogil: Final = False

    def __init__(self, grid: Grid, rule: Rule = LIFE, *, torus: bool = True) -> None:
        self._layout = Layout(grid.height, grid.width, torus)
        self._step = compile_step(rule, torus)
        self._cells = self._layout.lay_out(list(grid.rows()))

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self._cells.bit_count()

    def step(self, n: int = 1, /) -> None:
        """Advance by ``n`` generations."""
        check_count(n)
        self._cells = self._step(self._layout, self._cells, n)

    def state(self) -> bytes:
        """Return the cells as bytes; equal generations have equal states."""
        return self._cells.to_bytes((self._cells.bit_length() + 7) // 8, "little")

    def snapshot(self) -> Grid:
        """Return this generation; the cells are laid out at the first read."""
        return Grid.from_source(_BigIntCells(self._layout, self._cells))


@final
class _BigIntCells(BoundedSource):
    """One generation in the engine's layout."""

    __slots__ = ("_cells", "_layout")

    def __init__(self, layout: Layout, cells: int) -> None:
        super().__init__(layout.height, layout.width)
        self._layout, self._cells = layout, cells

    def population(self) -> int:
        return self._cells.bit_count()

    def bits(self) -> int:
        return join_rows(self._layout.rows_of(self._cells), self._layout.width)
