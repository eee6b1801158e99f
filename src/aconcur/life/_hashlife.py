"""Life on the unbounded plane, with the standard library alone or in machine code."""

from __future__ import annotations

__all__ = ("HashLife", "compile_plane")

from time import perf_counter
from typing import Final, final

from aconcur.errors import MissingRequirementError
from aconcur.life._compiling import Compilation
from aconcur.life._engine import check_count
from aconcur.life._errors import UnboundedRuleError
from aconcur.life._grid import Grid
from aconcur.life._pattern import Pattern
from aconcur.life._plane import Outcome, Plane
from aconcur.life._planted import Planted
from aconcur.life._quadtree import Quadtree
from aconcur.life._rule import LIFE, Rule


@final
class HashLife:
    """An engine for the plane: what is regular in space or time is lived once.

    A gun lives 2⁴⁰ generations in a few thousandths of a second; a soup, in which nothing is
    regular, is slow. Any rule but those with B0, in which the empty plane comes to life.

    It takes no more memory than 256 MiB, and twice that for a moment when it forgets what it does
    not need. A snapshot that is kept also keeps the nodes that were known when it was taken.

    Args:
        start: the first generation, where it lies on the plane.
        rule: which cells live next.
        compiled: whether it lives in machine code, without the GIL, which takes numba and, once on
            a machine, some ten seconds to compile, whatever the rule; :func:`simulate` and
            :func:`cycle` do that beside the loop. Else it needs the standard library alone, and
            takes about thirty times as long.

    Raises:
        MissingRequirementError: numba is needed and not installed.
        UnboundedRuleError: the rule has B0.
    """

    __slots__ = ("_longest", "_plane", "compilation", "nogil")

    def __init__(self, start: Grid | Pattern, rule: Rule = LIFE, *, compiled: bool = False) -> None:
        if 0 in rule.born:
            raise UnboundedRuleError(rule)
        self.nogil: Final = compiled
        self.compilation: Final = Compilation(compile_plane) if compiled else None
        self._plane: Plane = _in_machine_code(rule) if compiled else Quadtree(rule)
        self._plane.plant(Pattern.from_grid(start) if isinstance(start, Grid) else start)
        # The binary logarithm of the longest leap for which there is memory.
        self._longest: float = float("inf")

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self._plane.population

    def step(self, n: int = 1, /) -> None:
        """Live ``n`` generations, in as many leaps as ``n`` has ones in binary.

        Raises:
            MemoryError: a single generation takes too much; none of it was lived.
            OverflowError: in machine code the plane is 2²⁵⁰ cells wide.
            ValueError: ``n`` is below 0.
        """
        check_count(n)
        self.step_within(n, float("inf"))

    def step_within(self, n: int, seconds: float, /) -> int:
        """Live up to ``n`` generations, for about so many seconds; return how many were lived.

        A leap that is not done in time has lived none of its generations, but is not in vain: the
        next call with the same ``n`` goes on where it was.
        """
        until = perf_counter() + seconds
        lived = 0
        while left := n - lived:
            j = int(min((left & -left).bit_length() - 1, self._longest))
            outcome = self._plane.leap(j, until)
            if outcome is Outcome.LATE:
                break
            if outcome is Outcome.DONE:
                lived += 1 << j
            elif j:
                self._longest = j - 1
            else:
                raise MemoryError(f"a generation of {self.population} cells needs too much memory")
        return lived

    def state(self) -> bytes:
        """Return the cells in some form, wherever on the plane they are."""
        seen = self.snapshot()
        return f"{seen.height} {seen.width} {seen.bits:x}".encode()

    def snapshot(self) -> Grid:
        """Return this generation, in the smallest box; costs nothing until somebody looks."""
        plane = self._plane
        return Grid.from_source(Planted(plane.root, plane.bottom, plane.stride))


def _in_machine_code(rule: Rule) -> Plane:
    try:
        from aconcur.life._node_tables import NodeTables
    except ImportError:
        raise MissingRequirementError("numba", "install aconcur[life]") from None
    return NodeTables(rule)


def compile_plane() -> None:
    """Compile what lives on the plane, by any rule, or load it if that has been done.

    Raises:
        MissingRequirementError: numba is not installed.
    """
    plane = _in_machine_code(LIFE)
    plane.plant(Pattern([(0, 0), (0, 1), (0, 2)]))
    plane.leap(4, 0.0)
    plane.forget()
    plane.leap(4, float("inf"))
    assert plane.population == 3
