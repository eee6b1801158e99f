"""When to cancel, and what came of it: shared by the drivers of both back-ends.

Rule: nothing here knows a loop. A driver tells of each step; the answer is a call of ``cancel``.
"""

from __future__ import annotations

__all__ = ("CancelPlan", "How", "Outcome", "Steps")

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, Literal, TypeAlias, final

from aconcur.testing._locations import Place

# Real seconds of a wait that is worth being cancelled while it goes on: the shortest delay.
_NOTABLE: Final = 0.001

How: TypeAlias = Literal["scope", "native"]


@final
@dataclass(frozen=True, slots=True)
class CancelPlan:
    """When one run is cancelled. Cancel point 2k-1 is before the k-th step, 2k is after it."""

    how: How
    at: int = 0
    """The cancel point, from 1; 0: never."""
    again: int = 0
    """How many points later a second cancel comes; 0: none."""
    delay: float = 0.0
    """Real seconds after that point, while the wait that began there goes on."""


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
    """Seconds of the loop's time from the first cancel until the scenario ended."""
    waits: dict[int, float] = field(default_factory=dict[int, float])
    """Real seconds from a cancel point after a step until the next point, where it took time."""
    after_error: str = ""
    """What ``after()`` raised, or that it did not end."""


@final
class Steps:
    """Counts the points of a run and cancels at those of its plan.

    Args:
        plan: when to cancel.
        cancel: called with 0 the first time, 1 the second.
        later: calls a function after a number of real seconds.
        now: the time of the loop.
    """

    def __init__(
        self,
        plan: CancelPlan,
        cancel: Callable[[int], None],
        *,
        later: Callable[[float, Callable[[], None]], object],
        now: Callable[[], float],
    ) -> None:
        self._plan, self._cancel = plan, cancel
        self._later, self._now = later, now
        self._last = 0.0
        self._fired_after = 0
        self._fired_at = self._ended_at = 0.0
        self._over = False
        self.outcome: Outcome = Outcome()

    @property
    def over(self) -> bool:
        """Whether the scenario has ended."""
        return self._over

    def end(self) -> None:
        """Note that the scenario has ended: no later point counts."""
        self._over, self._ended_at = True, self._now()
        if self.outcome.fired:
            self.outcome.unwound = self._ended_at - self._fired_at

    def cancel_point(self, place: Callable[[], Place | None]) -> None:
        """Count one cancel point; ``place`` tells where the stepping task stands."""
        if self._over:
            return
        seen, plan = self.outcome, self._plan
        seen.points += 1
        now = perf_counter()
        if seen.points % 2 and self._last and now - self._last >= _NOTABLE:
            seen.waits[seen.points - 1] = now - self._last
        self._last = now
        if seen.fired and not seen.place:
            seen.place = place()  # cancelled before it had begun, it comes to its first await
        if plan.at and seen.points == plan.at:
            seen.place = place()
            if plan.delay:
                self._later(plan.delay, self._fire_late)
            else:
                self._fire()
        elif plan.again and seen.fired and seen.points == plan.at + plan.again:
            self._fire()

    def _fire_late(self) -> None:
        if not self._over:
            self._fire()

    def _fire(self) -> None:
        seen = self.outcome
        seen.fired += 1
        self._fired_after = seen.points
        if seen.fired == 1:
            self._fired_at = self._now()
        self._cancel(seen.fired - 1)

    @property
    def ended_in_the_due_step(self) -> bool:
        """Whether all that the scenario waited for had happened when the cancel came."""
        if self._plan.delay:
            return self.outcome.points <= self._fired_after + 1
        return self._plan.at % 2 == 1 and self.outcome.points == self._plan.at
