"""Generations to iterate over, on an event loop that has other things to do."""

from __future__ import annotations

__all__ = ("Census", "Censuses", "Generation", "Simulation", "generations", "simulate")

from typing import NamedTuple, Self, final

import anyio

from aconcur._core.validation import check_count
from aconcur.life._engine import Engine, Topology
from aconcur.life._engines import EngineName, plan
from aconcur.life._grid import Grid
from aconcur.life._pace import Driver
from aconcur.life._pattern import Pattern
from aconcur.life._rule import Rule


class Generation(NamedTuple):
    """One generation of a simulation; it stays as it is."""

    number: int
    """How many generations after the first one."""
    grid: Grid
    """Its cells, laid out when somebody first looks at them."""

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self.grid.population


class Census(NamedTuple):
    """What is counted of one generation."""

    number: int
    """How many generations after the first one."""
    population: int
    """The number of live cells."""


def simulate(
    start: Grid | Pattern,
    rule: Rule | str | None = None,
    *,
    every: int = 1,
    stop: int | None = None,
    topology: Topology | None = None,
    engine: EngineName = "auto",
) -> Simulation:
    """Iterate over the generations of a grid or pattern, from the first one, which is number 0.

    ::

        async for generation in simulate(Grid.random(256, 256), "B36/S23", every=10, stop=1000):
            print(generation.number, generation.population)

    Nothing runs ahead: what is not asked for is not lived. To ``break`` is safe; there is nothing
    to close. The loop is held for about a millisecond at a time, and engines that let go of the GIL
    work in a thread wherever that takes longer. One consumer at a time: a second one that asks
    meanwhile gets :class:`anyio.BusyResourceError`.

    **Cancelled** while it waits for a generation: within 30 ms; the iterator can be asked again and
    goes on where it was. Only a single generation that takes an engine longer than that is waited
    for. What numba compiles, for some seconds once on a machine, goes on beside to its end, and
    holds the GIL, and so the loop, for some milliseconds at a time, at worst some tenths of a
    second.

    Args:
        start: the first generation.
        rule: which cells live next; the pattern's own by default, or Conway's.
        every: how many generations from one that is yielded to the next, at least 1.
        stop: the last number that may be yielded; no end by default.
        topology: ``"torus"``, ``"box"`` or ``"plane"``; by default what the pattern is meant for,
            which is mostly the plane, and the torus for a grid.
        engine: as :func:`make_engine` takes it.

    Raises:
        TypeError: ``every`` or ``stop`` is no whole number.
        ValueError: ``every`` is below 1 or ``stop`` below 0; and as :func:`make_engine` raises,
            at once.
    """
    _check(every, stop)
    found = plan(start, rule, topology=topology, engine=engine)
    return Simulation(
        Driver(found.make, slow=found.takes_long, compilation=found.compilation), every, stop
    )


def generations(engine: Engine, *, every: int = 1, stop: int | None = None) -> Censuses:
    """Iterate over the populations of an engine's generations; what it has now is number 0.

    As :func:`simulate`, but nothing is kept of a generation, so that it costs less. The engine is
    the iterator's own until its end, and goes on from where it is.

    Args:
        engine: from :func:`make_engine`, or your own.
        every: how many generations from one that is yielded to the next, at least 1.
        stop: the last number that may be yielded; no end by default.

    Raises:
        TypeError: ``every`` or ``stop`` is no whole number.
        ValueError: ``every`` is below 1 or ``stop`` below 0.
    """
    _check(every, stop)
    compilation = getattr(engine, "compilation", None)
    return Censuses(Driver(lambda: engine, slow=engine.nogil, compilation=compilation), every, stop)


def _check(every: int, stop: int | None) -> None:
    check_count("every", every, 1)
    if stop is not None:
        check_count("stop", stop, 0)


class _Stream:
    """What is common: when to live on, and when to stop."""

    __slots__ = ("_busy", "_driver", "_every", "_next", "_stop")

    def __init__(self, driver: Driver, every: int, stop: int | None) -> None:
        self._driver, self._every, self._stop = driver, every, stop
        self._next = 0
        self._busy = False

    def __repr__(self) -> str:
        end = "" if self._stop is None else f" of {self._stop}"
        return f"<{type(self).__name__}: generation {self._driver.number}{end}>"

    def __aiter__(self) -> Self:
        return self

    async def _live(self) -> Engine:
        """Live until the next generation that is due, and return the engine."""
        if self._busy:
            raise anyio.BusyResourceError("iterating over")
        if self._stop is not None and self._next > self._stop:
            raise StopAsyncIteration
        self._busy = True
        try:
            engine = await self._driver.live_until(self._next)
        finally:
            self._busy = False
        self._next += self._every
        return engine


@final
class Simulation(_Stream):
    """The generations to come. Made by :func:`simulate`."""

    __slots__ = ()

    async def __anext__(self) -> Generation:
        """Live until the next generation that is due."""
        number = self._next
        return Generation(number, (await self._live()).snapshot())


@final
class Censuses(_Stream):
    """The populations to come. Made by :func:`generations`."""

    __slots__ = ()

    async def __anext__(self) -> Census:
        """Live until the next generation that is due."""
        number = self._next
        return Census(number, (await self._live()).population)
