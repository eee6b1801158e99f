"""A refused argument is named with its value and with what it must be."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from aconcur._core.validation import check_count, check_number, check_seconds, check_text

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "least", "unit", "message"),
    [
        (0, 1, "", "workers must be at least 1, not 0"),
        (-1, 0, " items", "workers must be at least 0 items, not -1"),
        (1.0, 1, "", "workers must be a whole number, not 1.0"),
        ("3", 1, "", "workers must be a whole number, not '3'"),
        (None, 1, "", "workers must be a whole number, not None"),
    ],
)
def test_count_that_is_refused(value: Any, least: int, unit: str, message: str) -> None:  # noqa: ANN401
    with pytest.raises((TypeError, ValueError)) as raised:
        check_count("workers", value, least, unit)
    assert str(raised.value) == message
    assert isinstance(raised.value, ValueError) == isinstance(value, int)


@pytest.mark.parametrize(
    ("value", "above", "message"),
    [
        (-0.5, False, "rate must be at least 0 a second, not -0.5"),
        (NAN, False, "rate must be at least 0 a second, not nan"),
        (0, True, "rate must be more than 0 a second, not 0"),
        (NAN, True, "rate must be more than 0 a second, not nan"),
        ("1", False, "rate must be a number of a second, not '1'"),
        (1j, False, "rate must be a number of a second, not 1j"),
    ],
)
def test_number_that_is_refused(value: Any, above: bool, message: str) -> None:  # noqa: ANN401
    with pytest.raises((TypeError, ValueError)) as raised:
        check_number("rate", value, above=above, unit=" a second")
    assert str(raised.value) == message


def test_seconds_that_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^grace must be at least 0 seconds, not -1$"):
        check_seconds("grace", -1)
    with pytest.raises(TypeError, match=r"^grace must be a number of seconds or None, not 'x'$"):
        check_seconds("grace", "x", also=" or None")


def test_text_that_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^name must be a str, not b'x'$"):
        check_text("name", b"x")
    with pytest.raises(TypeError, match=r"^name must be a str or None, not 3$"):
        check_text("name", 3, also=" or None")
    with pytest.raises(TypeError, match=r"^name must be a str, not None$"):
        check_text("name", None)


def test_arguments_that_are_accepted() -> None:
    check_count("workers", True, 1)
    check_count("workers", 7, 7)
    check_number("rate", 0)
    check_number("rate", float("inf"), above=True)
    check_number("rate", Fraction(1, 3), above=True)
    check_text("name", "")
    check_text("name", None, also=" or None")
