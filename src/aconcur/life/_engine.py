"""What every engine does, whatever is inside of it."""

from __future__ import annotations

__all__ = ("Engine", "PausingEngine", "Topology", "check_count")

from typing import Literal, Protocol, TypeAlias, runtime_checkable

from aconcur._core import validation
from aconcur.life._grid import Grid

Topology: TypeAlias = Literal["torus", "box", "plane"]
"""Where the cells live: edges that meet, dead cells all around, or no edge at all."""


@runtime_checkable
class Engine(Protocol):
    """Cells that live by one rule. An engine belongs to one user at a time."""

    @property
    def nogil(self) -> bool:
        """Whether :meth:`step` lets other threads run."""
        ...

    @property
    def population(self) -> int:
        """The number of live cells."""
        ...

    def state(self) -> bytes:
        """Return the cells in some form of the engine's own: equal generations have equal ones.

        On the plane, a pattern that has moved is equal.
        """
        ...

    def step(self, n: int = 1, /) -> None:
        """Live ``n`` generations.

        Raises:
            TypeError: ``n`` is no whole number.
            ValueError: ``n`` is below 0.
        """
        ...

    def snapshot(self) -> Grid:
        """Return this generation; it stays as it is when the engine goes on."""
        ...


@runtime_checkable
class PausingEngine(Engine, Protocol):
    """An engine whose steps can take long and be broken off."""

    def step_within(self, n: int, seconds: float, /) -> int:
        """Live up to ``n`` generations, for about so many seconds; return how many were lived.

        None may have been lived: the next call with the same ``n`` goes on where this one was.
        """
        ...


def check_count(n: int) -> None:
    """Refuse what is no number of generations, or would have to be lived backwards.

    Raises:
        TypeError: ``n`` is no whole number.
        ValueError: ``n`` is below 0.
    """
    validation.check_count("generations to live", n, 0)
