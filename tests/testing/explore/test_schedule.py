"""Who goes on, and how a schedule is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aconcur.testing import Livelock, NotReproducibleError
from aconcur.testing._explore.schedule import CALLBACK, FAIR, Schedule, read_token, write_token


def choose(schedule: Schedule, *turns: str) -> str:
    """Return who goes on at each turn, given who is ready."""
    return "".join(ready[schedule.pick(tuple(ready))] for ready in turns)


def test_the_base_order_runs_on_and_else_takes_who_waits_longest() -> None:
    schedule = Schedule({}, max_steps=100)
    assert choose(schedule, "ab", "bca", "bca", "bc", "cb") == "aaabb"
    assert schedule.deviations == {}


def test_the_base_order_passes_on_after_a_while() -> None:
    taken = choose(Schedule({}, max_steps=100), *["ab"] * (FAIR + 3))
    assert taken == "a" * (FAIR + 1) + "bb"


def test_a_turn_without_rival_is_no_choice_point() -> None:
    schedule = Schedule({1: 1}, max_steps=100)
    assert choose(schedule, "a", "ab", "b", "bc") == "aabc"
    assert (schedule.taken, schedule.widths, schedule.steps) == ([0, 1], [2, 2], 4)
    choose(schedule, "a")
    assert schedule.at is None


def test_a_deviation_names_a_rival_in_the_order_of_readiness() -> None:
    assert choose(Schedule({1: 1}, max_steps=9), "abc", "abc") == "ab"
    assert choose(Schedule({1: 2}, max_steps=9), "abc", "abc") == "ac"
    assert choose(Schedule({1: 2}, max_steps=9), "bca", "cab") == "ba"


def test_a_policy_is_shown_the_base_choice_first() -> None:
    shown: list[str] = []

    def policy(ready: object) -> int:
        shown.append("".join(ready))  # type: ignore[arg-type]
        return 1

    assert choose(Schedule({}, max_steps=9, policy=policy), "abc", "abc") == "ba"
    assert shown == ["abc", "bac"]


def test_the_base_order_takes_a_callback_first_only_if_it_is_due() -> None:
    for due, index in ((True, 1), (False, 0)):
        schedule = Schedule({}, max_steps=9)
        schedule.callback_first = due
        assert schedule.pick(("a", CALLBACK)) == index


def test_more_steps_than_allowed_are_a_livelock() -> None:
    schedule = Schedule({}, max_steps=2)
    with pytest.raises(Livelock, match=r"no end after 2 steps: raise max_steps="):
        choose(schedule, "a", "a", "a")


@pytest.mark.parametrize("expected", [(-1, 0), (0, 3)])
def test_a_run_that_is_not_the_one_before_is_named(expected: tuple[int, int]) -> None:
    schedule = Schedule({0: 2}, max_steps=9, expected=expected)
    with pytest.raises(NotReproducibleError, match=r"choice point 0 had 3 .* and has 2 now"):
        choose(schedule, "ab")


def test_a_run_that_ends_too_soon_is_named() -> None:
    schedule = Schedule({1: 1}, max_steps=9)
    choose(schedule, "ab")
    error = schedule.missed()
    assert error is not None
    assert error.point == 1
    choose(schedule, "ab")
    assert schedule.missed() is None
    assert Schedule({}, max_steps=9).missed() is None


deviations = st.dictionaries(st.integers(0, 10**6), st.integers(1, 99))


@given(deviations)
def test_a_token_is_read_as_it_was_written(found: dict[int, int]) -> None:
    assert read_token(write_token("run-on", found)) == ("run-on", found, "timeouts")
    assert read_token(write_token("fifo", found)) == ("fifo", found, "timeouts")


def test_a_token_is_short_and_sorted() -> None:
    assert write_token("run-on", {9: 2, 1: 1}) == "1=1,9=2"
    assert write_token("run-on", {}) == "base"
    assert write_token("fifo", {4: 1}) == "fifo,4=1"
    assert write_token("fifo", {}) == "fifo"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "fifo,",
        "fifo,base",
        "fifo1=1",
        "1",
        "1=0",
        "1=1,",
        "a=1",
        "-1=1",
        "1=1;2=1",
        "\u0661=1",
        "Base",
    ],
)
def test_what_is_no_token_is_refused_with_a_remedy(token: str) -> None:
    with pytest.raises(ValueError, match="token must be 'base', 'fifo', '1=1,9=2'") as caught:
        read_token(token)
    assert repr(token) in str(caught.value)


@pytest.mark.parametrize("token", ["9" * 5000 + "=1", "1=" + "9" * 5000])
def test_a_token_of_very_many_digits_is_refused_in_short(token: str) -> None:
    with pytest.raises(ValueError, match="token must be 'base', 'fifo', '1=1,9=2'") as caught:
        read_token(token)
    assert len(str(caught.value)) < 200
