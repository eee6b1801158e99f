"""The engine for the unbounded plane."""

from __future__ import annotations

__all__ = ("HashLife", "compile_plane")

from time import perf_counter
from typing import Final, final

from aconcur.errors import MissingRequirementError
from aconcur.life._engines.base import check_count
from aconcur.life._engines.compilation import Compilation
from aconcur.life._errors import UnboundedRuleError
from aconcur.life._hashlife.plane import Outcome, Plane
from aconcur.life._hashlife.quadtree import Quadtree
from aconcur.life._model.grid import Grid
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import LIFE, Rule
from aconcur.life._model.tree import TreeCells


@final
class HashLife:
    """The engine for the plane, which computes equal squares of cells once.

    It is fast where a pattern is regular in space or time: a gun takes a few milliseconds for 2⁴⁰
    generations. A random soup is slow. Any rule except those with B0, which would bring the whole
    empty plane to life.

    It takes at most 256 MiB for nodes, and twice that while it drops those that it no longer needs.
    A snapshot that is kept also keeps the nodes that existed when it was taken.

    Args:
        start: the first generation, at its place on the plane.
        rule: the rule.
        compiled: whether to run kernels compiled by numba, without the GIL. Compiling takes some
            ten seconds, once on a machine; :func:`simulate` and :func:`cycle` do it in a thread.
            Otherwise the engine needs the standard library only, and is about thirty times as slow.

    Raises:
        MissingRequirementError: ``compiled`` is true and numba is not installed.
        UnboundedRuleError: the rule has B0.
    """

    __slots__ = ("_longest", "_plane", "compilation", "nogil")

    def __init__(self, start: Grid | Pattern, rule: Rule = LIFE, *, compiled: bool = False) -> None:
        if 0 in rule.born:
            raise UnboundedRuleError(rule)
        self.nogil: Final = compiled
        self.compilation: Final = Compilation(compile_plane) if compiled else None
        self._plane: Plane = _compiled_plane(rule) if compiled else Quadtree(rule)
        self._plane.load(Pattern.from_grid(start) if isinstance(start, Grid) else start)
        # The binary logarithm of the longest leap that fits in memory.
        self._longest: float = float("inf")

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self._plane.population

    def step(self, n: int = 1, /) -> None:
        """Advance by ``n`` generations, in one leap for each binary digit 1 of ``n``.

        Raises:
            MemoryError: a single generation takes too much memory; it did not take place.
            OverflowError: the pattern outgrew the compiled plane, which is 2²⁵⁰ cells wide.
            ValueError: ``n`` is below 0.
        """
        check_count(n)
        self.step_within(n, float("inf"))

    def step_within(self, n: int, seconds: float, /) -> int:
        """Advance by at most ``n`` generations, for about this long; return how many were done.

        An unfinished leap counts as none of its generations, but its work is kept: the next call
        with the same ``n`` continues it.
        """
        until = perf_counter() + seconds
        done = 0
        while left := n - done:
            j = int(min((left & -left).bit_length() - 1, self._longest))
            outcome = self._plane.leap(j, until)
            if outcome is Outcome.LATE:
                break
            if outcome is Outcome.DONE:
                done += 1 << j
            elif j:
                self._longest = j - 1
            else:
                raise MemoryError(f"a generation of {self.population} cells needs too much memory")
        return done

    def state(self) -> bytes:
        """Return the cells as bytes, independent of where on the plane they are."""
        seen = self.snapshot()
        return f"{seen.height} {seen.width} {seen.bits:x}".encode()

    def snapshot(self) -> Grid:
        """Return this generation in the smallest box around it; laid out at the first read."""
        plane = self._plane
        return Grid.from_source(TreeCells(plane.root, plane.bottom, plane.stride))


def _compiled_plane(rule: Rule) -> Plane:
    try:
        from aconcur.life._hashlife.node_tables import NodeTables
    except ImportError:
        raise MissingRequirementError("numba", "install aconcur[life]") from None
    return NodeTables(rule)


def compile_plane() -> None:
    """Compile all kernels of the plane, for any rule, or load them from numba's cache on disk.

    Raises:
        MissingRequirementError: numba is not installed.
    """
    plane = _compiled_plane(LIFE)
    plane.load(Pattern([(0, 0), (0, 1), (0, 2)]))
    plane.leap(4, 0.0)
    plane.forget()
    plane.leap(4, float("inf"))
    assert plane.population == 3
