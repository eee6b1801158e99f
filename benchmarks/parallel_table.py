"""The tables of benchmarks.parallel: rivals on one input, and the goals."""

from __future__ import annotations

__all__ = ("Goal", "Prepared", "Table")

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmarks.rival_process import Rival

Prepared: TypeAlias = Callable[[], Sequence[Any]]
"""Makes the input of a round."""


@dataclass(frozen=True, slots=True)
class Goal:
    """The goal for our figure."""

    text: str
    """The goal in words."""
    peer: str | None = None
    """The line to beat by so many times; "" is the best of the peers; None: no peer's."""
    least: float = 0.0
    """The ratio to that line, at least."""
    most: float = math.inf
    """Without a peer: the figure, at most."""
    less: str | None = None
    """A line whose figure is subtracted from ours first."""
    own: str | None = None
    """Our line; None: the first of the table."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rivals on one input."""

    title: str
    unit: str
    rivals: dict[str, Rival]
    goals: tuple[Goal, ...] = ()
