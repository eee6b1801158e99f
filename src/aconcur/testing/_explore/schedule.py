"""One run's decisions: which of the ready tasks goes on.

Rule: this file knows neither an event loop nor a thread. A driver shows it who is ready, in the
order in which they became so, and it points at one.

A *choice point* is a moment at which more than one is ready. Number 0 there is the base order: who
ran last runs on while it can, else whoever has been ready for longest. Any other number is a
*deviation*. A schedule is written as its deviations alone, ``4=1`` for "at choice point 4, not the
base choice but the one after it": so a short token names a long run.
"""

from __future__ import annotations

__all__ = ("BASE", "Choices", "Deviations", "Policy", "read_token", "write_token")

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from aconcur.testing._explore.errors import Livelock, NotReproducibleError

Deviations: TypeAlias = Mapping[int, int]
"""Choice point → number taken there. All other points take 0."""

Policy: TypeAlias = Callable[[Sequence[Any]], int]
"""Returns a number, shown who is ready: the base choice first, then the others."""

BASE: Final = "base"
"""The token of the schedule without deviations."""

# How many steps in a row the base order gives to one task while others are ready: without an end,
# a task that polls would starve those that it waits for. A guess that no known bug contradicts.
FAIR: Final = 20


class Choices:
    """Decides one run: by its policy if it has one, else by its deviations."""

    __slots__ = (
        "_expected",
        "_forced",
        "_last",
        "_policy",
        "_streak",
        "at",
        "fair",
        "max_steps",
        "steps",
        "taken",
        "widths",
    )

    def __init__(
        self,
        forced: Deviations,
        *,
        max_steps: int,
        policy: Policy | None = None,
        expected: tuple[int, int] = (-1, 0),
    ) -> None:
        self._forced, self._policy = forced, policy
        self._expected = expected
        self._last: object = None
        self._streak = 0
        self.fair: int = FAIR
        """Steps in a row that the base order gives to one while others are ready."""
        self.max_steps: int = max_steps
        self.steps: int = 0
        """Steps so far, at choice points or not."""
        self.at: int | None = None
        """The choice point of the last step; None where only one was ready."""
        self.taken: list[int] = []
        """The number taken at each choice point."""
        self.widths: list[int] = []
        """How many were ready at each choice point."""

    def pick(self, ready: Sequence[object]) -> int:
        """Return the index of the one that goes on.

        Raises:
            Livelock: the run has had all the steps that it may have.
            NotReproducibleError: this is not the run that the deviations were made for.
        """
        self.steps += 1
        if self.steps > self.max_steps:
            raise Livelock(self.max_steps)
        if len(ready) == 1:
            index, self.at = 0, None
        else:
            index = self._choose(ready)
        chosen = ready[index]
        if chosen is self._last:
            self._streak += 1
        else:
            self._last, self._streak = chosen, 0
        return index

    def _choose(self, ready: Sequence[object]) -> int:
        point = len(self.taken)
        if self._goes_on(ready, point):
            number, index = 0, ready.index(self._last)
        else:
            number, index = self._decide(ready, point)
        self.at = point
        self.taken.append(number)
        self.widths.append(len(ready))
        return index

    def _decide(self, ready: Sequence[object], point: int) -> tuple[int, int]:
        """Return the number taken, and the index that it stands for."""
        width = len(ready)
        order = list(range(width))
        for index, one in enumerate(ready):
            if one is self._last:
                order.insert(0 if self._streak < self.fair else width, order.pop(index))
                break
        if self._policy is None:
            number = self._forced.get(point, 0)
        else:
            number = self._policy([ready[index] for index in order])
        if number >= width or (point == self._expected[0] and width != self._expected[1]):
            raise NotReproducibleError(point, max(number + 1, self._expected[1]), width)
        return number, order[number]

    def _goes_on(self, ready: Sequence[object], point: int) -> bool:
        """Return whether who ran last runs on: by far the most common choice of threads."""
        return (
            self._policy is None
            and point not in self._forced
            and point != self._expected[0]
            and self._streak < self.fair
            and self._last is not None
            and self._last in ready
        )

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
        """Whether the last step was taken against the base order."""
        return self.at is not None and self.taken[self.at] > 0

    @property
    def deviations(self) -> dict[int, int]:
        """What was taken against the base order."""
        return {point: number for point, number in enumerate(self.taken) if number}


def write_token(deviations: Deviations) -> str:
    """Return the schedule as text: ``1=1,9=2``, or ``base``."""
    return ",".join(f"{point}={number}" for point, number in sorted(deviations.items())) or BASE


def read_token(token: str) -> dict[int, int]:
    """Return the deviations that a token names.

    Raises:
        ValueError: the text is no token.
    """
    if token == BASE:
        return {}
    pair = r"\d{1,9}=[1-9]\d{0,8}"
    if not re.fullmatch(f"{pair}(,{pair})*", token, re.ASCII):
        shown = token if len(token) <= 60 else f"{token[:57]}..."
        raise ValueError(
            f"token must be {BASE!r} or like '1=1,9=2', as a failure prints it, not {shown!r}"
        )
    pairs = [part.partition("=") for part in token.split(",")]
    return {int(point): int(number) for point, _, number in pairs}
