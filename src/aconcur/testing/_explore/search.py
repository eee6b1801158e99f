"""Which schedules to run, and in which order.

Rule: this file knows choices and nothing of what is run under them.
"""

from __future__ import annotations

__all__ = ("Run", "bounded", "kind_of", "pct", "shrink", "uniform")

from array import array
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Any, TypeAlias

from aconcur.testing._explore.schedule import Choices, Deviations, Policy

Run: TypeAlias = Callable[[Choices], BaseException | None]
Result: TypeAlias = tuple[Choices, BaseException | None]


def bounded(run: Run, bound: int, max_steps: int) -> Iterator[Result]:
    """Run every schedule of at most ``bound`` deviations once, the fewest first.

    Each schedule that has run is the parent of those that agree with it up to its last deviation
    and deviate once more behind it: so none comes twice.
    """
    result = _run(run, Choices({}, max_steps=max_steps))
    yield result
    parents: list[tuple[dict[int, int], array[int]]] = [({}, array("I", result[0].widths))]
    for level in range(1, bound + 1):
        if not parents:
            return
        children: list[tuple[dict[int, int], array[int]]] = []
        for deviations, widths in parents:
            after = max(deviations, default=-1) + 1
            for point in range(after, len(widths)):
                for number in range(1, widths[point]):
                    forced = {**deviations, point: number}
                    expected = point, widths[point]
                    choices = Choices(forced, max_steps=max_steps, expected=expected)
                    result = _run(run, choices)
                    yield result
                    if level < bound and len(choices.widths) > point + 1:
                        children.append((forced, array("I", choices.widths)))
        parents = children


def uniform(run: Run, seed: int, max_steps: int) -> Iterator[Result]:
    """Run schedules without end, each choice by lot."""
    random = Random(seed)

    def policy(ready: Any) -> int:
        return random.randrange(len(ready))

    while True:
        yield _run(run, Choices({}, max_steps=max_steps, policy=policy))


def pct(run: Run, seed: int, depth: int, max_steps: int) -> Iterator[Result]:
    """Run schedules without end, by probabilistic concurrency testing.

    Each task gets a priority by lot and the highest runs; at ``depth - 1`` points by lot the one
    that runs falls to the lowest. A bug that needs d ordered events is found with a probability
    of at least 1/(n·k^(d-1)) a run, n tasks and k choice points (Burckhardt et al., ASPLOS 2010).
    """
    random, horizon = Random(seed), 50
    while True:
        choices = Choices({}, max_steps=max_steps, policy=_priorities(random, depth, horizon))
        yield _run(run, choices)
        horizon = max(10, len(choices.taken))


def _priorities(random: Random, depth: int, horizon: int) -> Policy:
    priority: dict[Any, float] = {}
    lower, now = count(-1, -1), count()
    changes = set(random.sample(range(max(horizon, depth)), depth - 1))

    def policy(ready: Any) -> int:
        for one in ready:
            priority.setdefault(one, random.random())
        if next(now) in changes:
            priority[max(ready, key=priority.__getitem__)] = next(lower)
        return max(range(len(ready)), key=lambda index: priority[ready[index]])

    return policy


def _run(run: Run, choices: Choices) -> Result:
    return choices, run(choices)


def shrink(run: Run, found: Deviations, error: BaseException, max_steps: int) -> dict[int, int]:
    """Return fewer deviations that end in the same kind of error, none of which can be left out."""
    best = dict(found)
    kind = kind_of(error)

    def fails(deviations: dict[int, int]) -> bool:
        again = run(Choices(deviations, max_steps=max_steps))
        return again is not None and kind_of(again) is kind

    smaller = True
    while smaller:
        smaller = False
        for point in sorted(best):
            without = {p: n for p, n in best.items() if p != point}
            if fails(without):
                best, smaller = without, True
                break
    for point, number in best.items():
        if number > 1 and fails(best | {point: 1}):
            best[point] = 1
    return best


def kind_of(error: BaseException) -> type[BaseException]:
    """Return the class of an error, or of the only one in a group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return type(error)
