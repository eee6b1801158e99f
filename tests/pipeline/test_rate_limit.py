"""rate_limit: how often items pass, wherever the run is held up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Literal, TypeAlias

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from aconcur.pipeline import COLLECT, SKIP, THREADS, Limiter, Pipeline, Retry, Run, stage
from aconcur.testing import cancel_everywhere, explore
from tests.support.states import until

Backend: TypeAlias = Literal["asyncio", "trio"]
BACKENDS: tuple[Backend, ...] = ("asyncio", "trio")
LATE = 1e-6


async def same(item: int) -> int:
    await checkpoint()
    return item


class Clocked:
    """A function of a stage that notes when it was called, in virtual time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.times = seconds, list[float]()

    async def __call__(self, item: int) -> int:
        self.times.append(anyio.current_time())
        if self.seconds:
            await anyio.sleep(self.seconds)
        return item

    def gaps(self) -> list[float]:
        return [later - time for time, later in zip(self.times, self.times[1:], strict=False)]


def balanced(run: Run[Any]) -> None:
    for account in run.report.stages:
        done = account.out + account.filtered + account.failed + account.cancelled
        assert account.entered == done + account.inside, account


def in_virtual_time(
    scenario: Callable[[], Coroutine[Any, Any, None]], backend: Backend, bound: int = 3
) -> None:
    found = explore(scenario, backend=backend, bound=bound, schedules=50_000)
    found.check()
    assert found.exhausted


@pytest.mark.parametrize("backend", BACKENDS)
def test_items_are_spaced(backend: Backend) -> None:
    async def run() -> None:
        clock = Clocked()
        started = anyio.current_time()
        paced = stage(same, buffer=1).rate_limit(2, per=10).map(clock, buffer=1)
        assert await paced.collect(range(2)) == [0, 1]
        assert clock.gaps() == pytest.approx([5], abs=LATE)
        assert clock.times[0] == pytest.approx(started, abs=LATE)

    in_virtual_time(run, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_burst_passes_at_once_and_fills_up_in_a_pause(backend: Backend) -> None:
    async def run() -> None:
        clock = Clocked()
        async with stage(same, buffer=1).rate_limit(1, burst=3).map(clock).open(range(5)) as runs:
            assert [await anext(runs) for _ in range(4)] == [0, 1, 2, 3]
            await anyio.sleep(100)
            assert [item async for item in runs] == [4]
        assert clock.gaps() == pytest.approx([0, 0, 1, 1], abs=LATE)
        balanced(runs)

    in_virtual_time(run, backend, bound=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_waits_for_a_busy_stage_does_not_bunch(backend: Backend) -> None:
    """The third waits for the workers from 2 to 10; the fourth leaves one gap after it."""

    async def run() -> None:
        clock = Clocked(10)
        paced = stage(same, buffer=1).rate_limit(1).map(clock, workers=2)
        assert await paced.collect(range(5)) == [0, 1, 2, 3, 4]
        assert min(clock.gaps()) >= 1 - LATE
        assert clock.gaps() == pytest.approx([1, 9, 1, 9], abs=LATE)

    in_virtual_time(run, backend, bound=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_runs_of_one_pipeline_share_the_limit(backend: Backend) -> None:
    async def run() -> None:
        clock = Clocked()
        paced = stage(same).rate_limit(1).map(clock)
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(paced.run, range(2))
        await paced.run(range(1))
        assert clock.gaps() == pytest.approx([1, 1, 1, 1], abs=LATE)

    in_virtual_time(run, backend, bound=1)


def test_runs_on_other_loops_are_limited_by_themselves() -> None:
    clock = Clocked()
    paced = stage(same).rate_limit(1, per=1000).map(clock)

    async def first_of_two() -> None:
        async with paced.open(range(2)) as run:
            await anext(run)
            done = await anyio.to_thread.run_sync(paced.run_sync, range(1))
            assert done.delivered == 1

    anyio.run(first_of_two)
    assert len(clock.times) == 2


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_tried_again_passes_the_limit_again(backend: Backend, workers: int) -> None:
    async def run() -> None:
        clock, failed = Clocked(), set[int]()

        async def fails_once(item: int) -> int:
            await clock(item)
            if item not in failed:
                failed.add(item)
                raise ConnectionError
            return item

        paced = (
            stage(same).rate_limit(1).map(fails_once, workers=workers, retry=Retry(3, backoff=0.1))
        )
        async with paced.open(range(2)) as runs:
            assert [item async for item in runs] == [0, 1]
        assert clock.gaps() == pytest.approx([1, 1, 1], abs=LATE)
        assert runs.report.stages[2].retried == 2
        balanced(runs)

    in_virtual_time(run, backend, bound=1)


def test_another_attempt_comes_before_the_first_at_later_items() -> None:
    async def run() -> None:
        calls = list[int]()

        async def every_other_fails(item: int) -> None:
            calls.append(item)
            if len(calls) % 2:
                raise ConnectionError

        paced = stage(same).rate_limit(40)
        retry = Retry(2, backoff=0.001)
        await paced.map(every_other_fails, workers=4, retry=retry).run(range(8))
        assert calls == [item // 2 for item in range(16)]

    in_virtual_time(run, "asyncio", bound=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_items_of_two_limits_pass_both(backend: Backend) -> None:
    async def run() -> None:
        clock = Clocked()
        pipeline = stage(same).rate_limit(1, per=2).rate_limit(1, burst=2).filter(clock)
        await pipeline.map(same).run(range(1, 5))
        assert clock.gaps() == pytest.approx([2, 2, 2], abs=LATE)

    in_virtual_time(run, backend, bound=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_count(backend: Backend) -> None:
    async def run() -> None:
        clock = Clocked()
        pipeline = stage(same).rate_limit(10, weight=lambda item: item)
        await pipeline.map(clock, workers=2).run([10, 5, 1])
        assert clock.gaps() == pytest.approx([0.5, 0.1], abs=LATE)
        # Without a function behind it, an item counts when it is taken.
        async with pipeline.open([5, 10]) as runs:
            started = anyio.current_time()
            assert [item async for item in runs] == [5, 10]
        assert anyio.current_time() - started == pytest.approx(1.5, abs=LATE)

    in_virtual_time(run, backend, bound=1)


async def test_what_was_admitted_begins_at_once_in_a_thread() -> None:
    """Items that were admitted and then waited in line for a thread would go off together."""
    begun, may_end = list[int](), threading.Event()

    def blocking(item: int) -> None:
        begun.append(item)
        may_end.wait(10)

    limiter = Limiter(1000, per=1000)
    async with stage(blocking, workers=2, via=THREADS, limiter=limiter).open(range(9)) as run:
        await until(lambda: len(begun) == 2)
        await anyio.wait_all_tasks_blocked()
        assert limiter.statistics().used == (2,)
        may_end.set()
        async for _ in run:
            pass


async def test_at_most_a_few_items_are_drawn_while_one_waits() -> None:
    drawn = 0

    def leases() -> Iterator[int]:
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn

    async with (
        stage(same, buffer=1).rate_limit(1, per=1000).map(same, workers=50).open(leases()) as run
    ):
        await anext(run)
        await anyio.wait_all_tasks_blocked()
    assert drawn <= 6


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancelled_while_it_waits(backend: Backend) -> None:

    async def run() -> None:
        drawn: list[int] = []

        def source() -> Iterator[int]:
            for item in range(9):
                drawn.append(item)
                yield item

        with anyio.move_on_after(2.5):
            async with stage(same).rate_limit(1).open(source()) as runs:
                taken = [await anext(runs) for _ in range(4)]
                pytest.fail(f"{taken} passed in 2.5 seconds")
        first, limit = runs.report.stages
        assert (limit.out, limit.entered) == (3, first.out)
        assert first.entered == len(drawn)
        balanced(runs)

    in_virtual_time(run, backend, bound=2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_drained_while_it_waits(backend: Backend) -> None:
    async def run() -> None:
        pipeline = stage(same, buffer=1).rate_limit(1)
        async with pipeline.open(range(1000)) as runs:
            results = [await anext(runs)]
            runs.drain()
            results += [item async for item in runs]
        assert results == list(range(len(results)))
        assert {account.cancelled for account in runs.report.stages} == {0}
        balanced(runs)

    in_virtual_time(run, backend)


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_at_every_step(backend: Literal["asyncio", "uvloop", "trio"]) -> None:
    runs: list[Run[int]] = []

    async def run() -> None:
        pipeline = stage(same, workers=2, buffer=1).rate_limit(1000, burst=2).map(same)
        async with pipeline.open(range(4)) as opened:
            runs[:] = [opened]
            async for _ in opened:
                pass

    def books() -> None:
        for one in runs:
            balanced(one)
            assert {account.inside for account in one.report.stages} == {0}

    cancel_everywhere(run, backend=backend, invariant=books, grace=1.0).check()


async def test_failures_upstream_take_no_token() -> None:
    async def odd_fails(item: int) -> int:
        if item % 2:
            raise ValueError(item)
        return item

    pipeline = stage(odd_fails, on_error=SKIP).rate_limit(1e9, burst=10)
    pipeline = pipeline.map(odd_fails, on_error=COLLECT)
    report = await pipeline.run(range(10))
    assert [account.entered for account in report.stages] == [10, 5, 5]


async def test_a_limit_that_holds_the_run_up_is_named() -> None:
    report = await stage(same).rate_limit(200, name="quota").map(same).run(range(4))
    assert report.bottleneck == report.stages[1]
    assert report.suggestion.startswith("quota is the bottleneck: ")
    assert report.suggestion.endswith("; it lets no more through")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": 0}, "items must be more than 0, not 0"),
        ({"items": float("nan")}, "items must be more than 0, not nan"),
        ({"items": 1, "per": 0}, "per must be more than 0 seconds, not 0"),
        ({"items": 1, "burst": 0}, "burst must be at least 1, not 0"),
    ],
)
def test_what_is_out_of_range(arguments: dict[str, Any], message: str) -> None:
    pipeline: Pipeline[int, int] = stage(same)
    with pytest.raises(ValueError, match=message):
        pipeline.rate_limit(**arguments)
