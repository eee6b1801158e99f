"""Every engine agrees with a reference that has nothing in common with it but the rule."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from aconcur.errors import MissingRequirementError
from aconcur.life import (
    Bounds,
    Engine,
    EngineName,
    Grid,
    Pattern,
    Rule,
    Topology,
    UnboundedRuleError,
    classic,
    make_engine,
    read_rle,
)
from aconcur.life._engines.circuit import circuit
from aconcur.life._engines.stripes import Stripes
from aconcur.life._hashlife.engine import HashLife
from tests.support.extras import skip_without
from tests.support.life import by_the_book

# 1 × 1 up, odd, wide, tall; around the 64 stripes, even ones and not.
SIZES = [(1, 1), (1, 2), (2, 1), (1, 7), (7, 1), (2, 2), (3, 3), (5, 9), (3, 130), (63, 2)]
SIZES += [(64, 3), (65, 5), (127, 3), (129, 4), (140, 70)]
# The first four are compiled by numba too; others take it a second each.
RULES = [Rule("B3/S23"), Rule("B36/S125"), Rule("B0123478/S01234678"), Rule("B1357/S1357")]
BOUNDED: list[EngineName] = ["bigint", "numpy", "numba"]


def drawn_rules(count: int) -> list[Rule]:
    chance = Random(7)
    half = [[n for n in range(9) if chance.random() < 0.5] for _ in range(2 * count)]
    return [Rule.of(born, survives) for born, survives in zip(half[::2], half[1::2], strict=True)]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("topology", ["torus", "box"])
@pytest.mark.parametrize("engine", BOUNDED)
def test_every_engine_agrees_with_the_definition(
    engine: EngineName, topology: Topology, rule: Rule
) -> None:
    for height, width in SIZES[: -1 if rule != RULES[0] else None]:
        grid = Grid.random(height, width, seed=width)
        lives = make_engine(grid, rule, topology=topology, engine=engine)
        assert lives.snapshot() == grid
        once = by_the_book(grid, rule, torus=topology == "torus")
        lives.step()
        kept = lives.snapshot()
        assert (lives.population, kept.population) == (once.population, once.population)
        lives.step(2)
        assert lives.snapshot() == by_the_book(once, rule, 2, torus=topology == "torus")
        assert kept == once, "a snapshot has changed"


@pytest.mark.parametrize("rule", drawn_rules(24), ids=str)
def test_any_rule_is_compiled(rule: Rule) -> None:
    assert len(circuit(rule).gates) <= 24
    for engine in BOUNDED[:2]:
        for torus, height, width in ((True, 66, 7), (False, 5, 20)):
            grid = Grid.random(height, width, seed=height)
            topology: Topology = "torus" if torus else "box"
            lives = make_engine(grid, rule, topology=topology, engine=engine)
            lives.step(2)
            assert lives.snapshot() == by_the_book(grid, rule, 2, torus=torus)


def test_conways_rule_takes_18_gates() -> None:
    assert len(circuit(Rule("life")).gates) == 18


@pytest.mark.parametrize("rule", ["B/S", "B/S012345678", "B012345678/S012345678", "B012345678/S"])
@pytest.mark.parametrize("engine", BOUNDED[:2])
def test_rules_that_ignore_the_neighbours(engine: EngineName, rule: str) -> None:
    grid = Grid.random(9, 9, seed=1)
    lives = make_engine(grid, rule, engine=engine)
    lives.step(3)
    assert lives.snapshot() == by_the_book(grid, Rule(rule), 3)


@pytest.mark.parametrize("topology", ["torus", "box"])
@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_several_rows_of_words_are_computed_at_a_time(
    engine: EngineName, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aconcur.life._engines.numpy_engine.BLOCK", 8 * 12 * 2)
    for rows in range(4, 9):
        for height in (64 * rows, 64 * rows - 53):
            grid = Grid.random(height, 10, seed=height)
            one, other = (
                make_engine(grid, topology=topology, engine=name) for name in (engine, "bigint")
            )
            one.step(3)
            other.step(3)
            assert one.snapshot() == other.snapshot()


@pytest.mark.parametrize("size", [(1, 1), (64, 510), (100, 70), (640, 4096)])
def test_both_generations_of_the_kernel_lie_half_a_page_apart(size: tuple[int, int]) -> None:
    """At the same place of a page they would make each other wait."""
    words, other = Stripes(*size).pack_pair(Grid(*size))
    assert (other.ctypes.data - words.ctypes.data) % 4096 == 2048
    assert words.shape == other.shape
    assert not np.shares_memory(words, other)


def test_equal_generations_have_equal_states() -> None:
    blinker = Grid.from_text(".....\n..O..\n..O..\n..O..\n.....")
    for name in BOUNDED:
        engine = make_engine(blinker, engine=name)
        first = engine.state()
        engine.step()
        assert engine.state() != first
        engine.step()
        assert engine.state() == first


# The plane.


def padded(grid: Grid, by: int) -> Grid:
    moved = ((y + by, x + by) for y, x in grid.cells())
    return Grid.from_cells(moved, grid.height + 2 * by, grid.width + 2 * by)


@pytest.mark.parametrize(
    ("rule", "engine"),
    [
        (rule, engine)
        for engine in ("hashlife", "numba")
        for rule in (Rule("life"), Rule("B36/S125"), Rule("B2/S"), *drawn_rules(5))
    ],
    ids=str,
)
def test_the_plane_agrees_with_a_box_whose_edge_no_cell_reaches(
    rule: Rule, engine: EngineName
) -> None:
    rule = Rule.of(rule.born - {0}, rule.survives)
    chance = Random(str(rule))
    for _ in range(6):
        height, width, n = (chance.randint(1, 50) for _ in range(3))
        bits = Grid.random(height, width, seed=n).bits
        top, left = chance.randint(-200, 200), chance.randint(-200, 200)
        start = Grid(height, width, bits, top=top, left=left)
        plane = make_engine(start, rule, topology="plane", engine=engine)
        plane.step(n)
        box = make_engine(padded(Grid(height, width, bits), n), rule, topology="box")
        box.step(n)
        want = [(y - n + top, x - n + left) for y, x in box.snapshot().cells()]
        seen = plane.snapshot()
        assert sorted(seen.cells()) == want
        assert seen.population == len(want)
        if want:
            laid = Grid(seen.height, seen.width, seen.bits, top=seen.top, left=seen.left)
            assert list(laid.cells()) == want


@pytest.mark.parametrize("engine", ["hashlife", "numba"])
@pytest.mark.parametrize(
    ("name", "generations", "population"),
    [
        ("r-pentomino", 1103, 116),
        ("acorn", 5206, 633),
        ("diehard", 129, 2),
        ("diehard", 130, 0),
        ("pulsar", 3 * 10**9, 48),
        ("glider", 4 * 10**15, 5),
        ("gosper-glider-gun", 30 * 10**4, 36 + 5 * 10**4),
    ],
)
def test_known_patterns(engine: EngineName, name: str, generations: int, population: int) -> None:
    lives = make_engine(classic(name), engine=engine)
    lives.step(generations)
    assert lives.population == population


def test_settled_means_that_only_gliders_leave() -> None:
    engine = make_engine(classic("r-pentomino"))
    engine.step(1103)
    for _ in range(3):
        engine.step(2)
        assert engine.population == 116


def test_nothing_stays_nothing() -> None:
    engine = make_engine(Pattern())
    engine.step(10)
    grid = engine.snapshot()
    assert (engine.population, grid.height, grid.width, grid.bits) == (0, 1, 1, 0)


def test_a_full_universe_is_cleaned_and_a_full_clean_one_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aconcur.life._hashlife.quadtree.MOST_NODES", 1500)
    engine = HashLife(classic("r-pentomino"))
    engine.step(1024)
    engine.step(79)
    assert engine.population == 116
    monkeypatch.setattr("aconcur.life._hashlife.quadtree.MOST_NODES", 3)
    with pytest.raises(MemoryError, match="a generation of 5 cells needs too much memory"):
        HashLife(classic("glider")).step(1)


def test_an_interrupted_step_continues_later() -> None:
    engine, calls = HashLife(classic("acorn")), 1
    assert engine.step_within(4096, 0) == 0
    assert list(engine.snapshot().cells()) == sorted(classic("acorn").cells())
    while not engine.step_within(4096, 0.002):
        calls += 1
    assert calls > 1
    straight = HashLife(classic("acorn"))
    straight.step(4096)
    assert engine.snapshot() == straight.snapshot()


# Which engine.


def kind(engine: Engine) -> str:
    return type(engine).__name__


@skip_without("numba", "numpy")
def test_auto_takes_the_fastest_installed_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = Grid(64, 64), Grid(512, 512)
    assert kind(make_engine(small)) == "BigInt"
    assert kind(make_engine(large)) == "Numba"
    monkeypatch.setattr("aconcur.life._make_engine._is_installed", lambda name: name == "numpy")
    assert kind(make_engine(large)) == "Numpy"
    monkeypatch.setattr("aconcur.life._make_engine._is_installed", lambda _: False)
    assert kind(make_engine(large)) == "BigInt"
    assert kind(make_engine(classic("glider"))) == "HashLife"
    for name in ("numpy", "numba"):
        with pytest.raises(MissingRequirementError, match=rf"{name}.*install aconcur\[life\]"):
            make_engine(small, engine=name)


def test_a_pattern_lives_in_its_own_field_at_its_own_place() -> None:
    line = Pattern([(0, 0), (0, 1), (0, 2)], bounds=Bounds("torus", 3, 5))
    engine = make_engine(line)
    assert engine.snapshot() == line.grid(3, 5, at=(0, 0))
    engine.step()
    assert engine.snapshot() == by_the_book(line.grid(3, 5, at=(0, 0)), Rule("life"))
    assert make_engine(line.inside(line.bounds)).snapshot() == line.grid(3, 5)
    replicator = classic("replicator")
    engine = make_engine(replicator)
    engine.step(12)
    assert engine.population == 2 * replicator.population


@pytest.mark.parametrize("topology", ["torus", "box"])
def test_a_pattern_without_bounds_needs_the_plane(topology: Topology) -> None:
    with pytest.raises(ValueError, match=rf"put it on a {topology} with pattern\.inside\("):
        make_engine(classic("glider"), topology=topology)


def test_arguments_that_do_not_go_together_are_refused() -> None:
    grid = Grid(2, 2)
    with pytest.raises(UnboundedRuleError, match=r"B0/S brings the whole empty plane to life"):
        make_engine(grid, "B0/S", topology="plane")
    with pytest.raises(UnboundedRuleError):
        HashLife(grid, Rule("B0/S"))
    with pytest.raises(ValueError, match=r"on a plane the engine is one of .*, not 'numpy'"):
        make_engine(grid, topology="plane", engine="numpy")
    with pytest.raises(ValueError, match=r"on a torus the engine is one of .*, not 'hashlife'"):
        make_engine(grid, engine="hashlife")
    with pytest.raises(ValueError, match=r"engine must be one of .*, not 'cuda'"):
        make_engine(grid, engine="cuda")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"topology must be one of .*, not 'moebius'"):
        make_engine(grid, topology="moebius")  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["bigint", "numpy", "numba", "hashlife"])
def test_a_negative_number_of_generations_is_refused(engine: EngineName) -> None:
    start = classic("glider") if engine == "hashlife" else Grid.random(5, 9, seed=1)
    lives = make_engine(start, engine=engine)
    before = lives.snapshot()
    with pytest.raises(ValueError, match="the number of generations must be at least 0, not -1"):
        lives.step(-1)
    assert lives.snapshot() == before


def test_a_start_of_another_type_is_refused() -> None:
    unfit: Any = "glider"
    with pytest.raises(TypeError, match=r"must be a Grid or a Pattern, .*not 'glider'"):
        make_engine(unfit)


@pytest.mark.parametrize("engine", ["hashlife", "numba"])
@pytest.mark.parametrize("at", [(0, 0), (-40, -7), (5, -20_000)])
def test_long_runs_keep_their_place_on_the_plane(engine: EngineName, at: tuple[int, int]) -> None:
    pattern = Pattern.from_runs([(0, 3, 20_000), (1, 0, 2), (70, 16_000, 9)]).at(*at)
    grid = make_engine(pattern, engine=engine).snapshot()
    assert (grid.top, grid.left, grid.height, grid.width) == (*at, 71, 20_003)
    assert set(grid.cells()) == set(pattern.cells())


@pytest.mark.parametrize("engine", ["hashlife", "numba"])
def test_a_line_of_a_trillion_cells_is_computed(engine: EngineName) -> None:
    lives = make_engine(read_rle("999999999999o!"), engine=engine)
    lives.step()
    assert lives.population == 3 * (10**12 - 3)
    lives.step(1000)
    assert lives.snapshot().width > 10**12 - 2000
