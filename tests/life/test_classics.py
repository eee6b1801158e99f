"""Known facts about known patterns, on tori that are large enough."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise

import pytest

from aconcur.life import (
    Pattern,
    UnknownPatternError,
    classic,
    classics,
    make_engine,
    write_rle,
)

OSCILLATORS = {
    "blinker": 2,
    "toad": 2,
    "beacon": 2,
    "pulsar": 3,
    "figure-eight": 8,
    "galaxy": 8,
    "pentadecathlon": 15,
    "queen-bee-shuttle": 30,
}
# Period, and how far down and right it goes in that time.
SPACESHIPS = {
    "glider": (4, 1, 1),
    "lwss": (4, 0, -2),
    "mwss": (4, 0, -2),
    "hwss": (4, 0, -2),
    "copperhead": (10, -1, 0),
    "weekender": (7, -2, 0),
    "loafer": (7, 0, -1),
}
GUNS = {"gosper-glider-gun": 30, "simkin-glider-gun": 120}
# How long they live, and how many cells are left; some of the latter fly on for ever.
METHUSELAHS = {"r-pentomino": (1103, 116), "diehard": (130, 0)}
LONG_LIVED = {"acorn": (5206, 633)}
# How many switch engines they leave behind.
GROWING = {"switch-engine": 1, "growing-line": 2, "growing-square": 1}
ELSEWHERE = {"lidka", "replicator"}


def generations(pattern: Pattern, *numbers: int, size: int = 64) -> list[Pattern]:
    engine = make_engine(pattern.grid(size, size), pattern.rule, engine="bigint")
    found, lived = [], 0
    for number in numbers:
        engine.step(number - lived)
        lived = number
        found.append(Pattern.from_grid(engine.snapshot(), pattern.rule))
    return found


def test_every_pattern_has_its_facts() -> None:
    told = {*OSCILLATORS, *SPACESHIPS, *GUNS, *METHUSELAHS, *LONG_LIVED, *GROWING, *ELSEWHERE}
    assert told == set(classics())


@pytest.mark.parametrize("name", classics())
def test_each_is_a_tidy_file_with_words(name: str) -> None:
    pattern = classic(name)
    assert pattern.offset == (0, 0)
    assert pattern.name
    assert pattern.comments
    assert len(write_rle(pattern)) < 1000


@pytest.mark.parametrize(("name", "period"), OSCILLATORS.items())
def test_oscillators_return_after_their_period_and_not_before(name: str, period: int) -> None:
    first, *others, last = generations(classic(name), *range(period + 1))
    assert last == first
    assert first not in others
    assert f"period {period}." in classic(name).comments[0]


@pytest.mark.parametrize(("name", "travel"), SPACESHIPS.items())
def test_spaceships_are_elsewhere_after_their_period(
    name: str, travel: tuple[int, int, int]
) -> None:
    period, down, right = travel
    first, *others, last = generations(classic(name), *range(period + 1))
    y, x = first.offset
    assert last == first.at(y + down, x + right)
    assert first.at(0, 0) not in [other.at(0, 0) for other in others]
    assert f"period {period}:" in classic(name).comments[0]


@pytest.mark.parametrize(("name", "period"), GUNS.items())
def test_guns_add_a_glider_each_period(name: str, period: int) -> None:
    later = (2 * period, 3 * period, 4 * period, 5 * period)
    populations = [each.population for each in generations(classic(name), *later, size=256)]
    assert [b - a for a, b in pairwise(populations)] == [5, 5, 5]


@pytest.mark.parametrize(("name", "end"), METHUSELAHS.items())
def test_methuselahs_settle_when_they_are_said_to(name: str, end: tuple[int, int]) -> None:
    number, left = end
    before, at, later = generations(classic(name), number - 1, number, number + 12, size=640)
    assert at.population == later.population == left
    assert before.population != left or left == 116


@pytest.mark.parametrize(("name", "end"), LONG_LIVED.items())
def test_the_longest_lived_settle_on_the_plane(name: str, end: tuple[int, int]) -> None:
    number, left = end
    engine = make_engine(classic(name))
    engine.step(number)
    assert engine.population == left
    engine.step(2)
    assert engine.population == left


@pytest.mark.skipif(find_spec("numba") is None, reason="without numba this takes a minute")
def test_lidka_settles_into_two_numbers_of_cells() -> None:
    engine = make_engine(classic("lidka"))
    engine.step(29_053)
    populations = []
    for _ in range(5):
        populations.append(engine.population)
        engine.step(1)
    assert populations == [1628, 1625, 1625, 1623, 1625]
    engine.step(10_000)
    assert engine.population == 1623


@pytest.mark.parametrize("name", sorted(GROWING))
def test_some_grow_for_ever_by_eight_blocks_in_288_generations(name: str) -> None:
    engine = make_engine(classic(name))
    engine.step(288 * 30)
    populations = [engine.population]
    for _ in range(3):
        engine.step(288)
        populations.append(engine.population)
    grown = [b - a for a, b in pairwise(populations)]
    assert grown == [32 * GROWING[name]] * 3


def test_the_replicator_makes_two_of_itself() -> None:
    first, last = generations(classic("replicator"), 0, 12)
    assert last.population == 2 * first.population
    y, x = first.offset
    for down, right in ((-2, -2), (2, 2)):
        assert set(first.at(y + down, x + right).cells()) <= set(last.cells())


@pytest.mark.parametrize("name", ["Gosper glider gun", "GosperGliderGun", "gosper_glider_gun"])
def test_names_are_read_as_they_are_written(name: str) -> None:
    assert classic(name).population == 36


def test_an_unknown_name_brings_the_like() -> None:
    with pytest.raises(UnknownPatternError, match=r"no pattern 'glidr'; known: glider"):
        classic("glidr")
    with pytest.raises(UnknownPatternError, match=r"known: acorn, beacon"):
        classic("???")
    with pytest.raises(UnknownPatternError):
        classic("../_grid.py")
