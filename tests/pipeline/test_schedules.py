"""Pipelines under every schedule: batches, iterators, errors, drains, consumers that leave."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.pipeline import COLLECT, Pipeline, Queue, Run, stage
from aconcur.testing import explore

Backend: TypeAlias = Literal["asyncio", "trio"]
Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


async def same(item: int) -> int:
    await checkpoint()
    return item


async def odd_fails(item: int) -> int:
    await checkpoint()
    if item % 2:
        raise ValueError(item)
    return item


def twice(item: int) -> Iterator[int]:
    yield item
    yield item


async def in_batches() -> None:
    pipeline = stage(same, workers=2, buffer=1).batch(2, buffer=1)
    assert await pipeline.collect(range(3)) == [[0, 1], [2]]


async def one_becomes_two() -> None:
    pipeline = stage(same, buffer=1).flat_map(twice, workers=2, buffer=1)
    assert await pipeline.collect(range(3)) == [0, 0, 1, 1, 2, 2]


async def fed_by_a_queue() -> None:
    queue = Queue[int](1)

    async def produce() -> None:
        with queue.producer():
            await queue.put_many([1, 2, 3])

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        assert await stage(same, workers=2, buffer=1).collect(queue) == [1, 2, 3]


async def failing() -> None:
    pipeline = stage(odd_fails, workers=2, buffer=1, on_error=COLLECT)
    async with pipeline.open(range(4)) as run:
        assert [item async for item in run] == [0, 2]
    assert sorted(failure.item for failure in run.failures) == [1, 3]
    balanced(run)


async def ended_by_an_error() -> None:
    run: Run[int] | None = None
    try:
        async with stage(odd_fails, workers=2, buffer=1).open(range(3), unwrap=True) as run:
            async for _ in run:
                pass
    except ValueError:
        assert run is not None
        assert [failure.item for failure in run.failures] == [1]
    else:
        pytest.fail("no error came out")
    balanced(run)


async def drained() -> None:
    pipeline = stage(same, workers=2, buffer=1).map(same, buffer=1)
    async with pipeline.open(range(100)) as run:
        results = [await anext(run)]
        run.drain()
        results += [item async for item in run]
    assert results == list(range(len(results)))
    assert {account.cancelled for account in run.report.stages} == {0}
    balanced(run)


async def left_by_its_consumer() -> None:
    pipeline = stage(same, workers=2, buffer=1).map(same, buffer=1)
    async with pipeline.open(range(2)) as run:
        assert await anext(run) == 0
    balanced(run)


async def left_while_all_is_full() -> None:
    pipeline = stage(same, workers=2, buffer=1).map(same, buffer=1)
    async with pipeline.open(range(100)) as run:
        assert await anext(run) == 0
    balanced(run)


async def cancelled_from_outside() -> None:
    pipeline: Pipeline[int, int] = stage(same, workers=2, buffer=1)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel, scope)
            async with pipeline.open(range(100)) as run:
                async for _ in run:
                    pass
    balanced(run)


async def late_or_not() -> None:
    """Item 0 is done at the very moment at which its time is over; 1 never ends; 2 is quick."""

    async def work(item: int) -> int:
        await anyio.sleep((5, 100, 0)[item])
        return item

    pipeline = stage(work, workers=2, buffer=1, timeout=5, on_error=COLLECT).map(same, buffer=1)
    async with pipeline.open(range(3)) as run:
        results = [item async for item in run]
    assert results in ([0, 2], [2])
    assert sorted([*results, *(failure.item for failure in run.failures)]) == [0, 1, 2]
    assert {type(failure.error) for failure in run.failures} == {TimeoutError}
    balanced(run)


async def late_and_cancelled() -> None:
    """Who is cancelled from outside at the moment at which the time is over is cancelled."""
    with anyio.move_on_after(5):
        async with stage(never, timeout=5, buffer=1, on_error=COLLECT).open(range(3)) as run:
            async for _ in run:
                pass
    account = run.report.stages[0]
    assert account.failed + account.cancelled == account.entered
    balanced(run)


async def never(_: int) -> None:
    await anyio.sleep_forever()


async def all_or_cancelled() -> None:
    """What is cancelled does not pass for finished."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel, scope)
            assert await stage(same, workers=2, buffer=1).collect(range(2)) == [0, 1]


async def all_of_two_stages_or_cancelled() -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel, scope)
            results = await stage(same, workers=2, buffer=1).map(same, buffer=1).collect(range(3))
            assert results == [0, 1, 2]


async def cancel(scope: anyio.CancelScope) -> None:
    await checkpoint()
    scope.cancel()


def balanced(run: Run[Any]) -> None:
    for account in run.report.stages:
        done = account.out + account.filtered + account.failed + account.cancelled
        assert (account.entered, account.inside) == (done, 0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "scenario",
    [
        in_batches,
        one_becomes_two,
        fed_by_a_queue,
        failing,
        ended_by_an_error,
        drained,
        left_by_its_consumer,
        all_or_cancelled,
        late_or_not,
        late_and_cancelled,
    ],
)
def test_under_every_schedule(scenario: Scenario, backend: Backend) -> None:
    found = explore(scenario, backend=backend, bound=3, schedules=20_000)
    found.check()
    assert found.exhausted


# With a bound of 3 these have some 5 000 schedules each.
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "scenario", [left_while_all_is_full, cancelled_from_outside, all_of_two_stages_or_cancelled]
)
def test_under_every_schedule_of_a_larger_scenario(scenario: Scenario, backend: Backend) -> None:
    found = explore(scenario, backend=backend, bound=2, schedules=20_000)
    found.check()
    assert found.exhausted
