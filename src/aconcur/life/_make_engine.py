"""Choose and make the engine for a grid or pattern."""

from __future__ import annotations

__all__ = ("EngineName", "Plan", "make_engine", "plan")

from importlib.util import find_spec
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from aconcur.errors import MissingRequirementError
from aconcur.life._driver import Driver
from aconcur.life._engines.base import Engine
from aconcur.life._engines.bigint import BigInt
from aconcur.life._engines.compilation import Compilation
from aconcur.life._engines.numba_engine import Numba, compile_rule
from aconcur.life._engines.numpy_engine import Numpy
from aconcur.life._engines.surface_engine import Surface
from aconcur.life._errors import UnboundedRuleError
from aconcur.life._hashlife.engine import HashLife, compile_plane
from aconcur.life._model.field import Bounds, Topology
from aconcur.life._model.grid import Grid
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import LIFE, Rule, as_rule

EngineName: TypeAlias = Literal["auto", "bigint", "numpy", "numba", "hashlife"]
"""``bigint`` and ``hashlife`` need the standard library only, the others ``aconcur[life]``."""

# The number of cells from which importing numba pays, and from which numpy's calls are faster than
# operations on big integers. Measured.
WORTH_NUMBA: Final = 128 * 128
WORTH_NUMPY: Final = 192 * 192
# The most cells of which an engine is made on the loop: about a millisecond. A guess.
_QUICKLY_MADE: Final = 1 << 12


class Plan(NamedTuple):
    """A checked choice: the arguments of the engine to make."""

    start: Grid | Pattern
    rule: Rule
    topology: Topology
    name: EngineName
    bounds: Bounds | None

    @property
    def _make_is_slow(self) -> bool:
        """Whether :meth:`make` may take much longer than a millisecond."""
        start = self.start
        size = start.population if isinstance(start, Pattern) else start.height * start.width
        return self.name == "numba" or size > _QUICKLY_MADE

    def driver(self) -> Driver:
        """Return a driver that makes the engine at its first call."""
        return Driver(
            self.make,
            slow=self.name == "numba",
            make_is_slow=self._make_is_slow,
            compilation=self.compilation,
        )

    @property
    def compilation(self) -> Compilation | None:
        """What should be compiled before the first step, or None."""
        if self.name != "numba":
            return None
        if self.topology == "plane":
            return Compilation(compile_plane)
        return Compilation(compile_rule, (self.rule,))

    def make(self) -> Engine:
        """Make the engine."""
        if isinstance(self.start, Pattern) or self.topology == "plane":
            return HashLife(self.start, self.rule, compiled=self.name == "numba")
        if self.bounds is not None and not self.bounds.is_plain:
            return Surface(self.start, self.rule, bounds=self.bounds)
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
    """Make an engine that computes generations of a grid or pattern.

    For a simulation on an event loop use :func:`simulate`, which makes the engine itself.

    Args:
        start: the first generation. A pattern with :attr:`~Pattern.bounds` becomes a grid of that
            size.
        rule: the rule or its notation; by default the pattern's own, or Conway's for a grid.
        topology: see :data:`Topology`; by default that of the pattern's bounds, the plane for a
            pattern without bounds, and a torus for a grid.
        engine: ``"bigint"``, ``"numpy"`` or ``"numba"`` for a torus or box, ``"bigint"`` for the
            other bounded fields, ``"hashlife"`` or ``"numba"`` for the plane. ``"auto"``
            takes the one that is fastest in the long run, among those that are installed.

    Raises:
        MissingRequirementError: the engine needs a package that is not installed.
        RuleError: the notation is not a rule.
        TypeError: the start is neither a grid nor a pattern, or the rule neither a rule nor a str.
        UnboundedRuleError: the rule has B0, which the plane does not allow.
        ValueError: the name of the engine or topology is unknown, the two do not go together, or
            the topology is a bounded one and the pattern has no bounds.
        PatternSizeError: a cell of the pattern is outside of its field.
    """
    return plan(start, rule, topology=topology, engine=engine).make()


def plan(
    start: Grid | Pattern,
    rule: Rule | str | None = None,
    *,
    topology: Topology | None = None,
    engine: EngineName = "auto",
) -> Plan:
    """Check the arguments and choose the engine, without importing anything slow."""
    if not isinstance(start, Grid | Pattern):
        raise TypeError(
            "the first generation must be a Grid or a Pattern, as read() and classic() return, "
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
        bounds = None
    else:
        bounds = _bounds_of(start, topology)
        if isinstance(start, Pattern):
            start = start.grid(bounds.height, bounds.width, at=start.offset)
    fitting = _fitting(bounds)
    if engine == "auto":
        engine = _fastest(start, fitting)
    elif engine not in fitting:
        where = topology if bounds is None or bounds.is_plain else f"{topology} like {bounds}"
        raise ValueError(f"on a {where} the engine is one of {fitting}, not {engine!r}")
    _check_installed(engine)
    return Plan(start, rule, topology, engine, bounds)


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ValueError(f"{what} must be one of {known}, not {name!r}")


def _bounds_of(start: Grid | Pattern, topology: Topology) -> Bounds:
    if isinstance(start, Grid):
        bounds = Bounds(topology, start.height, start.width)
    elif start.bounds is None:
        raise ValueError(
            f"{start!r} has no bounds: put it on a {topology} with pattern.inside(Bounds(…)), or "
            "make a grid of it with pattern.grid(height, width)"
        )
    elif start.bounds.topology == topology:
        return start.bounds
    else:
        bounds = Bounds(topology, start.bounds.height, start.bounds.width)
    bounds.check()
    return bounds


def _fitting(bounds: Bounds | None) -> tuple[EngineName, ...]:
    if bounds is None:
        return "hashlife", "numba"
    return ("bigint", "numpy", "numba") if bounds.is_plain else ("bigint",)


def _fastest(start: Grid | Pattern, fitting: tuple[EngineName, ...]) -> EngineName:
    if len(fitting) == 1:
        return fitting[0]
    if "hashlife" in fitting or isinstance(start, Pattern):
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
