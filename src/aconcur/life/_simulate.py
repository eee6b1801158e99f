"""Iterate over the generations of a simulation on an event loop."""

from __future__ import annotations

__all__ = ("Census", "Censuses", "Generation", "Simulation", "generations", "simulate")

from collections.abc import Callable
from typing import NamedTuple, Self, TypeVar, final

import anyio

from aconcur._core.validation import check_count
from aconcur.life._driver import Driver
from aconcur.life._engines.base import Engine
from aconcur.life._make_engine import EngineName, plan
from aconcur.life._model.field import Topology
from aconcur.life._model.grid import Grid
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import Rule

T = TypeVar("T")


class Generation(NamedTuple):
    """One generation of a simulation. Later generations do not change it."""

    number: int
    """How many generations it is after the first one."""
    grid: Grid
    """The cells, which are laid out at the first read."""

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self.grid.population


class Census(NamedTuple):
    """The population of one generation."""

    number: int
    """How many generations it is after the first one."""
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

    Generations are computed lazily: nothing runs between two steps of the iteration, so ``break``
    is safe and there is nothing to close. The loop is held for about a millisecond at a time;
    longer work runs in a thread if the engine releases the GIL. Only one task may iterate at a
    time.

    **Cancelled** while it computes: within 30 ms, or at the end of a single generation that takes
    longer. Finished generations are kept, and the next step of the iteration continues there. The
    first use of numba on a machine compiles for some seconds in a thread; a cancellation does not
    wait for that, but the compiler holds the GIL, and so the loop, for some milliseconds at a time,
    at worst some tenths of a second.

    Args:
        start: the first generation.
        rule: the rule or its notation; by default the pattern's own, or Conway's for a grid.
        every: yield each ``every``-th generation, at least 1.
        stop: the last generation that may be yielded, at least 0; by default the iteration is
            endless.
        topology: see :data:`Topology`; by default that of the pattern's bounds, the plane for a
            pattern without bounds, and a torus for a grid.
        engine: see :func:`make_engine`.

    Raises:
        TypeError: ``every`` or ``stop`` is not a whole number.
        ValueError: ``every`` is below 1 or ``stop`` below 0; and the errors of :func:`make_engine`,
            at the call.
        anyio.BusyResourceError: raised by a step of the iteration while another task waits for one.
    """
    _check(every, stop)
    planned = plan(start, rule, topology=topology, engine=engine)
    return Simulation(planned.driver(), every, stop)


def generations(engine: Engine, *, every: int = 1, stop: int | None = None) -> Censuses:
    """Iterate over the populations of an engine's generations; its current one is number 0.

    Like :func:`simulate`, but without a snapshot of each generation, which makes it cheaper.
    Nothing else may use the engine until the iteration ends.

    **Cancelled** while it computes: see :func:`simulate`.

    Args:
        engine: from :func:`make_engine`, or any other :class:`Engine`.
        every: yield each ``every``-th generation, at least 1.
        stop: the last generation that may be yielded, at least 0; by default the iteration is
            endless.

    Raises:
        TypeError: ``every`` or ``stop`` is not a whole number.
        ValueError: ``every`` is below 1 or ``stop`` below 0.
        anyio.BusyResourceError: raised by a step of the iteration while another task waits for one.
    """
    _check(every, stop)
    compilation = getattr(engine, "compilation", None)
    return Censuses(Driver(lambda: engine, slow=engine.nogil, compilation=compilation), every, stop)


def _check(every: int, stop: int | None) -> None:
    check_count("every", every, 1)
    if stop is not None:
        check_count("stop", stop, 0)


class _Stream:
    """The iteration that both streams share: which generation is next, and when to stop."""

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

    async def _advance(self, look: Callable[[Engine], T]) -> tuple[int, T]:
        """Advance to the next generation to yield; return its number and a look at it."""
        number = self._next
        if self._stop is not None and number > self._stop:
            raise StopAsyncIteration
        return number, await self._advance_to(number, look)

    async def _advance_to(self, number: int, look: Callable[[Engine], T]) -> T:
        if self._busy:
            raise anyio.BusyResourceError("iterating over")
        self._busy = True
        try:
            seen = await self._driver.advance_to(number, look)
        finally:
            self._busy = False
        self._next = number + self._every
        return seen


@final
class Simulation(_Stream):
    """An async iterator over generations. Made by :func:`simulate`."""

    __slots__ = ()

    @property
    def number(self) -> int:
        """The number of the current generation: how many have been computed after the first."""
        return self._driver.number

    async def advance_to(self, number: int) -> Generation:
        """Advance to a generation of any later number, and return it; or return the current one.

        The iteration then continues from there: the next step yields generation ``number + every``.

        **Cancelled**: within 30 ms; :attr:`number` says how far it came, and the next call or step
        continues from there.

        Args:
            number: the generation; not below :attr:`number`, and not above ``stop``.

        Raises:
            TypeError: the number is not a whole number.
            ValueError: the generation is over, or after the last one.
            anyio.BusyResourceError: another task waits for a generation.
        """
        check_count("number", number, 0)
        if number < self.number:
            raise ValueError(
                f"generation {number} is over: the simulation is at generation {self.number}"
            )
        if self._stop is not None and number > self._stop:
            raise ValueError(f"generation {number} is after the last one, {self._stop}")
        return Generation(number, await self._advance_to(number, _snapshot))

    async def __anext__(self) -> Generation:
        """Advance to the next generation to yield."""
        return Generation(*await self._advance(_snapshot))


@final
class Censuses(_Stream):
    """An async iterator over populations. Made by :func:`generations`."""

    __slots__ = ()

    async def __anext__(self) -> Census:
        """Advance to the next generation to yield."""
        return Census(*await self._advance(_population))


def _snapshot(engine: Engine) -> Grid:
    return engine.snapshot()


def _population(engine: Engine) -> int:
    return engine.population
