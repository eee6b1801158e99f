"""Which schedules are run, and in which order.

Rule: this module knows schedules and nothing of what is run under them.

Three sources of schedules:

- :class:`Bounded` runs every schedule with at most n deviations from one of its orders, for
  n = 0, 1, 2, 3 …: the systematic part, of which the report can say what is complete.
- :func:`uniform` and :func:`pct` draw schedules at random. They reach far from the orders at once,
  which the systematic part does only after many thousands of schedules.
- :func:`mixed` alternates between the systematic part and both random ones: whichever suits the
  bug finds it, at the price of running the others beside it.

A failing schedule is then made smaller by :func:`shrink`.
"""

from __future__ import annotations

__all__ = ("Bounded", "Result", "Run", "kind_of", "mixed", "pct", "shrink", "uniform")

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random
from time import perf_counter
from typing import Any, Final, NamedTuple, TypeAlias

from aconcur.testing._explore.schedule import (
    FAIR,
    TIMER,
    Deviations,
    Order,
    Policy,
    Schedule,
    Timers,
)

Run: TypeAlias = Callable[[Schedule], BaseException | None]

# How often a random schedule lets a timer strike where it may. A guess: a run of many steps should
# see few of its timeouts.
_STRIKES: Final = 1 / 16
_WIDEST: Final = 255  # candidates at a choice point of which each is tried
# Runs that shrink one failure. Delta debugging needs about 2·n for n deviations that matter.
_SHRINK_RUNS: Final = 2_000


class Result(NamedTuple):
    """A schedule that has run, and how it ended."""

    schedule: Schedule
    error: BaseException | None
    new: bool = True
    """False for a schedule that has run before, as a deviation from another order."""


class Bounded:
    """Runs every schedule with few deviations from one of the orders, the fewest first.

    The schedules of one order form a tree. Each schedule that has run is the parent of those that
    agree with it up to its last deviation and deviate once more after it: so each comes once. A
    schedule that lies in the trees of several orders is run in each but is new only once.

    The last of the orders is the base order. The others, which a loop takes by itself, are run
    first but one level behind it: to deviate from them finds less for the same effort.

    Invariant: :attr:`completed` is n only if each sequence of steps has been run that departs at
    most n times from the base order, or at most n - 1 times (for n = 0: never) from another one.
    """

    def __init__(
        self,
        run: Run,
        bound: int | None,
        orders: Sequence[Order],
        max_steps: int,
        timers: Timers = "timeouts",
    ) -> None:
        self._run, self._bound, self._max_steps = run, bound, max_steps
        self._timers: Timers = timers
        self._orders = orders
        self._seen: set[int] = set()
        self._trees: dict[Order, list[tuple[dict[int, int], bytes]]] = {}
        self.completed: int | None = None
        """The highest number of deviations of which every schedule has been run."""
        self.exhausted: bool = False
        """Whether every schedule has been run: none has more deviations than those that were."""

    def __iter__(self) -> Iterator[Result]:
        *own, base = self._orders
        for order in self._orders:
            result = self._once({}, order)
            yield result
            self._trees[order] = [({}, _widths(result.schedule))]
            if not result.schedule.widths:
                self.completed, self.exhausted = self._bound or 0, True
                return
        self.completed = 0
        for level in count(1):
            if self._bound is not None and level > self._bound:
                return
            yield from self._next_level(base)
            if not self._trees[base]:
                # The tree of one order holds every schedule.
                self.completed, self.exhausted = max(level, self._bound or 0), True
                return
            for order in own if level > 1 else ():
                yield from self._next_level(order)
            self.completed = level

    def _next_level(self, order: Order) -> Iterator[Result]:
        children: list[tuple[dict[int, int], bytes]] = []
        for deviations, widths in self._trees[order]:
            for forced, expected in _children(deviations, widths):
                result = self._once(forced, order, expected)
                yield result
                if len(result.schedule.widths) > expected[0] + 1:
                    children.append((forced, _widths(result.schedule)))
        self._trees[order] = children

    def _once(
        self, forced: dict[int, int], order: Order, expected: tuple[int, int] = (-1, 0)
    ) -> Result:
        schedule = Schedule(
            forced,
            max_steps=self._max_steps,
            order=order,
            expected=expected,
            timers=self._timers,
        )
        error = self._run(schedule)
        if len(self._orders) == 1:
            return Result(schedule, error)
        key = hash(tuple(schedule.trail))
        new = key not in self._seen
        self._seen.add(key)
        return Result(schedule, error, new)


def _widths(schedule: Schedule) -> bytes:
    return bytes([min(width, _WIDEST) for width in schedule.widths])


def _children(
    deviations: dict[int, int], widths: bytes
) -> Iterator[tuple[dict[int, int], tuple[int, int]]]:
    """Yield the deviations of each child, with what is expected at the last of them."""
    for point in range(max(deviations, default=-1) + 1, len(widths)):
        for number in range(1, widths[point]):
            yield {**deviations, point: number}, (point, widths[point])


def mixed(
    bounded: Bounded,
    run: Run,
    seed: int,
    depth: int,
    max_steps: int,
    timers: Timers = "timeouts",
) -> Iterator[Result]:
    """Run at most one deviation systematically, then the rest and random schedules in turn.

    Ends when the systematic part has run every schedule.
    """
    systematic = iter(bounded)
    drawn = (
        result
        for pair in zip(
            uniform(run, seed, max_steps, timers),
            pct(run, seed, depth, max_steps, timers),
            strict=True,
        )
        for result in pair
    )
    for result in systematic:
        yield result
        if (bounded.completed or 0) >= 1:
            yield next(drawn)


def uniform(run: Run, seed: int, max_steps: int, timers: Timers = "timeouts") -> Iterator[Result]:
    """Run schedules without end, each choice among what is ready uniform at random."""
    random = Random(seed)

    def policy(ready: Sequence[Any]) -> int:
        return int(random.random() * len(ready))

    while True:
        yield _drawn(run, max_steps, _with_timers(random, policy), timers)


def _with_timers(random: Random, policy: Policy) -> Policy:
    """Return a policy that lets timers strike now and then, and asks ``policy`` otherwise."""

    def choose(ready: Sequence[Any]) -> int:
        if ready[-1] is not TIMER:
            return policy(ready)
        if random.random() < _STRIKES:
            return len(ready) - 1
        return policy(ready[:-1]) if len(ready) > 2 else 0

    return choose


def pct(
    run: Run, seed: int, depth: int, max_steps: int, timers: Timers = "timeouts"
) -> Iterator[Result]:
    """Run schedules without end, by probabilistic concurrency testing.

    Each task gets a random priority and the highest runs; at ``depth - 1`` random points the task
    that runs falls to the lowest. A bug that needs d ordered events is found with a probability
    of at least 1/(n·k^(d-1)) a run, n tasks and k choice points (Burckhardt et al., ASPLOS 2010).

    A task that has run many steps in a row falls to the lowest, too: a polling task would
    otherwise starve those that it waits for, and correct code would seem not to end.
    """
    random, horizon = Random(seed), 50
    while True:
        policy = _with_timers(random, _priorities(random, depth, horizon))
        result = _drawn(run, max_steps, policy, timers)
        yield result
        horizon = max(10, len(result.schedule.taken))


def _priorities(random: Random, depth: int, horizon: int) -> Policy:
    priority: dict[Any, float] = {}
    lower, now = count(-1, -1), count()
    changes = set(random.sample(range(max(horizon, depth)), depth - 1))
    last: Any = None
    streak = 0

    def policy(ready: Sequence[Any]) -> int:
        nonlocal last, streak
        for one in ready:
            priority.setdefault(one, random.random())
        highest = max(ready, key=priority.__getitem__)
        streak = streak + 1 if highest is last else 0
        last = highest
        if next(now) in changes or streak >= FAIR:
            priority[highest] = next(lower)
            streak = 0
        return max(range(len(ready)), key=lambda index: priority[ready[index]])

    return policy


def _drawn(run: Run, max_steps: int, policy: Policy, timers: Timers) -> Result:
    schedule = Schedule({}, max_steps=max_steps, policy=policy, timers=timers)
    return Result(schedule, run(schedule))


def shrink(
    run: Run,
    found: Schedule,
    error: BaseException,
    *,
    seconds: float,
    progress: Callable[[int], None],
) -> dict[int, int]:
    """Return fewer deviations that end in the same kind of error.

    Delta debugging (Zeller and Hildebrandt, 2002): leave out halves, then quarters and so on down
    to single deviations. Ends when none can be left out, after ``seconds``, after 2,000 runs, or
    at Ctrl-C; the best so far is returned.

    Args:
        run: runs a schedule.
        found: the schedule that failed.
        error: what it failed with.
        seconds: how long to go on.
        progress: called with the number of deviations that are left, each time it falls.
    """
    kind, end = kind_of(error), perf_counter() + seconds
    left = _SHRINK_RUNS

    def attempt(deviations: dict[int, int]) -> dict[int, int] | None:
        """Run; return what was really deviated if it fails alike."""
        nonlocal left
        left -= 1
        again = Schedule(
            deviations,
            max_steps=found.max_steps,
            order=found.order,
            lenient=True,
            timers=found.timers,
        )
        again.fair = found.fair
        failed = run(again)
        if failed is None or kind_of(failed) is not kind:
            return None
        return again.deviations

    def goes_on() -> bool:
        return left > 0 and perf_counter() < end

    best = found.deviations
    try:
        size = len(best)
        while size >= 1 and goes_on():
            smaller = _without_a_chunk(best, size, attempt, goes_on)
            if smaller is not None and len(smaller) < len(best):
                best = smaller
                progress(len(best))
                size = min(size, len(best))
            elif size == 1:
                break
            else:
                size = (size + 1) // 2
        for point in sorted(best):
            if best.get(point, 0) > 1 and goes_on():
                simpler = attempt({**best, point: 1})
                if simpler is not None and len(simpler) <= len(best):
                    best = simpler
    except KeyboardInterrupt:
        return best
    return best


def _without_a_chunk(
    best: Deviations,
    size: int,
    attempt: Callable[[dict[int, int]], dict[int, int] | None],
    goes_on: Callable[[], bool],
) -> dict[int, int] | None:
    """Leave out ``size`` deviations at a time, the latest first; go on with each success."""
    points = sorted(best)
    current: dict[int, int] | None = None
    end = len(points)
    while end > 0 and goes_on():
        start = max(end - size, 0)
        kept = {p: n for p, n in (current or best).items() if p not in points[start:end]}
        smaller = attempt(kept) if len(kept) < len(current or best) else None
        if smaller is not None and len(smaller) < len(current or best):
            current = smaller
            points = sorted(current)
            end = min(start, len(points))
        else:
            end = start
    return current


def kind_of(error: BaseException) -> type[BaseException]:
    """Return the class of an error, or of the only one in a group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return type(error)
