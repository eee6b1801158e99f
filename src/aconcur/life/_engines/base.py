"""The interface of all engines."""

from __future__ import annotations

__all__ = ("Engine", "PausingEngine", "check_count")

from typing import Protocol, runtime_checkable

from aconcur._core import validation
from aconcur.life._model.grid import Grid


@runtime_checkable
class Engine(Protocol):
    """One generation, and the rule to compute later ones. It belongs to one user at a time.

    Any object with these methods works with :func:`generations`.
    """

    @property
    def nogil(self) -> bool:
        """Whether :meth:`step` releases the GIL, so that other threads run meanwhile."""
        ...

    @property
    def population(self) -> int:
        """The number of live cells."""
        ...

    def state(self) -> bytes:
        """Return the cells in the engine's own form; equal generations have equal states.

        On the plane, a pattern that has only moved has the same state.
        """
        ...

    def step(self, n: int = 1, /) -> None:
        """Advance by ``n`` generations, in place.

        Raises:
            TypeError: ``n`` is not a whole number.
            ValueError: ``n`` is below 0.
        """
        ...

    def snapshot(self) -> Grid:
        """Return this generation as a value; later steps do not change it."""
        ...


@runtime_checkable
class PausingEngine(Engine, Protocol):
    """An engine that can interrupt a long computation and continue it later."""

    def step_within(self, n: int, seconds: float, /) -> int:
        """Advance by at most ``n`` generations, for about this long; return how many were done.

        The result may be 0; the next call with the same ``n`` then continues the computation.
        """
        ...


def check_count(n: int) -> None:
    """Refuse a number of generations that an engine cannot advance by.

    Raises:
        TypeError: ``n`` is not a whole number.
        ValueError: ``n`` is below 0.
    """
    validation.check_count("the number of generations", n, 0)
