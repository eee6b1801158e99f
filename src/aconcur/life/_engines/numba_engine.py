"""An engine on numba: the striped words of ``stripes``, advanced by a compiled kernel.

The kernel runs without the GIL.
"""

from __future__ import annotations

__all__ = ("Numba", "compile_rule")

from typing import Final, final

from aconcur.errors import MissingRequirementError
from aconcur.life._engines.base import check_count
from aconcur.life._engines.compilation import Compilation
from aconcur.life._engines.stripes import StripedCells, Stripes
from aconcur.life._model.arrays import import_numpy
from aconcur.life._model.grid import Grid
from aconcur.life._model.rule import LIFE, Rule


@final
class Numba:
    """The engine on numba, the fastest of all for a bounded field. Any rule, torus or box.

    The first step with a rule compiles it, which takes one to two seconds, once on a machine.
    :func:`simulate` and :func:`generations` do that in a thread.

    Args:
        grid: the first generation.
        rule: the rule.
        torus: whether opposite edges meet; else dead cells surround the field.

    Raises:
        MissingRequirementError: numba is not installed.
    """

    __slots__ = ("_kernel", "_other", "_stripes", "_torus", "_words", "compilation")

    nogil: Final = True

    def __init__(self, grid: Grid, rule: Rule = LIFE, *, torus: bool = True) -> None:
        import_numpy()
        try:
            from aconcur.life._engines.striped_kernel import make_kernel
        except ImportError:
            raise MissingRequirementError("numba", "install aconcur[life]") from None
        self._kernel = make_kernel(rule)
        self.compilation: Final = Compilation(compile_rule, (rule,))
        self._stripes, self._torus = Stripes(grid.height, grid.width), torus
        self._words, self._other = self._stripes.pack_pair(grid)

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self._stripes.population(self._words[1:-1, 1:-1])

    def step(self, n: int = 1, /) -> None:
        """Advance by ``n`` generations without the GIL; other threads must not use this engine."""
        check_count(n)
        np, stripes = import_numpy(), self._stripes
        wrap, full, long = map(np.uint64, (stripes.count - 1, stripes.full, stripes.long))
        self._kernel(self._words, self._other, n, wrap, full, long, self._torus)
        if n % 2:
            self._words, self._other = self._other, self._words

    def state(self) -> bytes:
        """Return the words as bytes; equal generations have equal states."""
        return self._words[1:-1, 1:-1].tobytes()

    def snapshot(self) -> Grid:
        """Return this generation; copies the words, which are laid out at the first read."""
        return Grid.from_source(StripedCells(self._stripes, self._words[1:-1, 1:-1].copy()))


def compile_rule(rule: Rule) -> None:
    """Compile the kernel of a rule, or load it from numba's cache on disk.

    Raises:
        MissingRequirementError: numba is not installed.
    """
    Numba(Grid(1, 1), rule).step()
