"""One schedule: which of the ready tasks runs next, decision by decision.

Rule: this module knows neither an event loop nor a thread. A driver passes the candidates, in the
order in which they became ready, and :meth:`Schedule.pick` returns the index of one.

A *choice point* is a moment with more than one candidate. An *order* says which candidate a
schedule takes where nothing else is asked for; number 0 at a choice point is that one, and a higher
number is a *deviation* from the order:

- ``"fifo"``, the loop's own: the candidate that has been ready for longest. This is what asyncio
  and uvloop do, and a batch of trio's in the order in which its tasks became ready.
- ``"run-on"``, the base order: pending callbacks first, then the task that ran last while it can go
  on, else the one that has been ready for longest. Most races need few deviations from it, because
  nothing interrupts a task unless the schedule says so.
- ``"reversed"``: trio's other choice: each batch of ready tasks from its last task to its first.

A schedule is written as its order and its deviations, ``fifo,4=1`` for "the loop's own order, but
at choice point 4 not the first candidate but the one after it": so a short token names a long run.
The order is left out for ``"run-on"``. Where other timers are candidates than by default, the token
says so: ``timers=explore,4=1``.

Where something is ready, the next timer may strike all the same: the last number at a choice point
stands for it then. So it always is a deviation.
"""

from __future__ import annotations

__all__ = (
    "CALLBACK",
    "ORDERS",
    "TIMER",
    "TIMERS",
    "Deviations",
    "Order",
    "Policy",
    "Schedule",
    "Timers",
    "read_token",
    "write_token",
)

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from aconcur.testing._explore.errors import Livelock, NotReproducibleError

Order: TypeAlias = Literal["fifo", "reversed", "run-on"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)

Timers: TypeAlias = Literal["timeouts", "explore", "idle"]
"""Which timers may strike while something is ready: all but sleeps, all, or none."""
TIMERS: Final[tuple[Timers, ...]] = get_args(Timers)

Deviations: TypeAlias = Mapping[int, int]
"""Choice point → number taken there. All other points take 0."""

Policy: TypeAlias = Callable[[Sequence[Any]], int]
"""Returns a number, given the candidates: the choice of the run-on order first."""


class _Candidate:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


CALLBACK: Final = _Candidate("callback")
"""The candidate that stands for the oldest pending callback: callbacks keep their own order."""
TIMER: Final = _Candidate("timer")
"""The candidate, for policies, that stands for the next timer. It comes last."""

# The token of the run-on order without deviations.
_PLAIN: Final = "base"
# Steps in a row that the run-on order gives to one task while others are ready. Without a limit a
# task that polls would starve those that it waits for. A guess that no known bug contradicts.
FAIR: Final = 20


class Schedule:
    """Decides one run: by its policy if it has one, else by its order and deviations.

    Args:
        forced: the deviations from the order.
        max_steps: how many steps the run may take.
        order: what is taken without a deviation.
        policy: decides every choice point in place of the order and the deviations.
        expected: a choice point and its number of candidates in the run that led to this one.
        lenient: take the order's choice where a deviation names a candidate that is not there.
        timers: which timers the driver is to offer as candidates.
    """

    __slots__ = (
        "_batch",
        "_expected",
        "_forced",
        "_last",
        "_lenient",
        "_policy",
        "_streak",
        "at",
        "callback_first",
        "fair",
        "max_steps",
        "order",
        "steps",
        "taken",
        "timers",
        "trail",
        "widths",
    )

    def __init__(
        self,
        forced: Deviations,
        *,
        max_steps: int,
        order: Order = "run-on",
        policy: Policy | None = None,
        expected: tuple[int, int] = (-1, 0),
        lenient: bool = False,
        timers: Timers = "timeouts",
    ) -> None:
        self._forced, self._policy, self._lenient = forced, policy, lenient
        self._expected = expected
        self._last: object = None
        self._streak = 0
        self._batch: list[object] = []
        self.order: Order = order
        self.timers: Timers = timers
        self.fair: int = FAIR
        """Steps in a row that the run-on order gives to one task while others are ready."""
        self.callback_first: bool = True
        """Whether the run-on order takes the pending callback before any task."""
        self.max_steps: int = max_steps
        self.steps: int = 0
        """Steps so far, at choice points or not."""
        self.at: int | None = None
        """The choice point of the last step; None if it had a single candidate."""
        self.taken: list[int] = []
        """The number taken at each choice point."""
        self.trail: list[int] = []
        """Who took each step, as the driver numbers them: the same for one run under any order."""
        self.widths: list[int] = []
        """How many candidates each choice point had."""

    def pick(self, ready: Sequence[object], *, timer: bool = False) -> int:
        """Return the index of the candidate that goes on.

        Args:
            ready: who can go on, in the order in which they became ready.
            timer: whether the next timer is a candidate, too: ``len(ready)`` stands for it.

        Raises:
            Livelock: the run has taken all the steps that it may take.
            NotReproducibleError: this is not the run that the deviations were made for.
        """
        self.steps += 1
        if self.steps > self.max_steps:
            raise Livelock(self.max_steps)
        if self.order == "reversed":
            self._batch = [one for one in self._batch if one in ready] or list(ready)
        if len(ready) == 1 and not timer:
            index, self.at = 0, None
        else:
            index = self._choose(ready, timer)
            if index == len(ready):
                return index
        chosen = ready[index]
        if chosen in self._batch:
            self._batch.remove(chosen)
        if chosen is self._last:
            self._streak += 1
        elif chosen is not CALLBACK:
            self._last, self._streak = chosen, 0
        elif self._streak >= self.fair:
            self._streak = 0
        return index

    def _choose(self, ready: Sequence[object], timer: bool) -> int:
        point, width = len(self.taken), len(ready) + timer
        candidates: list[int] = []
        if self._policy is None:
            number = self._forced.get(point, 0)
            if number >= width and self._lenient:
                number = 0
        else:
            candidates = self._in_order(ready)
            offered = [ready[index] for index in candidates]
            number = self._policy([*offered, TIMER] if timer else offered)
        if number >= width or (point == self._expected[0] and width != self._expected[1]):
            raise NotReproducibleError(point, max(number + 1, self._expected[1]), width)
        if number == len(ready):
            index = number
        elif number:
            index = (candidates or self._in_order(ready))[number]
        else:
            index = candidates[0] if candidates else self._first(ready)
        self.at = point
        self.taken.append(number)
        self.widths.append(width)
        return index

    def _first(self, ready: Sequence[object]) -> int:
        """Return the index that the order takes."""
        if self.order == "fifo" or len(ready) == 1:
            return 0
        if self.order == "reversed":
            return ready.index(self._batch[-1])
        if self.callback_first and CALLBACK in ready:
            return ready.index(CALLBACK)
        if self._last in ready and self._streak < self.fair:
            return ready.index(self._last)
        for index, one in enumerate(ready):
            if one is not self._last and one is not CALLBACK:
                return index
        return ready.index(CALLBACK)

    def _in_order(self, ready: Sequence[object]) -> list[int]:
        """Return the candidates' indexes: the order's choice first, then the others as they came.

        Under the run-on order a task that has had its share of steps comes last.
        """
        indexes = list(range(len(ready)))
        if self.order == "run-on" and self._streak >= self.fair and self._last in ready:
            indexes.append(indexes.pop(ready.index(self._last)))
        first = self._first(ready)
        indexes.remove(first)
        return [first, *indexes]

    def missed(self) -> NotReproducibleError | None:
        """Return the error of a run that ended before its last deviation."""
        last = max(self._forced, default=-1)
        return (
            NotReproducibleError(last, self._forced[last] + 1, 0)
            if last >= len(self.taken)
            else None
        )

    @property
    def deviates(self) -> bool:
        """Whether the last step was a deviation."""
        return self.at is not None and self.taken[self.at] > 0

    @property
    def deviations(self) -> dict[int, int]:
        """The deviations of this run from its order."""
        return {point: number for point, number in enumerate(self.taken) if number}


def write_token(order: Order, deviations: Deviations, timers: Timers = "timeouts") -> str:
    """Return a schedule as text: ``1=1,9=2``, ``fifo,timers=idle,4=1``, ``fifo`` or ``base``."""
    parts = [f"{point}={number}" for point, number in sorted(deviations.items())]
    if timers != "timeouts":
        parts.insert(0, f"timers={timers}")
    if order != "run-on":
        parts.insert(0, order)
    return ",".join(parts) or _PLAIN


def read_token(token: str) -> tuple[Order, dict[int, int], Timers]:
    """Return what a token names: the order, the deviations and the timers that were candidates.

    Raises:
        ValueError: the text is not a token.
    """
    orders, timers = "|".join(ORDERS[:2]), "|".join(TIMERS[1:])
    pair = r"\d{1,9}=[1-9]\d{0,8}"
    found = re.fullmatch(
        rf"({orders})?,?(?:timers=({timers}))?,?({pair}(?:,{pair})*)?", token, re.ASCII
    )
    if token == _PLAIN:
        return "run-on", {}, "timeouts"
    if found is None or ",".join(filter(None, _parts(found))) != token or not token:
        shown = token if len(token) <= 60 else f"{token[:57]}..."
        raise ValueError(
            f"token must be {_PLAIN!r}, 'fifo', '1=1,9=2' or 'fifo,4=1', as a failure prints it, "
            f"not {shown!r}"
        )
    order: Any
    kind: Any
    order, kind, rest = found.groups()
    pairs = [part.partition("=") for part in rest.split(",")] if rest else []
    numbers = {int(point): int(number) for point, _, number in pairs}
    return order or "run-on", numbers, kind or "timeouts"


def _parts(found: re.Match[str]) -> tuple[str | None, ...]:
    order, kind, rest = found.groups()
    return order, kind and f"timers={kind}", rest
