"""The wait queue by itself: it never waits, so any order of calls can be tried."""

from __future__ import annotations

from threading import current_thread

from hypothesis import given
from hypothesis import strategies as st

from aconcur.lock._wait_queue import Entry, WaitQueue


def entries(number: int) -> list[Entry]:
    return [Entry(current_thread(), None) for _ in range(number)]


def test_a_free_value_is_taken_and_a_held_one_is_not() -> None:
    queue, (first, second) = WaitQueue(0), entries(2)
    assert queue.take(first)
    assert not queue.take(second)
    assert queue.holder is first
    assert queue.leave(first) is None
    assert queue.take(second)
    assert queue.taken == 2


def test_joining_takes_a_value_that_has_become_free() -> None:
    queue, (first,) = WaitQueue(0), entries(1)
    assert queue.join(first)
    assert queue.holder is first
    assert not queue.waiting


def test_leaving_twice_takes_nothing_from_the_next() -> None:
    queue, (first, second, third) = WaitQueue(0), entries(3)
    queue.take(first)
    queue.join(second)
    queue.join(third)
    assert queue.leave(first) is second
    assert queue.leave(first) is None
    assert queue.holder is second


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_the_first_to_come_is_the_first_to_hold(steps: list[tuple[bool, int]]) -> None:
    """Against the plainest model there is: a list whose head holds the value."""
    queue, model, everybody, taken = WaitQueue(0), [], entries(10), 0
    for enters, number in steps:
        entry = everybody[number]
        if enters and entry not in model:
            model.append(entry)
            assert (queue.take(entry) or queue.join(entry)) == (len(model) == 1)
            taken += len(model) == 1
        elif not enters:
            handed_over = model[:1] == [entry] and len(model) > 1
            if entry in model:
                model.remove(entry)
            assert queue.leave(entry) is (model[0] if handed_over else None)
            taken += handed_over
        assert queue.holder is (model[0] if model else None)
        assert list(queue.waiting) == model[1:]
    assert queue.taken == taken
