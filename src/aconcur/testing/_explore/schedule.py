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

Where timers are a choice, the last candidate lets time pass to the next one. No order takes it.

A schedule is written as its order and its deviations, ``fifo,4=1`` for "the loop's own order, but
at choice point 4 not the first candidate but the one after it": so a short token names a long run.
The order is left out for ``"run-on"``.
"""

from __future__ import annotations

__all__ = (
    "CALLBACK",
    "ORDERS",
    "TIMER",
    "Deviations",
    "Order",
    "Policy",
    "Schedule",
    "read_token",
    "write_token",
)

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from aconcur.testing._explore.errors import Livelock, NotReproducibleError

Order: TypeAlias = Literal["fifo", "reversed", "run-on"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)

Deviations: TypeAlias = Mapping[int, int]
"""Choice point → number taken there. All other points take 0."""

Policy: TypeAlias = Callable[[Sequence[Any]], int]
"""Returns a number, given the candidates: the choice of the run-on order first."""


class _Candidate:
    """What may go next and is no task."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


CALLBACK: Final = _Candidate("callback")
"""The candidate that stands for the oldest pending callback: callbacks keep their own order."""
TIMER: Final = _Candidate("timer")
"""The candidate that lets time pass to the next timer. It comes last; no order takes it first."""

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
    ) -> None:
        self._forced, self._policy, self._lenient = forced, policy, lenient
        self._expected = expected
        self._last: object = None
        self._streak = 0
        self._batch: list[object] = []
        self.order: Order = order
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

    def begin_again(self) -> None:
        """Forget the run so far."""
        self._last, self._streak, self._batch = None, 0, []
        self.steps, self.at = 0, None
        self.taken, self.trail, self.widths = [], [], []

    def pick(self, ready: Sequence[object]) -> int:
        """Return the index of the candidate that goes on.

        Raises:
            Livelock: the run has taken all the steps that it may take.
            NotReproducibleError: this is not the run that the deviations were made for.
        """
        self.steps += 1
        if self.steps > self.max_steps:
            raise Livelock(self.max_steps)
        if self.order == "reversed":
            left = [one for one in self._batch if one in ready]
            self._batch = left or [one for one in ready if one is not TIMER]
        if len(ready) == 1:
            index, self.at = 0, None
        else:
            index = self._choose(ready)
        chosen = ready[index]
        if chosen in self._batch:
            self._batch.remove(chosen)
        if chosen is self._last:
            self._streak += 1
        elif chosen is not CALLBACK and chosen is not TIMER:
            self._last, self._streak = chosen, 0
        elif self._streak >= self.fair:
            self._streak = 0  # a callback had its turn: one that repeats itself gets no second
        return index

    def _choose(self, ready: Sequence[object]) -> int:
        point, width = len(self.taken), len(ready)
        candidates: list[int] = []
        if self._policy is None:
            number = self._forced.get(point, 0)
            if number >= width and self._lenient:
                number = 0
        else:
            candidates = self._in_order(ready)
            number = self._policy([ready[index] for index in candidates])
        if number >= width or (point == self._expected[0] and width != self._expected[1]):
            raise NotReproducibleError(point, max(number + 1, self._expected[1]), width)
        if number:
            index = (candidates or self._in_order(ready))[number]
        else:
            index = candidates[0] if candidates else self._first(ready)
        self.at = point
        self.taken.append(number)
        self.widths.append(width)
        return index

    def _first(self, ready: Sequence[object]) -> int:
        """Return the index that the order takes."""
        if self.order == "fifo":
            return 0
        if self.order == "reversed":
            return ready.index(self._batch[-1])
        if self.callback_first and CALLBACK in ready:
            return ready.index(CALLBACK)
        if self._last in ready and self._streak < self.fair:
            return ready.index(self._last)
        for index, one in enumerate(ready):
            if one is not self._last and one is not CALLBACK and one is not TIMER:
                return index
        return ready.index(CALLBACK if CALLBACK in ready else self._last)

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


def write_token(order: Order, deviations: Deviations) -> str:
    """Return a schedule as text: ``1=1,9=2``, ``fifo,4=1``, ``fifo`` or ``base``."""
    parts = [f"{point}={number}" for point, number in sorted(deviations.items())]
    if order != "run-on":
        parts.insert(0, order)
    return ",".join(parts) or _PLAIN


def read_token(token: str) -> tuple[Order, dict[int, int]]:
    """Return the order and the deviations that a token names.

    Raises:
        ValueError: the text is not a token.
    """
    pair = r"\d{1,9}=[1-9]\d{0,8}"
    order: Order = "run-on"
    rest = token
    for other in ORDERS[:2]:
        if token == other or token.startswith(f"{other},"):
            order, rest = other, token[len(other) + 1 :]
    if token in (_PLAIN, order):
        return order, {}
    if not re.fullmatch(f"{pair}(,{pair})*", rest, re.ASCII):
        shown = token if len(token) <= 60 else f"{token[:57]}..."
        raise ValueError(
            f"token must be {_PLAIN!r}, 'fifo', '1=1,9=2' or 'fifo,4=1', as a failure prints it, "
            f"not {shown!r}"
        )
    pairs = [part.partition("=") for part in rest.split(",")]
    return order, {int(point): int(number) for point, _, number in pairs}
