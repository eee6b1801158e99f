"""What every engine does, whatever is inside of it."""

from __future__ import annotations

__all__ = ("Engine", "Topology")

from typing import Literal, Protocol, TypeAlias, runtime_checkable

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

    def step(self, n: int = 1, /) -> None:
        """Live ``n`` generations."""
        ...

    def snapshot(self) -> Grid:
        """Return this generation; it stays as it is when the engine goes on."""
        ...
