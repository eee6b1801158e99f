"""Which schedules are run, in which order, how often, and how small a failure becomes."""

from __future__ import annotations

from itertools import islice, permutations
from math import comb, factorial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aconcur.testing import Deadlock
from aconcur.testing._explore.schedule import Schedule
from aconcur.testing._explore.search import Bounded, Run, kind_of, pct, shrink, uniform

ALL = 10**6  # a bound that leaves nothing out


def tasks(*steps: int, seen: list[str] | None = None) -> Run:
    """Return a run of tasks a, b, … with so many steps each, that notes its schedule."""

    def run(schedule: Schedule) -> None:
        left = {"abcdef"[number]: count for number, count in enumerate(steps)}
        order = ""
        while ready := [name for name, count in left.items() if count]:
            name = ready[schedule.pick(ready)]
            left[name] -= 1
            order += name
        if seen is not None:
            seen.append(order)

    return run


def count(run: Run, bound: int) -> int:
    return sum(1 for _ in Bounded(run, bound, ["run-on"], 1000))


@pytest.mark.parametrize(
    ("steps", "schedules"),
    [
        ((2, 2), comb(4, 2)),
        ((3, 3), comb(6, 3)),
        ((1, 1, 1), factorial(3)),
        ((2, 2, 2), factorial(6) // 8),
        ((5,), 1),
    ],
)
def test_every_schedule_is_run(steps: tuple[int, ...], schedules: int) -> None:
    seen: list[str] = []
    assert count(tasks(*steps, seen=seen), ALL) == schedules
    assert len(set(seen)) == schedules


def test_a_bound_beyond_the_last_schedule_costs_nothing() -> None:
    assert count(tasks(2, 2), 10**15) == 6


def test_a_bound_is_counted_by_hand() -> None:
    # aabb; then baab? no: from b on, b runs on. bbaa, abba; then baab, abab; then baba.
    seen: list[str] = []
    assert [count(tasks(2, 2), bound) for bound in range(5)] == [1, 3, 5, 6, 6]
    count(tasks(2, 2, seen=seen), 3)
    assert seen == ["aabb", "bbaa", "abba", "baab", "abab", "baba"]


@settings(deadline=None)  # a busy machine is not a fault
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 4))
def test_each_schedule_comes_once_and_the_fewest_deviations_first(
    steps: list[int], bound: int
) -> None:
    found = [schedule for schedule, _, _ in Bounded(tasks(*steps), bound, ["run-on"], 1000)]
    taken = [tuple(schedule.taken) for schedule in found]
    deviations = [len(schedule.deviations) for schedule in found]
    assert len(set(taken)) == len(taken)
    assert deviations == sorted(deviations)
    assert max(deviations) <= bound


def test_the_smaller_bound_is_the_beginning_of_the_larger() -> None:
    small, large = (
        [c.taken for c, _, _ in Bounded(tasks(3, 2, 1), b, ["run-on"], 1000)] for b in (1, 3)
    )
    assert large[: len(small)] == small


def test_lots_cover_everything_and_are_reproducible() -> None:
    seen: list[str] = []
    run = tasks(1, 1, 1, seen=seen)
    first = [schedule.taken for schedule, _, _ in islice(uniform(run, 7, 100), 100)]
    again = [schedule.taken for schedule, _, _ in islice(uniform(run, 7, 100), 100)]
    other = [schedule.taken for schedule, _, _ in islice(uniform(run, 8, 100), 100)]
    assert first == again != other
    assert set(seen) == {"".join(order) for order in permutations("abc")}


def test_priorities_are_reproducible_and_change_seldom() -> None:
    first = [schedule.taken for schedule, _, _ in islice(pct(tasks(4, 4, 4), 7, 3, 100), 100)]
    again = [schedule.taken for schedule, _, _ in islice(pct(tasks(4, 4, 4), 7, 3, 100), 100)]
    other = [schedule.taken for schedule, _, _ in islice(pct(tasks(4, 4, 4), 8, 3, 100), 100)]
    assert first == again != other
    seen: list[str] = []
    for _ in islice(pct(tasks(4, 4, 4, seen=seen), 7, 1, 100), 50):
        pass
    # Without a change of priorities one task after the other runs to its end.
    assert set(seen) == {"".join(4 * name for name in order) for order in permutations("abc")}


def failing_with(*needed: tuple[int, int]) -> Run:
    def run(schedule: Schedule) -> BaseException | None:
        while len(schedule.taken) < 10:
            schedule.pick(tuple("abcd"))
        found = schedule.deviations
        return LookupError() if all(found.get(p, 0) >= n for p, n in needed) else None

    return run


def shrunk(run: Run, found: dict[int, int], error: BaseException) -> dict[int, int]:
    schedule = Schedule(found, max_steps=100)
    run(schedule)
    return shrink(run, schedule, error, seconds=10, progress=lambda _: None)


def test_a_failure_is_shrunk_to_what_it_needs() -> None:
    found = {1: 3, 2: 1, 5: 3, 8: 1}
    assert shrunk(failing_with((5, 2)), found, LookupError()) == {5: 3}
    assert shrunk(failing_with((1, 1), (8, 1)), found, LookupError()) == {1: 1, 8: 1}
    assert shrunk(failing_with(), found, LookupError()) == {}


def test_another_error_is_another_failure() -> None:
    def run(schedule: Schedule) -> BaseException | None:
        schedule.pick(tuple("ab"))
        return LookupError() if schedule.deviations else ValueError()

    assert shrunk(run, {0: 1}, LookupError()) == {0: 1}


def test_the_kind_of_a_group_of_one_is_that_of_its_error() -> None:
    inner = ExceptionGroup("", [Deadlock()])
    assert kind_of(ExceptionGroup("", [inner])) is Deadlock
    assert kind_of(ExceptionGroup("", [inner, ValueError()])) is ExceptionGroup
    assert kind_of(KeyError()) is KeyError
