"""Compilations run in a thread; a cancelled waiter leaves at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any, Literal

import anyio
import pytest

from aconcur.errors import MissingRequirementError
from aconcur.life import Grid, Pattern, classic, generations, make_engine, simulate
from aconcur.life import _make_engine as engines
from aconcur.life._engines import compilation as compiling
from aconcur.life._engines.compilation import Compilation, ensure_compiled
from aconcur.life._hashlife.engine import compile_plane
from aconcur.testing import cancel_everywhere

SOUP = Grid.random(9, 14, seed=3)


class Slow:
    """A compilation that is done when a test says so."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.times = 0
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.times += 1
        self.begun.set()
        assert self.may_end.wait(60)
        if self.error is not None:
            raise self.error


@pytest.fixture
def slow() -> Iterator[Slow]:
    work = Slow()
    yield work
    work.may_end.set()
    for thread in threading.enumerate():
        if thread.name == "aconcur compiles":
            thread.join()


async def begun(work: Slow) -> None:
    await anyio.to_thread.run_sync(work.begun.wait)


async def test_a_cancelled_waiter_leaves_at_once_and_may_come_back(slow: Slow) -> None:
    what = Compilation(slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ensure_compiled, what)
        await begun(slow)
        tasks.cancel_scope.cancel()
    assert not slow.may_end.is_set(), "the cancellation has waited"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ensure_compiled, what)
        tasks.start_soon(ensure_compiled, what)
        await anyio.wait_all_tasks_blocked()
        slow.may_end.set()
    await ensure_compiled(what)
    assert slow.times == 1


async def test_a_failed_compilation_raises_its_error_and_is_tried_again(slow: Slow) -> None:
    slow.error = LookupError("no compiler today")
    slow.may_end.set()
    for times in (1, 2):
        with pytest.raises(LookupError, match="no compiler today"):
            await ensure_compiled(Compilation(slow))
        assert slow.times == times
    slow.error = None
    await ensure_compiled(Compilation(slow))
    await ensure_compiled(Compilation(slow))
    assert slow.times == 3


@pytest.mark.parametrize("start", [SOUP, classic("glider")], ids=["torus", "plane"])
async def test_a_simulation_that_compiles_can_be_cancelled_and_goes_on(
    slow: Slow, start: Grid | Pattern, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begins(*_: object) -> None:
        slow()

    monkeypatch.setattr(engines, "compile_rule", begins)
    monkeypatch.setattr(engines, "compile_plane", begins)
    life = simulate(start, engine="numba", stop=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anext, life)
        await begun(slow)
        tasks.cancel_scope.cancel()
    slow.may_end.set()
    assert [generation.number async for generation in life] == [0, 1]
    assert slow.times == 1


@pytest.mark.parametrize("start", [SOUP, classic("glider")], ids=["torus", "plane"])
async def test_an_engine_of_your_own_is_compiled_in_a_thread(
    start: Grid | Pattern, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "_jobs", {})
    engine: Any = make_engine(start, engine="numba")
    counts = [count.number async for count in generations(engine, stop=2)]
    assert counts == [0, 1, 2]
    assert engine.compilation in compiling._jobs


def test_a_missing_numba_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_jobs", {})
    monkeypatch.setitem(sys.modules, "aconcur.life._hashlife.node_tables", None)
    with pytest.raises(MissingRequirementError, match=r"numba.*install aconcur\[life\]"):
        anyio.run(ensure_compiled, Compilation(compile_plane))


class Cut:
    """A compiled simulation that is cancelled anywhere, and asked for the rest afterwards."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.life = simulate(SOUP, every=2, stop=4, engine="numba")
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
        assert numbers == [0, 2, 4]


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_at_every_step(backend: Literal["asyncio", "uvloop", "trio"]) -> None:
    cut = Cut()
    anyio.run(cut.run)
    cancel_everywhere(cut.run, backend=backend, invariant=cut.balance, grace=1.0).check()
