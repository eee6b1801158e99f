"""The plane in machine code is the plane in Python, whatever the rule, in however little memory."""

from __future__ import annotations

from random import Random

import pytest

from aconcur.life import Engine, Grid, Pattern, Rule, classic, make_engine
from aconcur.life._hashlife import node_tables as tables
from aconcur.life._hashlife.engine import HashLife
from aconcur.life._hashlife.tables import BYTES

LIFE = Rule("life")
# Room for little more than the empty squares, so that tables grow, or are cleared, all the time.
TINY = (1 << 9, 1 << 7)


def rules(count: int) -> list[Rule]:
    chance = Random(11)
    halves = [[n for n in range(9) if chance.random() < 0.4] for _ in range(2 * count)]
    return [
        Rule.of(set(born) - {0}, survives)
        for born, survives in zip(halves[::2], halves[1::2], strict=True)
    ]


def soup(chance: Random, most: int = 60) -> Grid:
    height, width = (chance.randint(1, most) for _ in range(2))
    bits = Grid.random(height, width, density=chance.random(), seed=height).bits
    top, left = (chance.randint(-300, 300) for _ in range(2))
    return Grid(height, width, bits, top=top, left=left)


def looked_at(engine: Engine) -> tuple[object, ...]:
    seen = engine.snapshot()
    box = (seen.top, seen.left, seen.height, seen.width)
    dots = [
        frozenset(seen.dots(seen.top - 5, seen.left - 3, seen.height // 2 + 1, seen.width + 9, dot))
        for dot in (1, 2, 5)
    ]
    return engine.population, seen.population, box, set(seen.cells()), dots, engine.state()


@pytest.mark.parametrize("rule", [LIFE, Rule("B36/S23"), *rules(5)], ids=str)
def test_both_forms_agree(rule: Rule) -> None:
    chance = Random(str(rule))
    for _ in range(3):
        start, n = soup(chance), chance.randint(0, 100)
        python, machine = HashLife(start, rule), HashLife(start, rule, compiled=True)
        assert looked_at(machine) == looked_at(python)
        for leap in (n, 1, 64):
            python.step(leap)
            machine.step(leap)
            assert looked_at(machine) == looked_at(python)
            assert machine.snapshot() == python.snapshot()


def test_only_the_compiled_form_releases_the_gil() -> None:
    assert not HashLife(classic("glider")).nogil
    assert HashLife(classic("glider"), compiled=True).nogil


def test_tables_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "FEW", TINY)
    monkeypatch.setattr(tables, "COPIES", 100)
    engine = HashLife(classic("acorn"), compiled=True)
    engine.step(5206)
    assert engine.population == 633


@pytest.mark.parametrize("steps", [1 << 10, 3])
def test_full_tables_are_cleaned_and_snapshots_stay_valid(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    python = HashLife(classic("r-pentomino"))
    python.step(1103)
    monkeypatch.setattr(tables, "FEW", TINY)
    monkeypatch.setattr(tables, "COPIES", 100)
    monkeypatch.setattr(tables, "STEPS", steps)
    monkeypatch.setattr(tables, "MOST_BYTES", BYTES * ((1 << 11) + (1 << 9)))
    cleared = []
    moved = tables.NodeTables._copied

    def noticed(self: tables.NodeTables, room: tuple[int, int], *, everything: bool) -> object:
        cleared.append(not everything)
        return moved(self, room, everything=everything)

    monkeypatch.setattr(tables.NodeTables, "_copied", noticed)
    engine = HashLife(classic("r-pentomino"), compiled=True)
    first = engine.snapshot()
    lived = 0
    while lived < 1103:
        lived += engine.step_within(1103 - lived, 0 if steps == 3 else 60)
    assert any(cleared)
    assert looked_at(engine) == looked_at(python)
    assert set(first.cells()) == set(classic("r-pentomino").cells()), "a snapshot has changed"


def test_too_little_memory_is_an_error_that_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "FEW", TINY)
    monkeypatch.setattr(tables, "MOST_BYTES", BYTES * sum(TINY))
    engine = HashLife(Grid.random(100, 100, seed=1), compiled=True)
    before = looked_at(engine)
    with pytest.raises(MemoryError, match=r"a generation of \d+ cells needs too much memory"):
        engine.step(1 << 5)
    assert looked_at(engine) == before
    with pytest.raises(MemoryError, match="the pattern needs too much memory"):
        HashLife(Grid.random(500, 500, seed=1), compiled=True)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_with_no_time_at_all_still_makes_progress(compiled: bool) -> None:
    engine, calls = HashLife(classic("acorn"), compiled=compiled), 0
    while not engine.step_within(4096, 0 if compiled else 0.002):
        calls += 1
        assert set(engine.snapshot().cells()) == set(classic("acorn").cells())
    assert calls > 1
    straight = HashLife(classic("acorn"), compiled=not compiled)
    straight.step(4096)
    assert engine.snapshot() == straight.snapshot()


def test_another_step_after_an_interrupted_one_is_right() -> None:
    engine = HashLife(classic("acorn"), compiled=True)
    assert engine.step_within(4096, 0) == 0
    assert engine.step_within(2048, 0) == 0
    engine.step(5206)
    assert engine.population == 633


@pytest.mark.parametrize("compiled", [False, True])
def test_populations_beyond_a_machine_word(compiled: bool) -> None:
    gun = HashLife(classic("gosper-glider-gun"), compiled=compiled)
    gun.step(30 << 66)
    assert gun.population == 36 + (5 << 66)
    gun.step(30)
    assert gun.population == 36 + (5 << 66) + 5
    glider = HashLife(classic("glider"), compiled=compiled)
    glider.step(1 << 70)
    seen = glider.snapshot()
    assert (seen.top, seen.left, seen.population) == (1 << 68, 1 << 68, 5)


def test_the_compiled_plane_has_a_largest_size() -> None:
    engine = HashLife(classic("glider"), compiled=True)
    with pytest.raises(OverflowError, match=r"the plane is 2\*\*250 cells wide, and no more"):
        engine.step(1 << 260)
    assert set(engine.snapshot().cells()) == set(classic("glider").cells())


@pytest.mark.parametrize("at", [(0, 0), (2**61 - 3, -(2**61)), (-(2**40), 2**50)])
def test_patterns_far_from_the_origin_keep_their_place(at: tuple[int, int]) -> None:
    glider = classic("glider").at(*at)
    engine = make_engine(glider, engine="numba")
    engine.step(4)
    moved = {(y - at[0] - 1, x - at[1] - 1) for y, x in engine.snapshot().cells()}
    assert moved == set(classic("glider").at(0, 0).cells())


def test_nothing_stays_nothing() -> None:
    engine = HashLife(Pattern(), compiled=True)
    engine.step(10**9 + 1)
    assert (engine.population, engine.snapshot()) == (0, Grid(1, 1))
