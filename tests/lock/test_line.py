"""The line by itself: pure, so any order of calls can be tried."""

from __future__ import annotations

from threading import current_thread

from hypothesis import given
from hypothesis import strategies as st

from aconcur.lock._line import Line, Turn


def turns(number: int) -> list[Turn]:
    return [Turn(current_thread(), None) for _ in range(number)]


def test_a_free_value_is_taken_and_a_held_one_is_not() -> None:
    line, (first, second) = Line(0), turns(2)
    assert line.take(first)
    assert not line.take(second)
    assert line.holder is first
    assert line.leave(first) is None
    assert line.take(second)
    assert line.taken == 2


def test_who_joins_a_line_that_has_become_free_has_its_turn_at_once() -> None:
    line, (first,) = Line(0), turns(1)
    assert line.join(first)
    assert line.holder is first
    assert not line.waiting


def test_leaving_twice_takes_nothing_from_the_next() -> None:
    line, (first, second, third) = Line(0), turns(3)
    line.take(first)
    line.join(second)
    line.join(third)
    assert line.leave(first) is second
    assert line.leave(first) is None
    assert line.holder is second


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_the_first_to_come_is_the_first_to_hold(steps: list[tuple[bool, int]]) -> None:
    """Against the plainest model there is: a list whose head holds the value."""
    line, model, everybody, entries = Line(0), [], turns(10), 0
    for enters, number in steps:
        turn = everybody[number]
        if enters and turn not in model:
            model.append(turn)
            assert (line.take(turn) or line.join(turn)) == (len(model) == 1)
            entries += len(model) == 1
        elif not enters:
            handed_over = model[:1] == [turn] and len(model) > 1
            if turn in model:
                model.remove(turn)
            assert line.leave(turn) is (model[0] if handed_over else None)
            entries += handed_over
        assert line.holder is (model[0] if model else None)
        assert list(line.waiting) == model[1:]
    assert line.taken == entries
