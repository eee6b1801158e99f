"""Life in machine code: the striped words of :mod:`._stripes`, stepped by a compiled kernel.

Rule: the kernel never holds the GIL.
"""

from __future__ import annotations

__all__ = ("Numba", "compile_rule")

from typing import Final, final

from aconcur.errors import MissingRequirementError
from aconcur.life._arrays import import_numpy
from aconcur.life._compiling import Compilation
from aconcur.life._engine import check_count
from aconcur.life._grid import Grid
from aconcur.life._rule import LIFE, Rule
from aconcur.life._stripes import StripedCells, Stripes


@final
class Numba:
    """An engine on numba. Any rule, on a torus or in a box; the fastest there is here.

    The first step of a rule takes a second or two once on a machine, to compile it;
    :func:`simulate` and :func:`generations` see to that beside the loop.

    Args:
        grid: the first generation.
        rule: which cells live next.
        torus: whether the edges meet; else all is dead beyond them.

    Raises:
        MissingRequirementError: numba is not installed.
    """

    __slots__ = ("_kernel", "_other", "_stripes", "_torus", "_words", "compilation")

    nogil: Final = True

    def __init__(self, grid: Grid, rule: Rule = LIFE, *, torus: bool = True) -> None:
        np = import_numpy()
        try:
            from aconcur.life._striped_kernel import make_kernel
        except ImportError:
            raise MissingRequirementError("numba", "install aconcur[life]") from None
        self._kernel = make_kernel(rule)
        self.compilation: Final = Compilation(compile_rule, (rule,))
        self._stripes, self._torus = Stripes(grid.height, grid.width), torus
        self._words = self._stripes.pack(grid)
        self._other = np.zeros_like(self._words)

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self._stripes.population(self._words[1:-1, 1:-1])

    def step(self, n: int = 1, /) -> None:
        """Live ``n`` generations; other threads run meanwhile, but must leave this engine alone."""
        check_count(n)
        np, stripes = import_numpy(), self._stripes
        wrap, full, long = map(np.uint64, (stripes.count - 1, stripes.full, stripes.long))
        self._kernel(self._words, self._other, n, wrap, full, long, self._torus)
        if n % 2:
            self._words, self._other = self._other, self._words

    def state(self) -> bytes:
        """Return the cells in some form: equal generations have equal states."""
        return self._words[1:-1, 1:-1].tobytes()

    def snapshot(self) -> Grid:
        """Return this generation; copies the words, and lays them out when somebody looks."""
        return Grid.from_source(StripedCells(self._stripes, self._words[1:-1, 1:-1].copy()))


def compile_rule(rule: Rule) -> None:
    """Compile what lives by a rule, or load it if that has been done on this machine.

    Raises:
        MissingRequirementError: numba is not installed.
    """
    Numba(Grid(1, 1), rule).step()
