"""Every version of Life asks the same questions and lives the same generations."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from random import Random
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aconcur.lessons.item40_coroutines import rebuilt, rebuilt_asend, work
from aconcur.lessons.item40_coroutines.rebuilt import (
    BUDGET,
    Pace,
    live_a_generation,
    simulate,
    simulate_cells,
)
from aconcur.lessons.item40_coroutines.work import GLIDER, Grid, random_life
from tests.support.programs import started

LESSON = "item40_coroutines"
PACKAGE = f"aconcur.lessons.{LESSON}"
FOLDER = Path(work.__file__).parent
ORIGINALS = sorted(file.stem for file in FOLDER.glob("original*.py"))
# What asks cell by cell, in ten questions; what asks for more at once; what asks nobody.
CELL_BY_CELL = ["rebuilt", "rebuilt_asend", "rebuilt_yield"]
COARSER = ["rebuilt_blocks", "rebuilt_rows"]
ON_A_LOOP = CELL_BY_CELL + COARSER
VERSIONS = [*ORIGINALS, *ON_A_LOOP, "rebuilt_tasks", "toolkit"]


Call: TypeAlias = Callable[..., Awaitable[Any]]


CONWAY = frozenset({3}), frozenset({2, 3})


def reference(
    rows: list[str],
    generations: int,
    rule: tuple[frozenset[int], frozenset[int]] = CONWAY,
) -> list[str]:
    """Live on a set of cells: nothing in common with the lesson but the rule, (born, survives)."""
    height, width = len(rows), len(rows[0])
    live = {(y, x) for y in range(height) for x in range(width) if rows[y][x] == "*"}
    for _ in range(generations):
        counts = Counter(
            ((y + dy) % height, (x + dx) % width)
            for y, x in live
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if dy or dx
        )
        cells = ((y, x) for y in range(height) for x in range(width))
        live = {cell for cell in cells if counts[cell] in rule[cell in live]}
    return ["".join("_*"[(y, x) in live] for x in range(width)) for y in range(height)]


def random_rows(height: int, width: int, seed: int = 40) -> list[str]:
    return Grid.random(height, width, Random(seed)).to_rows()


def still_open() -> list[str]:
    """Name the lesson's generators and coroutines that are neither finished nor closed."""
    frames = {GeneratorType: "gi_frame", CoroutineType: "cr_frame", AsyncGeneratorType: "ag_frame"}
    alive = [thing for thing in gc.get_objects() if type(thing) in frames]
    standing = filter(None, (getattr(thing, frames[type(thing)]) for thing in alive))
    codes = [frame.f_code for frame in standing]
    return [code.co_name for code in codes if Path(code.co_filename).parent == FOLDER]


# The specification: every version, by its entry.


@st.composite
def grids(draw: st.DrawFn) -> list[str]:
    height, width = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    row = st.text("*_", min_size=width, max_size=width)
    return draw(st.lists(row, min_size=height, max_size=height))


@pytest.mark.entry("run")
@given(rows=grids(), generations=st.integers(0, 4))
# `call` keeps nothing from one example to the next.
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_it_lives_as_the_reference_does(
    call: Call, rows: list[str], generations: int
) -> None:
    assert await call(rows, generations) == reference(rows, generations)


# The others have Conway's rule in what they ask or compute.
@pytest.mark.asyncio_only
@pytest.mark.parametrize("name", [*ORIGINALS, *CELL_BY_CELL, "rebuilt_blocks", "rebuilt_tasks"])
@given(
    rows=grids(),
    rule=st.tuples(*[st.frozensets(st.integers(0, 8))] * 2),
    generations=st.integers(0, 3),
)
@settings(max_examples=25, deadline=None)
async def test_the_rule_stands_in_one_place(
    name: str,
    rows: list[str],
    rule: tuple[frozenset[int], frozenset[int]],
    generations: int,
) -> None:
    def logic(state: str, neighbors: int) -> str:
        return "*" if neighbors in rule[state == "*"] else "_"

    version = import_module(f"{PACKAGE}.{name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(version, "game_logic", logic)
        lived = version.run(rows, generations)
        if name not in ORIGINALS:
            lived = await lived
    assert lived == reference(rows, generations, rule)


@pytest.mark.entry("run")
@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 2), (2, 1), (1, 7), (7, 1), (2, 2), (2, 5), (3, 3), (20, 17)]
)
async def test_edges_meet_on_a_grid_of_any_size(call: Call, height: int, width: int) -> None:
    for rows in (random_rows(height, width), ["*" * width] * height):
        assert await call(rows, 3) == reference(rows, 3)


@pytest.mark.entry("run")
@pytest.mark.parametrize(
    ("generations", "before", "after"),
    [
        pytest.param(9, "____ _**_ _**_ ____", "____ _**_ _**_ ____", id="a block stays"),
        pytest.param(
            1, "_____ __*__ __*__ __*__ _____", "_____ _____ _***_ _____ _____", id="blinker"
        ),
        pytest.param(
            2, "_____ __*__ __*__ __*__ _____", "_____ __*__ __*__ __*__ _____", id="period 2"
        ),
        pytest.param(1, "___ _*_ ___", "___ ___ ___", id="a lone cell dies"),
        pytest.param(1, "*** *** ***", "___ ___ ___", id="a crowd dies"),
        pytest.param(1, "____ _**_ _*__ ____", "____ _**_ _**_ ____", id="three give birth"),
    ],
)
async def test_a_known_pattern(call: Call, generations: int, before: str, after: str) -> None:
    assert await call(before.split(), generations) == after.split()


@pytest.mark.entry("run")
@pytest.mark.parametrize("size", [5, 6])
async def test_a_glider_on_a_torus_is_home_after_four_times_its_size(call: Call, size: int) -> None:
    glider = ["_*_", "__*", "***"]
    rows = [row.ljust(size, "_") for row in glider] + ["_" * size] * (size - 3)
    assert await call(rows, 4 * size) == rows
    assert await call(rows, 4) == [row[-1] + row[:-1] for row in [rows[-1], *rows[:-1]]]


@pytest.mark.entry("run")
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "a grid needs a row and a column at least, not 0 rows of 0"),
        ([""], "a grid needs a row and a column at least, not 1 rows of 0"),
        (["*_", "*"], "row 1 has 1 cells, row 0 has 2"),
        (["*_", "*#"], "a cell is '[*]' or '_', not '#': row 1"),
    ],
)
async def test_rows_that_are_no_grid_are_refused(call: Call, rows: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        await call(rows, 1)


@pytest.mark.asyncio_only
@pytest.mark.parametrize("name", [*ORIGINALS, *CELL_BY_CELL])
@pytest.mark.parametrize("questions", [0, 1, 5, 9, 13])
async def test_an_error_in_an_answer_leaves_no_coroutine_open(
    name: str, monkeypatch: pytest.MonkeyPatch, questions: int
) -> None:
    asked = count()

    def query(_: Grid, y: int, x: int) -> str:
        if next(asked) == questions:
            raise LookupError(f"no answer for ({y}, {x})")
        return "*"

    for grid in (Grid, import_module(f"{PACKAGE}.original_py2").Grid):
        monkeypatch.setattr(grid, "query", query)
    run = import_module(f"{PACKAGE}.{name}").run
    with pytest.raises(LookupError, match="no answer") as failed:
        await run(["**", "**"], 1) if name in CELL_BY_CELL else run(["**", "**"], 1)
    assert still_open() == [], f"while {failed.traceback} keeps the frames"


@pytest.mark.entry("send_all")
async def test_send_wakes_a_coroutine_with_a_value(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    await call(["First", "Second"])
    assert capsys.readouterr().out.splitlines() == ["Received: First", "Received: Second"]
    assert still_open() == []


@pytest.mark.entry("main")
@pytest.mark.parametrize("generations", [1, 5, 7])
async def test_a_version_alone_films_a_glider(
    call: Call, capsys: pytest.CaptureFixture[str], generations: int
) -> None:
    await call(generations)
    film = []
    for first in range(0, generations + 1, 6):
        shown = range(first, min(first + 6, generations + 1))
        film.append(" | ".join(str(number).center(8) for number in shown))
        film += map(" | ".join, zip(*(reference(list(GLIDER), n) for n in shown), strict=True))
    assert capsys.readouterr().out.splitlines()[-len(film) :] == film
    assert still_open() == []


# The protocol: the questions themselves are the same.


Sim: TypeAlias = Any  # a generator, a coroutine or an async generator


async def transcript(sim: Sim, grid: Grid, tick: object) -> list[tuple[Any, ...]]:
    """Answer the cells until they tick; return what they said."""
    said: list[tuple[Any, ...]] = []
    answer: str | None = None
    while True:
        item = await sim.asend(answer) if hasattr(sim, "asend") else sim.send(answer)
        if item is tick:
            return said
        said.append(tuple(item))
        answer = grid.query(*item) if len(item) == 2 else None


@pytest.mark.asyncio_only
@pytest.mark.parametrize("name", [*ORIGINALS, *CELL_BY_CELL])
async def test_every_version_asks_the_same_questions(name: str) -> None:
    version = import_module(f"{PACKAGE}.{name}")
    cells = getattr(version, "simulate_cells", None) or version.simulate
    grid = Grid.from_rows(random_rows(3, 4))
    sim = cells(3, 4)
    first = await transcript(sim, grid, version.TICK)
    assert first == await transcript(sim, grid, version.TICK)
    await sim.aclose() if hasattr(sim, "aclose") else sim.close()
    after = reference(grid.to_rows(), 1)
    for y in range(3):
        for x in range(4):
            asked, told = first[:9], first[9]
            del first[:10]
            around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            assert asked[0] == (y, x)
            assert sorted(asked) == around
            assert told == (y, x, after[y][x])
    assert first == []
    assert still_open() == []


@pytest.mark.parametrize(
    ("name", "cells", "questions"), [("blocks", "Block", 1), ("rows", "RowQuery", None)]
)
def test_bigger_questions_are_fewer(name: str, cells: str, questions: int | None) -> None:
    version = import_module(f"{PACKAGE}.rebuilt_{name}")
    grid = Grid.from_rows(random_rows(5, 7))
    sim = getattr(version, f"simulate_{name}")(5, 7)
    answers = version.framed(grid) if questions else version.to_bits(grid.to_rows())
    asked: Counter[str] = Counter()
    answer = None
    while (item := sim.send(answer)) is not version.TICK:
        asked[type(item).__name__] += 1
        answer = None
        if type(item).__name__ == cells:
            answer = (
                "".join(row[item.x : item.x + 3] for row in answers[item.y : item.y + 3])
                if questions
                else answers[item.y % 5]
            )
    sim.close()
    told = sum(asked.values()) - asked[cells]
    assert (asked[cells], told) == ((35, 35) if questions else (5 + 2, 5))
    assert still_open() == []


def test_native_coroutines_need_no_event_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    grid = Grid.from_rows(GLIDER)
    sim = simulate_cells(grid.height, grid.width)
    for number in range(1, 4):
        grid = live_a_generation(grid, sim)
        assert grid.to_rows() == reference(list(GLIDER), number)
    sim.close()
    assert still_open() == []


# On a loop: a simulation is a good neighbour.


@asynccontextmanager
async def another_task() -> AsyncIterator[Callable[[], int]]:
    """Run a task beside the block; the block may ask how many turns it had."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(take_turns())
    try:
        yield lambda: turns
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.asyncio_only
@pytest.mark.parametrize("name", CELL_BY_CELL)
async def test_another_task_runs_in_the_middle_of_one_generation(name: str) -> None:
    version = import_module(f"{PACKAGE}.{name}")
    async with another_task() as turns:
        await version.run(random_rows(64, 64), 1)
        assert turns() > 1


@pytest.mark.asyncio_only
@pytest.mark.parametrize("name", [*CELL_BY_CELL, "rebuilt_blocks"])
async def test_the_loop_has_its_turn_once_a_budget(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that counts glances: at 3.5 a budget, every fourth cell is one too many."""
    glances = count()
    monkeypatch.setattr(rebuilt, "perf_counter", lambda: next(glances) * BUDGET / 3.5)
    version = import_module(f"{PACKAGE}.{name}")
    async with another_task() as turns:
        await version.run(random_rows(4, 5), 1)
        assert turns() == 20 // 4


@pytest.mark.asyncio_only
async def test_time_that_others_take_is_not_on_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    async def take_long() -> None:
        nonlocal now
        now += 10 * BUDGET

    monkeypatch.setattr(rebuilt, "perf_counter", lambda: now)
    pace = Pace()
    other = asyncio.create_task(take_long())
    await pace.rest()
    assert other.done()
    assert not pace.due()


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the loop a turn at every cell."""
    monkeypatch.setattr(Pace, "due", lambda _: True)


async def cells_later(cells: int) -> None:
    for _ in range(cells):
        await asyncio.sleep(0)


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("restless")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ON_A_LOOP)
@pytest.mark.parametrize("cells", [0, 1, 7])
async def test_a_cancelled_run_ends_and_leaves_nothing_open(name: str, cells: int) -> None:
    version = import_module(f"{PACKAGE}.{name}")
    running = asyncio.create_task(version.run(random_rows(3, 3), 10**9))
    await cells_later(cells)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert still_open() == []


@pytest.mark.asyncio_only
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ON_A_LOOP)
async def test_a_timeout_ends_a_run(name: str) -> None:
    version = import_module(f"{PACKAGE}.{name}")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await version.run(random_rows(1, 1), 10**9)
    assert still_open() == []


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("cells", [1, 4, 8])
async def test_a_cancelled_generation_is_lived_again_from_its_start(cells: int) -> None:
    rows = random_rows(3, 3)
    sim = simulate(Grid.from_rows(rows))
    for number in range(1, 4):
        half = asyncio.create_task(sim.__anext__())
        await cells_later(cells + 1)
        assert not half.done()
        half.cancel()
        with pytest.raises(asyncio.CancelledError):
            await half
        assert still_open() == []
        assert (await anext(sim)).to_rows() == reference(rows, number)


@pytest.mark.asyncio_only
async def test_breaking_off_leaves_nothing_open() -> None:
    sim = simulate(Grid.from_rows(GLIDER))
    async for _ in sim:
        break
    assert still_open() == []

    async def fail_in_the_middle() -> None:
        async for _ in sim:
            raise LookupError("the consumer's own")

    with pytest.raises(LookupError, match="the consumer's own"):
        await fail_in_the_middle()
    assert still_open() == []


def test_a_simulation_that_nobody_reads_leaves_no_warning() -> None:
    sim = simulate(Grid.from_rows(GLIDER))
    del sim
    gc.collect()  # a coroutine that was never awaited would warn here
    assert still_open() == []


@pytest.mark.asyncio_only
async def test_each_generation_is_a_grid_of_its_own() -> None:
    start = Grid.from_rows(GLIDER)
    kept = []
    async for generation in simulate(start):
        kept.append(generation)
        if len(kept) == 4:
            break
    assert start.to_rows() == list(GLIDER)
    assert [grid.to_rows() for grid in kept] == [reference(list(GLIDER), n) for n in (1, 2, 3, 4)]


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("restless")
async def test_two_readers_at_once_do_not_mix_generations() -> None:
    """One reader is the promise; two get whole generations all the same."""
    rows = random_rows(4, 4)
    sim = simulate(Grid.from_rows(rows))
    whole = [reference(rows, number) for number in range(1, 3)]

    async def read() -> list[str]:
        return (await anext(sim)).to_rows()

    first, second = asyncio.create_task(read()), asyncio.create_task(read())
    assert await first in whole
    assert await second in whole


def test_the_input_is_the_same_for_the_same_seed() -> None:
    with random_life(9, 1) as first, random_life(9, 1) as again, random_life(9, 2) as other:
        assert first == again != other
        rows, generations = first
        assert [len(row) for row in rows] == [9] * 9
        assert generations > 0
        assert str(Grid.from_rows(rows)) == "\n".join(rows)


# Python 2.


def test_python_2_composes_by_hand() -> None:
    version = import_module(f"{PACKAGE}.original_py2")
    assert list(version.composed()) == ["A", 1, 2, "B"]
    assert list(version.composed_with_value()) == [1, 8]


@pytest.mark.asyncio_only
async def test_an_async_generator_hands_its_value_over_as_python_2_did() -> None:
    counting = rebuilt_asend.count_neighbors(0, 0)
    await anext(counting)
    for _ in range(7):
        await counting.asend("*")
    with pytest.raises(rebuilt_asend.MyReturn) as end:
        await counting.asend("_")
    assert end.value.value == 7


def possible_pythons() -> Iterator[str]:
    yield from filter(None, map(shutil.which, ("python2.7", "python2")))
    if pyenv := shutil.which("pyenv"):  # its python2.7 on PATH is a shim, which may be switched off
        whence = [pyenv, "whence", "--path", "python2.7"]
        yield from subprocess.run(whence, capture_output=True, text=True).stdout.split()


@pytest.fixture(scope="module")
def python27() -> list[str]:
    """Return the start of a command line of a Python 2.7 that really runs."""
    is27 = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    for python in possible_pythons():
        if not subprocess.run([python, "-c", is27], capture_output=True).returncode:
            return [python, "-E", "-B"]
    pytest.skip("no working python2.7 here; the same file is tested on this Python above")


ANSWER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import original_py2
json.dump([original_py2.run(*args) for args in json.load(sys.stdin)], sys.stdout)
"""


def test_a_real_python_2_agrees(python27: list[str]) -> None:
    sizes = [(1, 1), (1, 2), (2, 1), (1, 6), (6, 1), (3, 3), (8, 5), (12, 12)]
    asked = [(random_rows(*size, seed), seed % 5) for size in sizes for seed in range(10)]
    done = subprocess.run(
        [*python27, "-c", ANSWER, str(FOLDER)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == [reference(*args) for args in asked]


def test_a_real_python_2_prints_the_same(
    python27: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    import_module(f"{PACKAGE}.original_py2").main(5)
    done = subprocess.run(
        [*python27, str(FOLDER / "original_py2.py")], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == capsys.readouterr().out


def test_what_the_formatter_does_not_see_fits_the_page() -> None:
    lines = (FOLDER / "original_py2.py").read_text(encoding="ascii").splitlines()
    assert [line for line in lines if len(line) > 60 or line != line.rstrip()] == []


# Each version alone.


def alone(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-u", "-m", f"{PACKAGE}.{name}", *arguments]


@pytest.mark.parametrize("name", VERSIONS)
def test_alone_it_explains_itself_and_refuses_nonsense(name: str) -> None:
    shown = subprocess.run(alone(name, "--help"), capture_output=True, text=True, timeout=30)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "generations (default: 5)" in shown.stdout
    refused = subprocess.run(alone(name, "--size", "0"), capture_output=True, text=True, timeout=30)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith("not '0'\n")


@pytest.mark.parametrize("name", VERSIONS)
def test_alone_it_ends_quietly_when_its_reader_has_gone(name: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            alone(name), stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", VERSIONS)
@pytest.mark.parametrize("to_group", [True, False], ids=["group", "parent"])
def test_alone_it_ends_at_once_on_ctrl_c(name: str, to_group: bool) -> None:
    with started(*alone(name, "--size", "100000000")) as version:
        assert version.stdout is not None
        assert version.stdout.readline() != ""  # it is at work
        (os.killpg if to_group else os.kill)(version.pid, signal.SIGINT)
        _, error = version.communicate()
    assert version.returncode == 130
    assert error.strip().endswith("interrupted")
    assert len(error.strip().splitlines()) == 1
