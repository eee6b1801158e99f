"""Generations come one by one; others run meanwhile; a cancellation finds its way."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.life import (
    Census,
    Cycle,
    EngineName,
    Generation,
    Grid,
    Rule,
    Simulation,
    Topology,
    classic,
    cycle,
    generations,
    make_engine,
    simulate,
)
from aconcur.life import _driver as pace
from aconcur.testing import cancel_everywhere, explore
from tests.support.life import by_the_book

Backend: TypeAlias = Literal["asyncio", "uvloop", "trio"]
SOUP = Grid.random(9, 14, seed=3)


class Fake:
    """An engine that counts; a clock may be told what a generation takes."""

    def __init__(self, *, nogil: bool = False) -> None:
        self.nogil = nogil
        self.lived = 0
        self.chunks: list[int] = []
        self.threads: set[int] = set()

    @property
    def population(self) -> int:
        return self.lived

    def step(self, n: int = 1, /) -> None:
        self.lived += n
        self.chunks.append(n)
        self.threads.add(threading.get_ident())

    def snapshot(self) -> Grid:
        return Grid(1, self.lived + 1)

    def state(self) -> bytes:
        return str(self.lived).encode()


@pytest.mark.parametrize("engine", ["bigint", "numpy", "numba"])
@pytest.mark.parametrize("topology", ["torus", "box"])
async def test_generations_come_in_order(engine: EngineName, topology: Topology) -> None:
    seen = [
        generation
        async for generation in simulate(
            SOUP, "B36/S125", every=3, stop=10, topology=topology, engine=engine
        )
    ]
    assert [generation.number for generation in seen] == [0, 3, 6, 9]
    for number, grid in seen:
        want = by_the_book(SOUP, Rule("B36/S125"), number, torus=topology == "torus")
        assert grid == want
    assert [generation.population for generation in seen] == [grid.population for _, grid in seen]


async def test_a_pattern_lives_on_the_plane() -> None:
    seen = [g async for g in simulate(classic("glider"), every=4 * 10**12, stop=4 * 10**12)]
    (_, first), (_, last) = seen
    assert (last.top - first.top, last.left - first.left) == (10**12, 10**12)
    assert last.bits == first.bits


async def test_stop_at_0_yields_the_start_alone() -> None:
    assert [tuple(g) async for g in simulate(SOUP, stop=0)] == [(0, SOUP)]


async def test_to_break_and_go_on() -> None:
    life = simulate(SOUP, stop=3)
    async for generation in life:
        if generation.number == 1:
            break
    assert repr(life) == "<Simulation: generation 1 of 3>"
    assert [generation.number async for generation in life] == [2, 3]


async def test_advance_to_goes_to_any_later_generation_and_the_iteration_goes_on_there() -> None:
    life = simulate(SOUP, every=2, stop=20)
    assert life.number == 0
    assert await life.advance_to(0) == (0, SOUP)
    assert await life.advance_to(5) == (5, by_the_book(SOUP, Rule("life"), 5))
    assert await life.advance_to(5) == (5, by_the_book(SOUP, Rule("life"), 5))
    assert life.number == 5
    assert [generation.number async for generation in life] == list(range(7, 20, 2))
    with pytest.raises(ValueError, match=r"generation 4 is over: .* is at generation 19"):
        await life.advance_to(4)
    with pytest.raises(ValueError, match="generation 21 is after the last one, 20"):
        await life.advance_to(21)
    part: Any = 19.5
    with pytest.raises(TypeError, match="number must be a whole number"):
        await life.advance_to(part)


async def test_advance_to_cancelled_keeps_what_was_computed() -> None:
    life, straight = simulate(SOUP), make_engine(SOUP)
    with anyio.move_on_after(0.02):
        await life.advance_to(10**9)
    reached = life.number
    assert 0 < reached < 10**9
    straight.step(reached)
    assert await life.advance_to(reached) == (reached, straight.snapshot())


async def test_a_census_counts_and_keeps_nothing() -> None:
    engine = Fake()
    seen = [census async for census in generations(engine, every=5, stop=12)]
    assert seen == [Census(0, 0), Census(5, 5), Census(10, 10)]
    assert repr(generations(engine)) == "<Censuses: generation 0>"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"every": 0}, "every must be at least 1, not 0"), ({"stop": -1}, "at least 0, not -1")],
)
def test_numbers_out_of_range_are_refused_at_the_call(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(SOUP, **options)
    with pytest.raises(ValueError, match=message):
        generations(Fake(), **options)


@pytest.mark.parametrize("option", ["every", "stop"])
@pytest.mark.parametrize("value", [1.5, 2.0, "3"])
def test_fractions_of_generations_are_refused_at_the_call(option: str, value: object) -> None:
    options: dict[str, Any] = {option: value}
    message = re.escape(f"{option} must be a whole number, not {value!r}")
    with pytest.raises(TypeError, match=message):
        simulate(SOUP, **options)
    with pytest.raises(TypeError, match=message):
        generations(Fake(), **options)


async def test_fractions_of_generations_are_refused_by_cycle_and_engines() -> None:
    part: Any = 0.5
    with pytest.raises(TypeError, match=r"limit must be a whole number, not 0\.5"):
        await cycle(SOUP, limit=part)
    for name in ("bigint", "numpy", "numba"):
        with pytest.raises(TypeError, match=r"the number of generations must be .*, not 0\.5"):
            make_engine(SOUP, engine=name).step(part)


# Beside others.


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Let every look at the clock be this many seconds after the last one."""
    step, looks = [0.0], count()
    monkeypatch.setattr(pace, "perf_counter", lambda: next(looks) * step[0])
    return iter([step])


async def turns_of_another(engine: Fake, lives: int) -> int:
    turns, had, done = 0, 0, False

    async def other() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await checkpoint()
        before = turns
        async for _ in generations(engine, every=lives, stop=lives):
            pass
        had, done = turns - before, True
    return had


async def test_a_generation_in_a_thread_is_looked_at_in_that_thread() -> None:
    class Watched(Fake):
        @property
        def population(self) -> int:
            self.threads.add(threading.get_ident())
            return self.lived

    engine = Watched(nogil=True)
    stream = generations(engine, every=3)
    assert await anext(stream) == (0, 0)
    engine.threads.clear()
    assert await anext(stream) == (3, 3)
    assert len(engine.threads) == 1
    assert threading.get_ident() not in engine.threads


async def test_one_visit_to_a_thread_takes_chunks_of_growing_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "perf_counter", lambda: 0.0)
    engine = Fake(nogil=True)
    async for _ in generations(engine, every=20, stop=20):
        pass
    assert engine.chunks == [1, 2, 4, 8, 5]
    assert len(engine.threads) == 1


async def test_other_tasks_run_once_a_millisecond(clock: Iterator[list[float]]) -> None:
    (step,) = clock
    step[0] = pace.BUDGET * 1.5
    engine = Fake()
    assert await turns_of_another(engine, 12) >= 12
    assert set(engine.chunks) == {1}


async def test_short_generations_are_lived_in_growing_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "perf_counter", lambda: 0.0)
    engine = Fake()
    async for _ in generations(engine, every=100, stop=100):
        pass
    assert engine.chunks == [1, 2, 4, 8, 16, 32, 37]


async def test_a_short_last_chunk_does_not_shorten_the_next_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "perf_counter", lambda: 0.0)
    engine = Fake()
    async for _ in generations(engine, every=10, stop=40):
        pass
    assert engine.chunks == [1, 2, 4, 3, 8, 2, 10, 10]


@pytest.mark.parametrize("nogil", [True, False])
async def test_a_long_generation_is_lived_in_a_thread(
    clock: Iterator[list[float]], nogil: bool
) -> None:
    (step,) = clock
    step[0] = pace.TOO_LONG_TO_HOLD * 1.5
    engine = Fake(nogil=nogil)
    async for _ in generations(engine, every=5, stop=5):
        pass
    assert engine.lived == 5
    assert (threading.get_ident() in engine.threads) is (not nogil)
    assert len(engine.threads) > (not nogil)


async def test_an_error_of_the_engine_comes_out_as_it_is() -> None:
    class Broken(Fake):
        def step(self, n: int = 1, /) -> None:  # noqa: ARG002
            raise LookupError("no cells today")

    for nogil in (False, True):
        with pytest.raises(LookupError, match="no cells today"):
            async for _ in generations(Broken(nogil=nogil)):
                pass


@pytest.mark.parametrize("engine", ["bigint", "numba"])
async def test_an_endless_step_can_be_cancelled(engine: EngineName) -> None:
    life = simulate(SOUP, every=10**15, engine=engine)
    assert (await anext(life)).number == 0
    with anyio.move_on_after(0.05) as scope:
        await anext(life)
    assert scope.cancelled_caught


@pytest.mark.parametrize("engine", ["hashlife", "numba"])
async def test_a_leap_on_the_plane_can_be_cancelled(engine: EngineName) -> None:
    # A soup: nothing in it is regular, and this one is far too large to be done in time.
    life = simulate(Grid.random(1200, 1200, seed=1), every=2**30, topology="plane", engine=engine)
    assert (await anext(life)).number == 0
    with anyio.move_on_after(0.05) as scope:
        await anext(life)
    assert scope.cancelled_caught


async def test_generations_before_a_cancellation_are_kept() -> None:
    life, straight = simulate(SOUP, every=10**5), make_engine(SOUP)
    await anext(life)
    with anyio.move_on_after(0.02):
        await anext(life)
    straight.step(10**5)
    assert tuple(await anext(life)) == (10**5, straight.snapshot())


# Every schedule, every step.


async def two_simulations() -> None:
    found: dict[str, list[Grid]] = {"a": [], "b": []}

    async def live(name: str) -> None:
        async for generation in simulate(SOUP, stop=1):
            found[name].append(generation.grid)
            await checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(live, "a")
        group.start_soon(live, "b")
    assert found["a"] == found["b"] == [by_the_book(SOUP, Rule("life"), n) for n in range(2)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_two_at_once_under_every_schedule(
    backend: Literal["asyncio", "trio"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BUDGET", 0.0)
    explore(two_simulations, backend=backend, bound=3).check()


class Cut:
    """A simulation that is cancelled anywhere, and asked for the rest afterwards."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.life = simulate(SOUP, every=2, stop=6)
        self.seen: list[int] = []

    async def run(self) -> None:
        self.begin()
        async for generation in self.life:
            self.seen.append(generation.number)

    def balance(self) -> None:
        async def rest() -> list[int]:
            return [generation.number async for generation in self.life]

        numbers = self.seen + anyio.run(rest)
        self.begin()  # the next run may be cancelled before it begins
        assert numbers == [0, 2, 4, 6]


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("threaded", [False, True])
def test_cancelled_at_every_step(
    backend: Backend, threaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BUDGET", 0.0)
    if threaded:
        monkeypatch.setattr(pace, "TOO_LONG_TO_HOLD", -1.0)
    cut = Cut()
    cancel_everywhere(cut.run, backend=backend, invariant=cut.balance, grace=1.0).check()


class Jump:
    """A jump that is cancelled anywhere, and repeated afterwards."""

    async def run(self) -> None:
        self.life = simulate(SOUP, every=3, stop=9)
        self.reached = (await self.life.advance_to(5)).number
        self.seen = [generation.number async for generation in self.life]

    def balance(self) -> None:
        async def rest() -> Generation:
            return await self.life.advance_to(9)

        assert anyio.run(rest) == (9, by_the_book(SOUP, Rule("life"), 9))


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("threaded", [False, True])
def test_advance_to_cancelled_at_every_step_can_be_repeated(
    backend: Backend, threaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BUDGET", 0.0)
    if threaded:
        monkeypatch.setattr(pace, "TOO_LONG_TO_HOLD", -1.0)
    jump = Jump()
    cancel_everywhere(jump.run, backend=backend, invariant=jump.balance, grace=1.0).check()


async def two_jumps() -> None:
    lives = [simulate(SOUP) for _ in range(2)]
    reached: list[Generation] = []

    async def jump(life: Simulation) -> None:
        reached.append(await life.advance_to(2))

    async with anyio.create_task_group() as group:
        for life in lives:
            group.start_soon(jump, life)
    assert reached == [(2, by_the_book(SOUP, Rule("life"), 2))] * 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_two_jumps_at_once_under_every_schedule(
    backend: Literal["asyncio", "trio"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BUDGET", 0.0)
    explore(two_jumps, backend=backend, bound=2).check()


# Cycles.


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("glider", Cycle(0, 4, 1, 1)),
        ("pulsar", Cycle(0, 3, 0, 0)),
        ("pentadecathlon", Cycle(0, 15, 0, 0)),
        ("lwss", Cycle(0, 4, 0, -2)),
        ("diehard", Cycle(130, 1, 0, 0)),
    ],
)
async def test_the_cycle_of_a_pattern(name: str, found: Cycle) -> None:
    known = await cycle(classic(name), limit=200)
    assert known is not None
    assert (known.transient, known.period) == (found.transient, found.period)
    assert (abs(known.dy), abs(known.dx)) == (abs(found.dy), abs(found.dx))


@pytest.mark.parametrize("engine", ["bigint", "numpy", "numba"])
@pytest.mark.parametrize("size", [5, 6, 70])
async def test_a_glider_on_a_torus_is_home_after_four_times_its_size(
    engine: EngineName, size: int
) -> None:
    grid = classic("glider").grid(size, size)
    assert await cycle(grid, engine=engine) == (0, 4 * size, 0, 0)


async def test_a_soup_on_a_torus_repeats_itself_in_the_end() -> None:
    soup = Grid.random(12, 12, seed=5)
    found = await cycle(soup)
    assert found is not None
    assert by_the_book(soup, Rule("life"), found.transient) == by_the_book(
        soup, Rule("life"), found.transient + found.period
    )
    engine = make_engine(soup)
    seen = []
    for _ in range(found.transient + found.period):
        seen.append(engine.state())
        engine.step()
    assert len(set(seen)) == len(seen)


async def test_a_pattern_that_does_not_repeat_within_the_limit_has_no_cycle() -> None:
    assert await cycle(classic("gosper-glider-gun"), limit=40) is None
    with pytest.raises(ValueError, match="limit must be at least 0, not -1"):
        await cycle(SOUP, limit=-1)


async def test_a_second_consumer_at_a_time_is_refused() -> None:
    stream = simulate(SOUP, every=10**9, engine="bigint")
    assert (await anext(stream)).number == 0
    asks = anyio.Event()

    async def ask() -> None:
        asks.set()
        await anext(stream)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await asks.wait()
        with anyio.fail_after(20), pytest.raises(anyio.BusyResourceError):
            await anext(stream)
        tasks.cancel_scope.cancel()
