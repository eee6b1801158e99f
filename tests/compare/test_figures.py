"""When a difference is claimed, and how figures are written."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aconcur.compare.figures import (
    ERROR_RATE,
    MIN_ROUNDS,
    Spread,
    bytes_text,
    interval,
    interval_text,
    number_text,
    p99,
    ratios,
    seconds_text,
    speed_text,
    spread,
)

seconds = st.floats(1e-6, 1e3)
SIMULATED = 4000
# Standard deviations of the rounds' ratios, as the records of this repository showed them.
NOISE = (0.01, 0.03, 0.05, 0.07, 0.08, 0.1, 0.13, 0.18, 0.25, 0.28)


def claimed_share(rounds: int, factor: float, draw: random.Random) -> float:
    """Simulate comparisons with a version that is `factor` times as fast; return the claims."""
    claims = 0
    for _ in range(SIMULATED):
        noise = draw.choice(NOISE) / math.sqrt(2)
        base = [draw.lognormvariate(0, noise) for _ in range(rounds)]
        other = [draw.lognormvariate(0, noise) / factor for _ in range(rounds)]
        claims += speed_text(ratios(base, other)).endswith("×")
    return claims / SIMULATED


@pytest.mark.parametrize("rounds", [2, 3, 5, 7, 9, 10, 11, 15, 25])
def test_identical_versions_get_a_figure_in_five_percent_of_cases_at_most(rounds: int) -> None:
    # 4000 draws of a rate of 3.9 % lie below 4.9 % but for one seed in a thousand.
    assert claimed_share(rounds, 1.0, random.Random(rounds)) <= ERROR_RATE


def test_a_version_that_is_a_fifth_faster_is_found_in_four_of_five_cases() -> None:
    assert claimed_share(MIN_ROUNDS, 1.2, random.Random(1)) >= 0.8


@given(st.lists(seconds, min_size=1, max_size=MIN_ROUNDS - 1))
def test_of_too_few_rounds_nothing_is_claimed(times: list[float]) -> None:
    speed = ratios([t * 1000 for t in times], times)
    assert speed_text(speed) == "no clear difference"
    assert interval_text(speed) == ""


def test_with_nine_rounds_eight_must_agree() -> None:
    assert speed_text(ratios([2.0] * 8 + [1.0], [1.0] * 8 + [2.0])) == "2 ×"
    assert speed_text(ratios([2.0] * 7 + [1.0] * 2, [1.0] * 7 + [2.0] * 2)) == "no clear difference"
    assert interval([*range(1, 10)]) == Spread(2, 5, 8)


def test_a_round_in_which_the_machine_is_slow_changes_no_ratio() -> None:
    found = ratios([1.0, 10.0, 1.0] * 3, [0.5, 5.0, 0.5] * 3)
    assert found == Spread(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("low", "middle", "high", "text"),
    [
        (1.1, 1.25, 1.4, "1.25 ×"),
        (0.4, 0.5, 0.6, "0.50 ×"),
        (0.9, 1.3, 1.4, "no clear difference"),
        (1.0, 1.3, 1.4, "no clear difference"),
        (12.0, 12.34, 13.0, "12.3 ×"),
    ],
)
def test_an_interval_that_contains_one_is_no_difference(
    low: float, middle: float, high: float, text: str
) -> None:
    assert speed_text(Spread(low, middle, high)) == text


@given(st.lists(seconds, min_size=MIN_ROUNDS, max_size=20))
def test_a_version_is_never_faster_than_itself(times: list[float]) -> None:
    assert speed_text(ratios(times, times)) == "no clear difference"


@given(st.lists(seconds, min_size=1, max_size=9))
def test_quartiles_are_in_order_and_within_the_rounds(numbers: list[float]) -> None:
    found = spread(numbers)
    slack = 1e-9 * max(numbers)
    assert min(numbers) - slack <= found.low <= found.middle + slack
    assert found.middle <= found.high + slack
    assert found.high <= max(numbers) + slack


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (3.0, "3"),
        (1234567.0, "1 234 567"),
        (123.4, "123"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.0346, "0.035"),
        (math.nan, "–"),
    ],
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert number_text(number) == text


def test_a_p99_needs_a_thousand_numbers() -> None:
    assert math.isnan(p99(range(999)))
    assert p99([*reversed(range(1000))]) == 990


def test_times_and_memory_name_their_unit() -> None:
    assert [seconds_text(s) for s in (2.5, 0.0123, 4.5e-5)] == ["2.5 s", "12.3 ms", "45 µs"]
    assert bytes_text(3 << 19) == "1.5 MiB"
