from __future__ import annotations

import pytest
from hypothesis import given

from aconcur.life import (
    Bounds,
    Grid,
    Pattern,
    PatternError,
    PatternSizeError,
    Rule,
    classic,
    read_macrocell,
    write_macrocell,
)
from tests.support.patterns import UNHURRIED, patterns

GLIDER = [(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_reads_leaves_and_nodes() -> None:
    text = (
        b"[M2] (golly 4.2)\r\n#R B36/S23:T30,20\r\n#G 12\r\n#C a glider\r\n"
        b".*$..*$***$\r\n4 0 0 0 1\r\n5 2 0 0 2\r\n"
    )
    pattern = read_macrocell(text)
    # The north-west quarter's south-east one is at (-8, -8), the south-east one's at (8, 8).
    expected = {(y + at, x + at) for y, x in GLIDER for at in (-8, 8)}
    assert set(pattern.cells()) == expected
    assert pattern.rule == Rule("B36/S23")
    assert pattern.bounds == Bounds("torus", 20, 30)
    assert pattern.comments == ("a glider",)


def test_equal_squares_are_written_once() -> None:
    corners = [(64 * i, 64 * j) for i in range(9) for j in range(9)]
    pattern = Pattern([(y + top, x + left) for y, x in GLIDER for top, left in corners])
    lines = write_macrocell(pattern).splitlines()
    assert lines[:2] == ["[M2] (aconcur 0.1.0)", "#R B3/S23"]
    assert lines[2] == ".*$..*$***$"
    assert lines.count(".*$..*$***$") == 1
    assert len(lines) < 25
    assert read_macrocell("\n".join(lines)) == pattern


@UNHURRIED
@given(patterns)
def test_what_is_written_reads_back(pattern: Pattern) -> None:
    assert read_macrocell(write_macrocell(pattern)) == pattern


def test_nothing_is_a_pattern_too() -> None:
    assert write_macrocell(Pattern()).splitlines()[-1] == "4 0 0 0 0"
    assert read_macrocell("[M2]\n$\n") == Pattern()


def test_a_large_random_pattern_reads_back() -> None:
    gun = classic("gosper-glider-gun")
    cells = [(y * 17 % 900, x * 31 % 700) for y, x in gun.cells()]
    pattern = Pattern(cells * 2)
    assert read_macrocell(write_macrocell(pattern)) == pattern


def test_what_is_too_large_to_lay_out_is_refused_before_it_costs_anything() -> None:
    nodes = "\n".join(f"{level} {n} {n} {n} {n}" for n, level in enumerate(range(4, 60), 1))
    with pytest.raises(PatternSizeError, match="squares of 8 × 8 cells to lay out"):
        read_macrocell(f"[M2]\n********$\n{nodes}\n")


def test_too_many_squares_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aconcur.life._formats.macrocell._MOST_LEAVES", 10)
    with pytest.raises(PatternSizeError, match="more than 10 squares of 8 × 8 cells: write RLE"):
        write_macrocell(Pattern((n, n) for n in range(0, 900, 30)))


@pytest.mark.parametrize(
    ("text", "line", "column", "why"),
    [
        ("bo!", 1, 1, "the first line must begin with [M2]"),
        ("[M2]\n", 1, 1, "there is no node below"),
        ("[M2]\n*........$\n", 2, 1, "a leaf has 8 × 8 cells"),
        ("[M2]\n*$*$*$*$*$*$*$*$*$\n", 2, 1, "a leaf has 8 × 8 cells"),
        ("[M2]\n$\n4 0 0 1 2\n", 3, 9, "there is no node 2 above: there are 1"),
        ("[M2]\n$\n4 0 0 0 1\n5 2 1 0 0\n", 4, 5, "node 1 is of level 3, not 4"),
        ("[M2]\n1 0 0 0 1\n", 2, 1, "a node of level 1 is of a rule of more than two states"),
        ("[M2]\n$\n4 0 0 1\n", 3, 1, "'4 0 0 1' is neither a leaf"),
        ("[M2]\n63 0 0 0 0\n", 2, 1, "a node's level is 62 at most, not 63"),
        ("[M2]\n#R B9/S\n$\n", 2, 4, "rule 'B9/S' asks for 9"),
    ],
)
def test_what_is_wrong_is_named(text: str, line: int, column: int, why: str) -> None:
    with pytest.raises(PatternError) as refused:
        read_macrocell(text, source="a.mc")
    assert (refused.value.line, refused.value.column) == (line, column)
    assert why in refused.value.why


@pytest.mark.parametrize("top", [-3, 0, 5, 2**40])
def test_long_rows_cost_neither_time_nor_memory(top: int) -> None:
    rows = [(top, -(10**12), 3 * 10**12), (top + 1, 0, 1), (top + 1, 5, 10**6), (top + 9, 7, 2)]
    pattern = Pattern.from_runs(rows, name="long")
    text = write_macrocell(pattern)
    assert text.count("\n") < 400
    assert read_macrocell(text) == pattern


def test_both_ways_to_write_make_the_same_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = Pattern.from_grid(Grid.random(50, 70, seed=1)).at(-20, -30)
    plain = write_macrocell(pattern)
    monkeypatch.setattr("aconcur.life._hashlife.build._LONG_RUN", 0)
    once = write_macrocell(pattern)
    assert read_macrocell(once) == pattern
    assert once.count("\n") == plain.count("\n")
    monkeypatch.setattr("aconcur.life._formats.macrocell._MOST_LEAVES", 10)
    assert read_macrocell(once) == pattern
    monkeypatch.setattr("aconcur.life._formats.macrocell._MOST_RUNS", 10)
    with pytest.raises(PatternSizeError, match="10 is the most, where they are not in long rows"):
        read_macrocell(once)
