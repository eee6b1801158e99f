"""Life in one integer: every operation on it works on all cells at once.

Rule: this needs the standard library alone, and holds the GIL.

A row is ``width`` cells between a ghost column on its left and, on a torus, one on its right; a
ghost row lies above and below. Ghosts repeat the cells across the edge, or stay dead in a box.
"""

from __future__ import annotations

__all__ = ("BigInt", "compile_step")

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, Protocol, TypeAlias, cast, final

from aconcur.life._circuit import circuit
from aconcur.life._engine import check_count
from aconcur.life._grid import Grid
from aconcur.life._rows import join_rows, split_rows
from aconcur.life._rule import LIFE, Rule
from aconcur.life._source import Bounded

Step: TypeAlias = Callable[["Area", int, int], int]


class Area(Protocol):
    """What a step must know of where the cells are; ghosts that meet need a :class:`Layout`."""

    @property
    def stride(self) -> int:
        """Bits from a row to the next."""
        ...

    @property
    def inner(self) -> int:
        """A one for each bit that is a cell."""
        ...


KNOW: Final = """
    left, right, first = area.left, area.right, area.first
    width, size = area.width, area.height * stride"""
MEET: Final = """
        c |= (c >> width & left) | (c << width & right)
        c |= (c >> size) | (c & first) << size"""

SOURCE: Final = """
def step(area, c, n):
    stride, inner = area.stride, area.inner{know}
    for _ in range(n):{meet}
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
    """Return ``step(area, cells, n)``, which returns the cells n generations later."""
    names = {"1": "inner"}
    known = circuit(rule)
    gates = [
        f"{gate.name} = {names.get(gate.a, gate.a)} {gate.op} {names.get(gate.b, gate.b)}"
        for gate in known.gates
    ]
    source = SOURCE.format(
        know=KNOW if torus else "",
        meet=MEET if torus else "",
        gates="\n        ".join(gates),
        result=names.get(known.result, known.result),
    )
    made: dict[str, object] = {}
    # Nothing of it comes from outside: a rule is a few digits.
    exec(source, made)
    return cast("Step", made["step"])


@final
class Layout:
    """Where the cells of a grid are in the integer."""

    __slots__ = ("first", "height", "inner", "left", "offset", "right", "stride", "torus", "width")

    def __init__(self, height: int, width: int, torus: bool) -> None:
        self.height, self.width, self.torus = height, width, torus
        # In a box the next row's left ghost is this row's right one.
        self.stride: int = width + 1 + torus
        row = (1 << width) - 1
        self.inner: int = self.lay_out([row] * height)
        every_row = self.lay_out([1] * height)
        self.left: int = every_row >> 1
        self.right: int = every_row << width
        # Of the ghosted rows, the first one: what the ghost row below repeats.
        self.first: int = ((1 << self.stride) - 1) << self.stride

    def lay_out(self, rows: list[int]) -> int:
        return join_rows((row << 1 for row in rows), self.stride) << self.stride

    def take_out(self, cells: int) -> Iterator[int]:
        for row in split_rows(cells >> self.stride, self.height, self.stride):
            yield row >> 1


@final
class BigInt:
    """An engine that needs nothing but Python: all cells in one integer.

    Any rule, on a torus or in a box. About 35 operations on integers of ``(height + 2) *
    (width + 2)`` bits a generation.

    Args:
        grid: the first generation.
        rule: which cells live next.
        torus: whether the edges meet; else all is dead beyond them.
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
        """Live ``n`` generations."""
        check_count(n)
        self._cells = self._step(self._layout, self._cells, n)

    def state(self) -> bytes:
        """Return the cells in some form: equal generations have equal states."""
        return self._cells.to_bytes((self._cells.bit_length() + 7) // 8, "little")

    def snapshot(self) -> Grid:
        """Return this generation; costs nothing until somebody looks at it."""
        return Grid.from_source(_Laid(self._layout, self._cells))


@final
class _Laid(Bounded):
    """The cells of a generation as the engine has them."""

    __slots__ = ("_cells", "_layout")

    def __init__(self, layout: Layout, cells: int) -> None:
        super().__init__(layout.height, layout.width)
        self._layout, self._cells = layout, cells

    def population(self) -> int:
        return self._cells.bit_count()

    def bits(self) -> int:
        return join_rows(self._layout.take_out(self._cells), self._layout.width)
