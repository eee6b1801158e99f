"""When to cancel, and what came of it: shared by the drivers of both back-ends.

Rule: nothing here knows a loop. A driver tells of each step; the answer is a call of ``cancel``.
"""

from __future__ import annotations

__all__ = ("CancelPlan", "How", "Outcome", "Steps")

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

from aconcur.testing._locations import Place

How: TypeAlias = Literal["scope", "native"]


@final
@dataclass(frozen=True, slots=True)
class CancelPlan:
    """When one run is cancelled. Moment 2k-1 is before the k-th step, 2k is after it."""

    how: How
    at: int = 0
    """The moment, from 1; 0: never."""
    again: int = 0
    """How many points later a second cancel comes; 0: none."""


@final
@dataclass(slots=True)
class Outcome:
    """What one run came to. The driver fills it in."""

    points: int = 0
    fired: int = 0
    place: Place | None = None
    """Where the task stood whose step the cancel came before or after."""
    error: BaseException | None = None
    swallowed: bool = False
    tasks: list[str] = field(default_factory=list[str])
    waiting: list[str] | None = None
    """Where each task waited when a hung run was abandoned; None: it has ended."""
    unwound: float = 0.0
    """Seconds from the first cancel until the scenario ended."""


@final
class Steps:
    """Counts the points of a run and cancels at those of its plan.

    Args:
        plan: when to cancel.
        cancel: called with 0 the first time, 1 the second.
    """

    def __init__(self, plan: CancelPlan, cancel: Callable[[int], None]) -> None:
        self._shot, self._cancel = plan, cancel
        self._fired_at = self._ended_at = 0.0
        self._over = False
        self.outcome: Outcome = Outcome()

    @property
    def over(self) -> bool:
        """Whether the scenario has ended."""
        return self._over

    def end(self) -> None:
        """Take note that the scenario has ended: no later moment counts."""
        self._over, self._ended_at = True, time.perf_counter()
        if self.outcome.fired:
            self.outcome.unwound = self._ended_at - self._fired_at

    def cancel_point(self, place: Callable[[], Place | None]) -> None:
        """Count one moment; ``place`` tells where the stepping task stands."""
        if self._over:
            return
        seen, plan = self.outcome, self._shot
        seen.points += 1
        if seen.fired and not seen.place:
            seen.place = place()  # cancelled before it had begun, it comes to its first await
        if plan.at and seen.points == plan.at:
            seen.place = place()
            self._fire()
        elif plan.again and seen.fired and seen.points == plan.at + plan.again:
            self._fire()

    def _fire(self) -> None:
        seen = self.outcome
        seen.fired += 1
        if seen.fired == 1:
            self._fired_at = time.perf_counter()
        self._cancel(seen.fired - 1)

    @property
    def ended_in_the_due_step(self) -> bool:
        """Whether all that the scenario waited for had happened when the cancel came."""
        return self._shot.at % 2 == 1 and self.outcome.points == self._shot.at
