from __future__ import annotations

import pickle
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aconcur.life import (
    LIFE,
    Bounds,
    EngineName,
    Grid,
    GridTooLargeError,
    Pattern,
    PatternSizeError,
    Rule,
    classic,
    make_engine,
)
from tests.support.patterns import UNHURRIED, cells, patterns

GLIDER = Pattern([(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)], name="glider")


def test_repr_and_sizes() -> None:
    assert repr(GLIDER) == "<Pattern 'glider': 5 cells in 3 × 3, B3/S23>"
    assert repr(Pattern([(-1, 4)], "B2/S")) == "<Pattern: 1 cells in 1 × 1 at (-1, 4), B2/S>"
    assert (GLIDER.height, GLIDER.width, GLIDER.offset, GLIDER.population) == (3, 3, (0, 0), 5)
    assert list(GLIDER.runs()) == [(0, 1, 1), (1, 2, 1), (2, 0, 3)]


def test_an_empty_pattern_has_no_size_but_makes_a_grid() -> None:
    empty = Pattern()
    assert (empty.height, empty.width, empty.offset, empty.population) == (0, 0, (0, 0), 0)
    assert empty.at(3, 4) == empty
    assert empty.grid() == Grid(1, 1)
    assert (0, 0) not in empty


@UNHURRIED
@given(cells)
def test_keeps_the_cells_in_order(given: frozenset[tuple[int, int]]) -> None:
    pattern = Pattern(list(given) * 2)
    assert list(pattern.cells()) == sorted(given)
    assert pattern.population == len(given)
    rebuilt = Pattern.from_runs(pattern.runs())
    assert rebuilt == pattern
    assert hash(rebuilt) == hash(pattern)
    for y, x in given:
        assert (y, x) in pattern
        assert ((y, x + 1) in pattern) == ((y, x + 1) in given)
        assert ((y - 1, x) in pattern) == ((y - 1, x) in given)


@UNHURRIED
@given(patterns)
def test_travels_between_processes(pattern: Pattern) -> None:
    assert pickle.loads(pickle.dumps(pattern)) == pattern


@UNHURRIED
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
def test_grid_and_pattern_are_two_forms_of_the_same_cells(
    height: int, width: int, seed: int
) -> None:
    for density in (0.0, 0.01, 0.5, 1.0):
        grid = Grid.random(height, width, density=density, seed=seed)
        pattern = Pattern.from_grid(grid)
        assert set(pattern.cells()) == set(grid.cells())
        assert pattern.grid(height, width, at=pattern.offset) == grid


@pytest.mark.parametrize("with_numpy", [True, False])
def test_many_runs_are_laid_out_with_numpy_and_without(
    with_numpy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if with_numpy:
        pytest.importorskip("numpy")
    monkeypatch.setattr("aconcur.life._model.row_runs._WORTH_NUMPY", 1 if with_numpy else 10**9)
    for density in (0.1, 0.5, 0.9, 1.0):
        grid = Grid.random(61, 67, density=density, seed=3)
        pattern = Pattern.from_grid(grid)
        assert pattern.grid(61, 67, at=pattern.offset) == grid


@pytest.mark.parametrize("numpy", [False, True])
@pytest.mark.parametrize("band", [8 * 40, 1 << 20])
def test_grids_come_back_whole_with_numpy_and_without(
    monkeypatch: pytest.MonkeyPatch, numpy: bool, band: int
) -> None:
    if numpy:
        pytest.importorskip("numpy")
    else:
        monkeypatch.delitem(sys.modules, "numpy", raising=False)
    for module in ("row_runs", "pattern"):
        monkeypatch.setattr(f"aconcur.life._model.{module}._WORTH_NUMPY", 1)
    monkeypatch.setattr("aconcur.life._model.row_runs._BAND", band)
    for height, width in ((1, 1), (3, 40), (40, 7), (33, 40), (19, 133)):
        for density in (0, 0.1, 0.5, 0.9, 1):
            lots = Grid.random(height, width, density=density, seed=height)
            grid = Grid(height, width, lots.bits, top=-7, left=3)
            pattern = Pattern.from_grid(grid)
            assert list(pattern.cells()) == list(grid.cells())
            at = (pattern.offset[0] + 7, pattern.offset[1] - 3) if pattern.population else (0, 0)
            assert pattern.grid(height, width, at=at).bits == grid.bits


@pytest.mark.parametrize("numpy", [False, True])
def test_laying_out_a_grid_takes_half_a_byte_a_cell(
    monkeypatch: pytest.MonkeyPatch, numpy: bool
) -> None:
    if numpy:
        pytest.importorskip("numpy")
    else:
        monkeypatch.delitem(sys.modules, "numpy", raising=False)
    side = 1 << 13
    pattern = Pattern.from_runs((y, y, side - y) for y in range(0, side, 8))
    tracemalloc.start()
    try:
        grid = pattern.grid(side, side)
        assert tracemalloc.get_traced_memory()[1] < side * side / 2
    finally:
        tracemalloc.stop()
    assert grid.population == pattern.population


def test_a_grid_far_out_keeps_its_place() -> None:
    for bits in (0b1, 0b111111):
        grid = Grid(2, 3, bits, top=-7, left=10**12)
        assert set(Pattern.from_grid(grid).cells()) == set(grid.cells())


def test_stands_in_the_middle_or_where_it_is_asked_for() -> None:
    middle = GLIDER.grid(5, 6)
    assert str(middle) == "......\n..O...\n...O..\n.OOO..\n......"
    assert str(GLIDER.grid(3, 4, at=(0, 1))) == "..O.\n...O\n.OOO"
    assert GLIDER.at(5, -9).grid() == GLIDER.grid()


@pytest.mark.parametrize(
    ("size", "at"), [((3, 2), None), ((9, 9), (7, 0)), ((9, 9), (0, -1)), ((9, 9), (0, 7))]
)
def test_a_grid_that_is_too_small_is_refused(
    size: tuple[int, int], at: tuple[int, int] | None
) -> None:
    with pytest.raises(PatternSizeError, match=r"'glider'.* does not fit into \d × \d cells"):
        GLIDER.grid(*size, at=at)


def test_moves_and_changes_its_rule_and_keeps_its_words() -> None:
    moved = GLIDER.at(-5, 7)
    assert moved.offset == (-5, 7)
    assert moved.name == "glider"
    assert moved.at(0, 0) == GLIDER
    other = GLIDER.under("highlife")
    assert (other.rule, other.name) == (Rule("B36/S23"), "glider")
    assert other.under(LIFE) == GLIDER
    bounds = Bounds("torus", 8, 9)
    on_torus = GLIDER.inside(bounds)
    assert (on_torus.bounds, on_torus.name, on_torus.offset) == (bounds, "glider", (2, 3))
    assert on_torus.at(1, 1).under("B2/S").bounds == bounds
    assert on_torus.inside(None) == GLIDER.at(2, 3) != on_torus
    with pytest.raises(PatternSizeError, match=r"'glider'.* does not fit into 2 × 9 cells"):
        GLIDER.inside(Bounds("box", 2, 9))
    assert Pattern().inside(bounds).bounds == bounds
    assert other != GLIDER
    assert GLIDER != 5


def test_a_row_of_a_trillion_cells_is_one_run() -> None:
    row = Pattern.from_runs([(0, 0, 10**12), (0, 10**12, 5), (1, -3, 2)])
    assert list(row.runs()) == [(0, 0, 10**12 + 5), (1, -3, 2)]
    assert row.population == 10**12 + 7
    assert (0, 10**12 + 4) in row
    assert (0, 10**12 + 5) not in row


def test_arrays_of_runs_are_views() -> None:
    y, x, n = GLIDER.run_arrays()
    assert (y.format, y.tolist(), x.tolist(), n.tolist()) == ("q", [0, 1, 2], [1, 2, 0], [1, 1, 3])
    assert y.readonly


@pytest.mark.parametrize(
    "runs", [[(0, 0, 0)], [(0, 0, 2), (0, 1, 1)], [(1, 0, 1), (0, 0, 1)], [(0, 0, -1)]]
)
def test_runs_out_of_order_are_refused(runs: list[tuple[int, int, int]]) -> None:
    with pytest.raises(ValueError, match="is empty, or begins before the end of the one before it"):
        Pattern.from_runs(runs)


@pytest.mark.parametrize("cell", [(2**61 + 1, 0), (0, -(2**61) - 1), (10**30, 0)])
def test_too_far_out_is_refused(cell: tuple[int, int]) -> None:
    with pytest.raises(PatternSizeError, match=r"is too far out: patterns reach to 2\*\*61"):
        Pattern([(0, 0), cell])
    with pytest.raises(PatternSizeError, match="is too far out"):
        Pattern.from_runs([(*cell, 1)])
    with pytest.raises(PatternSizeError, match="is too far out"):
        GLIDER.at(*cell)


def test_words_of_several_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="a comment must be one line without spaces around it"):
        Pattern(comments=["a\nb"])
    with pytest.raises(ValueError, match="a name must be one line"):
        Pattern(name=" x")


@pytest.mark.parametrize("side", [10**6, 10**11])
def test_a_grid_larger_than_memory_is_refused_before_it_is_made(side: int) -> None:
    with pytest.raises(GridTooLargeError, match=f"{side} × {side} cells is too large"):
        GLIDER.grid(side, side)


@pytest.mark.parametrize("engine", ["hashlife", "numba"])
def test_a_generation_too_large_to_lay_out_stays_a_tree(engine: EngineName) -> None:
    gun = make_engine(classic("gosper-glider-gun"), engine=engine)
    gun.step(30 << 40)
    seen = gun.snapshot()
    pattern = Pattern.from_grid(seen, "life", name="huge")
    assert (pattern.population, pattern.name) == (36 + (5 << 40), "huge")
    assert (pattern.height, pattern.width) == (seen.height, seen.width)
    assert pattern.offset == (seen.top, seen.left)
    assert pattern == pattern.under("B3/S23") != pattern.under("B36/S23")
    assert next(pattern.cells()) in pattern
    assert (pattern.offset[0] - 1, pattern.offset[1]) not in pattern
    further = make_engine(pattern, engine=engine)
    further.step(30)
    assert further.population == 36 + (5 << 40) + 5
    for laying_out in (pattern.runs, pattern.grid, lambda: pattern.at(0, 0), lambda: hash(pattern)):
        with pytest.raises(GridTooLargeError, match="is too large to lay out"):
            laying_out()


def test_a_huge_sparse_grid_without_a_tree_is_refused() -> None:
    class Far:
        def box(self) -> tuple[int, int, int, int]:
            return 0, 0, 10**12, 10**12

        def population(self) -> int:
            return 10**20

    with pytest.raises(GridTooLargeError):
        Pattern.from_grid(Grid.from_source(Far()))  # type: ignore[arg-type]


def test_a_pattern_beyond_the_largest_coordinate_is_refused() -> None:
    glider = make_engine(GLIDER, engine="hashlife")
    glider.step(2**80)
    with pytest.raises(PatternSizeError, match="too far out"):
        Pattern.from_grid(glider.snapshot())
