"""What may be claimed from raw rounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aconcur.compare.figures import (
    Spread,
    bytes_text,
    number_text,
    ratios,
    seconds_text,
    speed_text,
    spread,
)

seconds = st.floats(1e-6, 1e3)


def test_a_speed_is_the_median_of_the_ratios_of_rounds() -> None:
    # The machine slows down in the middle: the rounds' ratios do not care.
    assert ratios([1.0, 10.0, 1.0], [0.5, 5.0, 0.5]) == Spread(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("low", "middle", "high", "said"),
    [
        (1.1, 1.25, 1.4, "1.25 ×"),
        (0.4, 0.5, 0.6, "0.50 ×"),
        (0.9, 1.3, 1.4, "no clear difference"),
        (1.0, 1.3, 1.4, "no clear difference"),
        (12.0, 12.34, 13.0, "12.3 ×"),
    ],
)
def test_a_middle_half_that_straddles_one_is_no_difference(
    low: float, middle: float, high: float, said: str
) -> None:
    assert speed_text(Spread(low, middle, high)) == said


@given(st.lists(seconds, min_size=1, max_size=9))
def test_a_version_is_never_faster_than_itself(times: list[float]) -> None:
    assert speed_text(ratios(times, times)) == "no clear difference"


@given(st.lists(seconds, min_size=1, max_size=9))
def test_the_middle_half_is_in_order_and_within_the_rounds(numbers: list[float]) -> None:
    found = spread(numbers)
    slack = 1e-9 * max(numbers)
    assert min(numbers) - slack <= found.low <= found.middle + slack
    assert found.middle <= found.high + slack
    assert found.high <= max(numbers) + slack


@pytest.mark.parametrize(
    ("number", "said"),
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
def test_numbers_are_short(number: float, said: str) -> None:
    assert number_text(number) == said


def test_times_and_memory_name_their_unit() -> None:
    assert [seconds_text(s) for s in (2.5, 0.0123, 4.5e-5)] == ["2.5 s", "12.3 ms", "45 µs"]
    assert bytes_text(3 << 19) == "1.5 MiB"
