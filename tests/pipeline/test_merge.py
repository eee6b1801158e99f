"""merge: several sources, and pipelines with sources of their own, in one run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.pipeline import SKIP, THREADS, Queue, Run, stage
from aconcur.testing import cancel_everywhere, explore

Backend: TypeAlias = Literal["asyncio", "trio"]


async def same(item: int) -> int:
    await checkpoint()
    return item


async def negative(item: int) -> int:
    await checkpoint()
    return -item


def opposite(item: int) -> int:
    return -item


async def odd_fails(item: int) -> int:
    await checkpoint()
    if item % 2:
        raise ValueError(item)
    return item


async def numbers(start: int, stop: int) -> AsyncIterator[int]:
    for number in range(start, stop):
        await checkpoint()
        yield number


def balanced(run: Run[Any]) -> None:
    for account in run.report.stages:
        done = account.out + account.filtered + account.failed + account.cancelled
        assert (account.entered, account.inside) == (done, 0), account


@pytest.mark.parametrize("size", [0, 1, 50, 500])
async def test_all_items_of_all_sources(size: int) -> None:
    queue = Queue[int]()
    queue.put_nowait(10_000)
    queue.close()
    pipeline = stage(same, workers=3).merge(
        range(size, 2 * size),
        numbers(2 * size, 3 * size),
        queue,
        stage(negative, workers=2).fed_by(range(1, size)),
    )
    results = await pipeline.map(same, workers=2).collect(range(size))
    assert sorted(results) == [*range(1 - size, 0), *range(3 * size), 10_000]
    for part in (range(size), range(size, 2 * size), range(2 * size, 3 * size)):
        assert [item for item in results if item in part] == list(part)


async def test_they_take_turns() -> None:
    async with stage(same).merge(range(100, 200), range(200, 300), buffer=1).open(range(99)) as run:
        first = [await anext(run) for _ in range(30)]
    for hundred in range(3):
        assert 8 <= sum(item // 100 == hundred for item in first) <= 12


async def test_one_that_waits_holds_up_no_other() -> None:
    async def never() -> AsyncIterator[int]:
        await anyio.sleep_forever()
        yield 1

    async with stage(same).merge(never()).open(range(20)) as run:
        assert [await anext(run) for _ in range(20)] == list(range(20))


async def test_a_merged_pipeline_is_part_of_the_run() -> None:
    failing = stage(odd_fails, on_error=SKIP).filter(lambda item: item > 0).fed_by(range(6))
    async with stage(same).merge(failing).open(range(10)) as run:
        results = [item async for item in run]
    assert sorted(results) == sorted([*range(10), 2, 4])
    assert [(one.name, one.entered, one.out) for one in run.report.stages] == [
        ("same", 10, 10),
        ("odd_fails", 6, 3),
        ("<lambda>", 3, 2),
        ("merge", 12, 12),
    ]
    assert run.report.delivered == 12
    balanced(run)


async def test_an_error_of_a_merged_pipeline_ends_the_run() -> None:
    merged = stage(same).merge(stage(odd_fails).fed_by([0, 1]))
    with pytest.raises(ValueError, match="1") as caught:
        await merged.collect(range(10), unwrap=True)
    assert caught.value.__notes__ == ["in stage 'odd_fails', item: 1"]


async def test_merged_twice_and_within_each_other() -> None:
    inner = stage(same).merge([1], [2]).fed_by([3])
    pipeline = stage(same).merge(inner).rate_limit(1e9).merge([4], buffer=1)
    assert sorted(await pipeline.collect([5])) == [1, 2, 3, 4, 5]
    # A value: what can be iterated over again has its items again.
    assert sorted(await pipeline.collect([6])) == [1, 2, 3, 4, 6]


async def test_threads_in_a_merged_pipeline_end_with_the_run() -> None:
    blocking = stage(opposite, workers=3, via=THREADS).fed_by(range(-50, 0))
    assert sorted(await stage(same).merge(blocking).collect([0])) == list(range(51))


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_drain_stops_all_sources(asynchronous: bool) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 0

    async def async_endless() -> AsyncIterator[int]:
        for item in endless():
            await checkpoint()
            yield item

    other: Any = async_endless() if asynchronous else endless()
    pipeline = stage(same).merge(other, stage(same, workers=2).fed_by(endless()))
    async with pipeline.open(endless()) as run:
        await anext(run)
        run.drain()
        async for _ in run:
            pass
    assert {account.cancelled for account in run.report.stages} == {0}
    balanced(run)


def test_it_needs_something_to_merge() -> None:
    with pytest.raises(ValueError, match="at least one other source, not 0"):
        stage(same).merge()


def test_its_repr() -> None:
    assert repr(stage(same, workers=2).merge([1]).rate_limit(5)) == (
        "<Pipeline same ×2 | merge | rate_limit>"
    )


# ----------------------------------------------------------- every schedule


async def with_an_iterator() -> None:
    pipeline = stage(same, buffer=1).merge([10, 11], buffer=1)
    async with pipeline.open([1, 2]) as run:
        results = [item async for item in run]
    assert sorted(results) == [1, 2, 10, 11]
    assert [item for item in results if item < 10] == [1, 2]
    balanced(run)


async def with_a_pipeline() -> None:
    other = stage(negative, buffer=1).fed_by([1, 2])
    pipeline = stage(same, buffer=1).merge(other, buffer=1)
    async with pipeline.open([]) as run:
        results = [item async for item in run]
    assert sorted(results) == [-2, -1]
    assert [item for item in results if item < 0] == [-1, -2]
    balanced(run)


async def with_an_async_source() -> None:
    pipeline = stage(same, buffer=1).merge(numbers(5, 7), buffer=1)
    assert sorted(await pipeline.collect([1])) == [1, 5, 6]


async def with_all_kinds_of_sources() -> None:
    other = stage(negative, buffer=1).fed_by([1, 2])
    pipeline = stage(same, buffer=1).merge(other, numbers(5, 7), [8], buffer=1)
    async with pipeline.open([3]) as run:
        assert sorted([item async for item in run]) == [-2, -1, 3, 5, 6, 8]
    balanced(run)


async def drained() -> None:
    pipeline = stage(same, buffer=1).merge(range(10, 20), buffer=1)
    async with pipeline.open(range(10)) as run:
        results = [await anext(run)]
        run.drain()
        results += [item async for item in run]
    assert len(set(results)) == len(results) == run.report.delivered
    assert {account.cancelled for account in run.report.stages} == {0}
    balanced(run)


async def left_by_its_consumer() -> None:
    pipeline = stage(same, buffer=1).merge(range(100), buffer=1)
    async with pipeline.open(range(100)) as run:
        await anext(run)
    balanced(run)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "scenario",
    [with_an_iterator, with_a_pipeline, with_an_async_source, drained],
)
def test_under_every_schedule(
    scenario: Callable[[], Coroutine[Any, Any, None]], backend: Backend
) -> None:
    found = explore(scenario, backend=backend, bound=3, schedules=50_000)
    found.check()
    assert found.exhausted


# With a bound of 3 these have thousands of schedules each.
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("scenario", "bound"), [(with_all_kinds_of_sources, 1), (left_by_its_consumer, 2)]
)
def test_under_every_schedule_of_a_larger_scenario(
    scenario: Callable[[], Coroutine[Any, Any, None]], backend: Backend, bound: int
) -> None:
    found = explore(scenario, backend=backend, bound=bound, schedules=50_000)
    found.check()
    assert found.exhausted


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_at_every_step(backend: Literal["asyncio", "uvloop", "trio"]) -> None:
    runs: list[Run[int]] = []

    async def run() -> None:
        other = stage(negative, buffer=1).fed_by([1, 2])
        pipeline = stage(same, buffer=1).merge(other, numbers(5, 6), buffer=1)
        async with pipeline.open([1]) as opened:
            runs[:] = [opened]
            async for _ in opened:
                pass

    def books() -> None:
        for one in runs:
            balanced(one)

    cancel_everywhere(run, backend=backend, invariant=books, grace=1.0).check()
