"""Find when a simulation begins to repeat itself."""

from __future__ import annotations

__all__ = ("Cycle", "cycle")

from functools import partial
from hashlib import blake2b
from typing import NamedTuple

from aconcur._core.validation import check_count
from aconcur.life._engines.base import Engine
from aconcur.life._make_engine import EngineName, plan
from aconcur.life._model.field import Topology
from aconcur.life._model.grid import Grid
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import Rule


class Cycle(NamedTuple):
    """When a sequence of generations begins to repeat, and after how many."""

    transient: int
    """The number of generations before the first one that occurs again."""
    period: int
    """The number of generations after which it occurs again."""
    dy: int
    """By how many rows it has moved down by then, on the plane; else 0."""
    dx: int
    """By how many columns it has moved right by then, on the plane; else 0."""


async def cycle(
    start: Grid | Pattern,
    rule: Rule | str | None = None,
    *,
    limit: int | None = None,
    topology: Topology | None = None,
    engine: EngineName = "auto",
) -> Cycle | None:
    """Find when a grid or pattern begins to repeat itself, and with what period.

    In a bounded field every pattern repeats, though perhaps late. On the plane a pattern that grows
    or falls apart for ever never repeats. On the plane a pattern that has only moved counts as the
    same. Keeps about 200 bytes for each generation, and holds the loop for about a millisecond at a
    time, as :func:`simulate` does.

    **Cancelled**: within 30 ms; nothing is kept.

    Args:
        start: the first generation.
        rule: the rule or its notation; by default the pattern's own, or Conway's for a grid.
        limit: the last generation to examine; by default there is no limit.
        topology: see :func:`simulate`.
        engine: see :func:`simulate`.

    Returns:
        The cycle, or None if no generation up to the limit occurs twice.

    Raises:
        TypeError: the limit is not a whole number.
        ValueError: the limit is below 0; and the errors of :func:`make_engine`.
    """
    if limit is not None:
        check_count("limit", limit, 0)
    planned = plan(start, rule, topology=topology, engine=engine)
    driver = planned.driver()
    seen: dict[bytes, tuple[int, int, int]] = {}
    number = 0
    look = partial(_identify, planned.topology)
    while limit is None or number <= limit:
        state, top, left = await driver.advance_to(number, look)
        before, before_top, before_left = seen.setdefault(state, (number, top, left))
        if before < number:
            return Cycle(before, number - before, top - before_top, left - before_left)
        number += 1
    return None


def _identify(topology: Topology, engine: Engine) -> tuple[bytes, int, int]:
    """Return a digest of the current generation, and its place on the plane."""
    # 128 bits: a chance collision among 10⁹ generations has a probability of about 10⁻²¹.
    state = blake2b(engine.state(), digest_size=16).digest()
    if topology != "plane":
        return state, 0, 0
    grid = engine.snapshot()
    return state, grid.top, grid.left
