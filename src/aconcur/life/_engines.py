"""Which engine lives a grid or pattern."""

from __future__ import annotations

__all__ = ("EngineName", "Plan", "make_engine", "plan")

from importlib.util import find_spec
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from aconcur.errors import MissingRequirementError
from aconcur.life._bigint import BigInt
from aconcur.life._compiling import Compilation
from aconcur.life._engine import Engine, Topology
from aconcur.life._errors import UnboundedRuleError
from aconcur.life._grid import Grid
from aconcur.life._hashlife import HashLife, compile_plane
from aconcur.life._numba import Numba, compile_rule
from aconcur.life._numpy import Numpy
from aconcur.life._pattern import Pattern
from aconcur.life._rule import LIFE, Rule, as_rule

EngineName: TypeAlias = Literal["auto", "bigint", "numpy", "numba", "hashlife"]
"""``bigint`` and ``hashlife`` need the standard library alone, the others ``aconcur[life]``."""

# Cells from which an import pays, and numpy's calls are no longer what takes the time. Measured.
WORTH_NUMBA: Final = 128 * 128
WORTH_NUMPY: Final = 192 * 192


class Plan(NamedTuple):
    """What an engine is made of, found in order."""

    start: Grid | Pattern
    rule: Rule
    topology: Topology
    name: EngineName

    @property
    def takes_long(self) -> bool:
        """Whether :meth:`make`, or the first step, takes longer than a moment."""
        return self.name == "numba"

    @property
    def compilation(self) -> Compilation | None:
        """What is better compiled before, if anything is."""
        if self.name != "numba":
            return None
        if self.topology == "plane":
            return Compilation(compile_plane)
        return Compilation(compile_rule, (self.rule,))

    def make(self) -> Engine:
        """Return the engine."""
        if isinstance(self.start, Pattern) or self.topology == "plane":
            return HashLife(self.start, self.rule, compiled=self.name == "numba")
        torus = self.topology == "torus"
        if self.name == "bigint":
            return BigInt(self.start, self.rule, torus=torus)
        return (Numpy if self.name == "numpy" else Numba)(self.start, self.rule, torus=torus)


def make_engine(
    start: Grid | Pattern,
    rule: Rule | str | None = None,
    *,
    topology: Topology | None = None,
    engine: EngineName = "auto",
) -> Engine:
    """Return an engine at its first generation.

    Args:
        start: the first generation. A pattern that is meant for a torus or box becomes a grid of
            that size.
        rule: which cells live next; the pattern's own by default, or Conway's.
        topology: ``"torus"``, ``"box"`` or ``"plane"``; by default what the pattern is meant for,
            which is mostly the plane, and the torus for a grid.
        engine: ``"bigint"``, ``"numpy"`` or ``"numba"`` for a torus or box, ``"hashlife"`` or
            ``"numba"`` for the plane. ``"auto"`` takes what will be the fastest in the long run of
            what is installed.

    Raises:
        MissingRequirementError: the engine asked for needs what is not installed.
        RuleError: the notation is none.
        TypeError: the start is no grid or pattern, or the rule no rule and no text.
        UnboundedRuleError: the rule has B0, and there is no end to the plane.
        ValueError: there is no such engine or topology, or the two do not go together, or a
            pattern without bounds is to live on a torus or in a box.
    """
    return plan(start, rule, topology=topology, engine=engine).make()


def plan(
    start: Grid | Pattern,
    rule: Rule | str | None = None,
    *,
    topology: Topology | None = None,
    engine: EngineName = "auto",
) -> Plan:
    """Find out what :func:`make_engine` would make; imports nothing that takes long."""
    if not isinstance(start, Grid | Pattern):
        raise TypeError(
            f"the first generation must be a Grid or a Pattern, as read() and classic() return, "
            f"not {start!r:.80}"
        )
    if isinstance(start, Pattern):
        rule = start.rule if rule is None else rule
        topology = topology or (start.bounds.topology if start.bounds else "plane")
    rule = as_rule(LIFE if rule is None else rule)
    topology = topology or "torus"
    _check_name("topology", topology, get_args(Topology))
    _check_name("engine", engine, get_args(EngineName))
    if topology == "plane":
        if 0 in rule.born:
            raise UnboundedRuleError(rule)
    elif isinstance(start, Pattern):
        start = _bounded(start, topology)
    fitting = ("hashlife", "numba") if topology == "plane" else ("bigint", "numpy", "numba")
    if engine == "auto":
        engine = _fastest(start, topology)
    elif engine not in fitting:
        raise ValueError(f"on a {topology} the engine is one of {fitting}, not {engine!r}")
    _check_installed(engine)
    return Plan(start, rule, topology, engine)


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ValueError(f"{what} must be one of {known}, not {name!r}")


def _bounded(pattern: Pattern, topology: Topology) -> Grid:
    bounds = pattern.bounds
    if bounds is None:
        raise ValueError(
            f"{pattern!r} has no bounds: put it on a {topology} with pattern.grid(height, width)"
        )
    return pattern.grid(bounds.height, bounds.width)


def _fastest(start: Grid | Pattern, topology: Topology) -> EngineName:
    if topology == "plane" or isinstance(start, Pattern):
        return "numba" if _is_installed("numba") else "hashlife"
    cells = start.height * start.width
    if cells >= WORTH_NUMBA and _is_installed("numba"):
        return "numba"
    return "numpy" if cells >= WORTH_NUMPY and _is_installed("numpy") else "bigint"


def _is_installed(module: str) -> bool:
    return find_spec(module) is not None


def _check_installed(engine: EngineName) -> None:
    if engine in ("numpy", "numba") and not _is_installed(engine):
        raise MissingRequirementError(engine, "install aconcur[life]")
