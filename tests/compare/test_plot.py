"""Curves as text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aconcur.compare.plot import HEIGHT, MARKS, WIDTH, plot

RISING = {"10 µs": {"a": 0.0}, "1 ms": {"a": 1.0}, "25 ms": {"a": 2.0}}
figures = st.floats(0, 1e6, allow_nan=False)


def test_a_rising_curve_goes_from_corner_to_corner() -> None:
    *drawn, axis, names, gap, legend = plot(RISING, ["a"])
    assert [line.index("o") for line in drawn] == sorted(
        (line.index("o") for line in drawn), reverse=True
    )
    assert drawn[0] == "  2 ┤" + " " * 61 + "ooo"
    assert drawn[6].startswith("  1 ┤")
    assert drawn[12].startswith("  0 ┤ooo"[:6])
    assert axis == "    └┬" + "─" * 31 + "┬" + "─" * 30 + "┬"
    assert names.split() == ["10", "µs", "1", "ms", "25", "ms"]
    assert names.index("1 ms") == axis.index("┬", 6)
    assert (gap, legend) == ("", "     o a")


def test_a_level_is_dotted_behind_the_curves() -> None:
    drawn = plot({"x": {"a": 0.0}, "y": {"a": 4.0}}, ["a"], level=2)
    assert drawn[6].count("·") >= WIDTH - 6
    assert "o" in drawn[6]
    assert "·" not in "".join(drawn[:6] + drawn[7:])


def test_a_level_above_the_curves_is_in_the_drawing() -> None:
    drawn = plot({"x": {"a": 0.1}, "y": {"a": 0.2}}, ["a"], level=1)
    assert drawn[0].startswith("  1 ┤·")


def test_the_last_of_curves_that_meet_shows() -> None:
    drawn = "".join(plot({"x": {"a": 1.0, "b": 1.0}, "y": {"a": 1.0, "b": 1.0}}, ["a", "b"])[:-1])
    assert drawn.count("+") == WIDTH
    assert "o" not in drawn


@given(st.lists(st.tuples(figures, figures), min_size=2, max_size=9))
def test_whatever_is_drawn_has_its_place(numbers: list[tuple[float, float]]) -> None:
    rows = {f"row {at}": {"a": a, "b": b} for at, (a, b) in enumerate(numbers)}
    *drawn, _, _, _, _ = plot(rows, ["a", "b"], level=1)
    assert len(drawn) == HEIGHT
    body = [re.split("[┤│]", line, maxsplit=1)[1].ljust(WIDTH) for line in drawn]
    assert all(re.search(r"[o+]", "".join(column)) for column in zip(*body, strict=True))


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="1 curves over 1 rows"):
        plot({"x": {"a": 1.0}}, ["a"])
    names = [str(n) for n in range(len(MARKS) + 1)]
    row = dict.fromkeys(names, 1.0)
    with pytest.raises(ValueError, match="7 curves over 2 rows"):
        plot({"x": row, "y": row}, names)
