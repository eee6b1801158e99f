"""How long until everything repeats."""

from __future__ import annotations

__all__ = ("Cycle", "cycle")

from hashlib import blake2b
from typing import NamedTuple

from aconcur._core.validation import check_count
from aconcur.life._engine import Engine, Topology
from aconcur.life._engines import EngineName, plan
from aconcur.life._grid import Grid
from aconcur.life._pace import Driver
from aconcur.life._pattern import Pattern
from aconcur.life._rule import Rule


class Cycle(NamedTuple):
    """From which generation on the same ones come back."""

    transient: int
    """The number of generations before the first one that comes back."""
    period: int
    """After how many generations it does."""
    dy: int
    """How many rows down it has moved by then, on the plane; else 0."""
    dx: int
    """How many columns to the right it has moved by then, on the plane; else 0."""


async def cycle(
    start: Grid | Pattern,
    rule: Rule | str | None = None,
    *,
    limit: int | None = None,
    topology: Topology | None = None,
    engine: EngineName = "auto",
) -> Cycle | None:
    """Find when a grid or pattern begins to repeat itself, and how often.

    On a torus and in a box everything repeats, if late; on the plane a pattern that grows for ever
    or comes apart never does. About 200 bytes are kept of each generation. Holds the loop for about
    a millisecond at a time, as :func:`simulate`.

    **Cancelled**: within 30 ms; nothing is kept.

    Args:
        start: the first generation.
        rule: which cells live next; the pattern's own by default, or Conway's.
        limit: the last generation to look at; no end by default.
        topology: as :func:`simulate` takes it.
        engine: as :func:`simulate` takes it.

    Returns:
        The cycle, or None if no generation up to the limit is one that was there before.

    Raises:
        TypeError: the limit is no whole number.
        ValueError: the limit is below 0; and as :func:`make_engine` raises.
    """
    if limit is not None:
        check_count("limit", limit, 0)
    found = plan(start, rule, topology=topology, engine=engine)
    driver = Driver(found.make, slow=found.takes_long, compilation=found.compilation)
    lives = await driver.engine()
    seen: dict[bytes, tuple[int, int, int]] = {}
    while limit is None or driver.number <= limit:
        # 128 bits: no two of 10⁹ generations share them by chance.
        state = blake2b(lives.state(), digest_size=16).digest()
        top, left = _corner(lives, found.topology)
        before = seen.setdefault(state, (driver.number, top, left))
        if before[0] < driver.number:
            return Cycle(before[0], driver.number - before[0], top - before[1], left - before[2])
        lives = await driver.live_until(driver.number + 1)
    return None


def _corner(engine: Engine, topology: Topology) -> tuple[int, int]:
    if topology != "plane":
        return 0, 0
    grid = engine.snapshot()
    return grid.top, grid.left
