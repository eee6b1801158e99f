from __future__ import annotations

import pytest
from hypothesis import given

from aconcur.life import (
    Bounds,
    EngineName,
    Grid,
    Pattern,
    PatternError,
    PatternSizeError,
    Rule,
    classic,
    make_engine,
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
    # From the middle of the field, where y = 1 is the first row of the south-east quarter: the
    # north-west quarter's south-east one is at (-7, -8), the south-east one's is at (9, 8).
    expected = {(10 + y + 1 + at, 15 + x + at) for y, x in GLIDER for at in (-8, 8)}
    assert set(pattern.cells()) == expected
    assert pattern.rule == Rule("B36/S23")
    assert pattern.bounds == Bounds("torus", 20, 30)
    assert pattern.comments == ("a glider",)


def test_a_leaf_may_be_the_whole_pattern() -> None:
    # Around the origin, its first row being y = -3.
    assert sorted(read_macrocell("[M2]\n.*$..*$***$").cells()) == [
        (y - 3, x - 4) for y, x in GLIDER
    ]


def test_equal_squares_are_written_once() -> None:
    corners = [(64 * i + 1, 64 * j) for i in range(9) for j in range(9)]
    pattern = Pattern([(y + top, x + left) for y, x in GLIDER for top, left in corners])
    lines = write_macrocell(pattern).splitlines()
    assert lines[:2] == ["[M2] (aconcur 0.1.0)", "#R B3/S23"]
    assert lines[2] == ".*$..*$***$"
    assert lines.count(".*$..*$***$") == 1
    assert len(lines) < 25
    assert read_macrocell("\n".join(lines)) == pattern


@UNHURRIED
@given(patterns)
def test_a_written_pattern_reads_back(pattern: Pattern) -> None:
    assert read_macrocell(write_macrocell(pattern)) == pattern


def test_an_empty_pattern_reads_back() -> None:
    assert write_macrocell(Pattern()).splitlines()[-1] == "4 0 0 0 0"
    assert read_macrocell("[M2]\n$\n") == Pattern()
    assert read_macrocell("[M2] (golly 4.2)\n#R B3/S23\n") == Pattern()


def test_a_large_random_pattern_reads_back() -> None:
    gun = classic("gosper-glider-gun")
    cells = [(y * 17 % 900, x * 31 % 700) for y, x in gun.cells()]
    pattern = Pattern(cells * 2)
    assert read_macrocell(write_macrocell(pattern)) == pattern


def nodes_of(leaf: str, highest: int) -> str:
    """Return a tree whose every leaf is the same."""
    nodes = (f"{level} {n} {n} {n} {n}" for n, level in enumerate(range(4, highest + 1), 1))
    return "\n".join([leaf, *nodes])


@pytest.mark.parametrize("highest", [59, 100])
def test_a_pattern_too_large_to_lay_out_stays_a_tree(highest: int) -> None:
    pattern = read_macrocell(f"[M2]\n#N dots\n{nodes_of('*$', highest)}\n")
    assert pattern.population == 4 ** (highest - 3)
    assert (pattern.name, pattern.offset) == (
        "dots",
        (1 - 2 ** (highest - 1), -(2 ** (highest - 1))),
    )
    assert (1, 0) in pattern
    assert (0, 0) not in pattern
    again = read_macrocell(write_macrocell(pattern))
    assert again.population == pattern.population
    assert again.offset == pattern.offset
    engine = make_engine(pattern)
    engine.step(1)
    assert engine.population == 0


def test_too_large_for_a_bounded_field_is_refused() -> None:
    with pytest.raises(PatternSizeError, match="too many to lay out in a field of 20 × 30"):
        read_macrocell(f"[M2]\n#R B3/S23:T30,20\n{nodes_of('*$', 59)}\n")


@pytest.mark.parametrize("engine", ["hashlife", "numba"])
def test_a_generation_of_any_size_is_written_from_its_tree(engine: EngineName) -> None:
    gun = make_engine(classic("gosper-glider-gun"), engine=engine)
    gun.step(10**12)
    pattern = read_macrocell(write_macrocell(Pattern.from_grid(gun.snapshot())))
    further = make_engine(pattern, engine=engine)
    for each in (gun, further):
        each.step(123)
    assert further.population == gun.population
    one, other = gun.snapshot(), further.snapshot()
    assert (one.top, one.left, one.height, one.width) == (
        *(other.top, other.left, other.height, other.width),
    )
    corner = (one.top, one.left, 64, 64, 1)
    assert set(one.dots(*corner)) == set(other.dots(*corner))


def test_cells_beyond_the_reach_of_a_pattern_stay_a_tree() -> None:
    far = "*$\n4 1 0 0 0\n" + "\n".join(f"{n} {n - 3} 0 0 0" for n in range(5, 80))
    pattern = read_macrocell(f"[M2]\n{far}\n")
    assert list(pattern.cells()) == [(1 - 2**78, -(2**78))]
    assert repr(pattern).startswith("<Pattern: 1 cells in 1 × 1 at (-302231454903657293676543, -30")


def test_too_many_squares_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aconcur.life._formats.macrocell._MOST_LEAVES", 10)
    with pytest.raises(PatternSizeError, match="more than 10 squares of 8 × 8 cells: write RLE"):
        write_macrocell(Pattern((n, n) for n in range(0, 900, 30)))


@pytest.mark.parametrize(
    ("text", "line", "column", "why"),
    [
        ("bo!", 1, 1, "the first line must begin with [M2]"),
        ("[M2]\n*........$\n", 2, 1, "a leaf has 8 × 8 cells"),
        ("[M2]\n*$*$*$*$*$*$*$*$*$\n", 2, 1, "a leaf has 8 × 8 cells"),
        ("[M2]\n$\n4 0 0 1 2\n", 3, 9, "there is no node 2 above: there are 1"),
        ("[M2]\n$\n4 0 0 0 1\n5 2 1 0 0\n", 4, 5, "node 1 is of level 3, not 4"),
        ("[M2]\n1 0 0 0 1\n", 2, 1, "a node of level 1 is of a rule of more than two states"),
        ("[M2]\n$\n4 0 0 1\n", 3, 1, "'4 0 0 1' is neither a leaf"),
        ("[M2]\n251 0 0 0 0\n", 2, 1, "a node's level is 250 at most, not 251"),
        ("[M2]\n#R B9/S\n$\n", 2, 4, "rule 'B9/S' asks for 9"),
    ],
)
def test_the_wrong_place_is_named(text: str, line: int, column: int, why: str) -> None:
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
    monkeypatch.setattr("aconcur.life._model.tree._MOST_RUNS", 10)
    assert read_macrocell(once).population == pattern.population
    assert read_macrocell(write_macrocell(read_macrocell(once))).offset == pattern.offset


def test_a_control_character_in_the_rule_is_a_fault_of_the_file() -> None:
    with pytest.raises(PatternError, match=r"line 2, column 4: "):
        read_macrocell(b"[M2] (golly)\n#R B\x1c3/S23\n$$$$$$$$\n", source="damaged")
