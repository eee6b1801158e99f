"""Batches by weight, pipelines that begin with any operator, and progress of open()."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import Journal, PipelineReport, Run, flow, stage
from aconcur.testing import cancel_everywhere, explore


async def step(item: Any) -> Any:  # noqa: ANN401
    await anyio.lowlevel.checkpoint()
    return item


# ------------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("items", "batches"),
    [
        ([1, 2, 3, 4, 5], [[1, 2, 3], [4], [5]]),
        ([6, 1, 5], [[6], [1, 5]]),
        ([9, 9, 1], [[9], [9], [1]]),  # each alone exceeds the size
        ([0, 0, 6, 0, 1], [[0, 0, 6], [0, 1]]),
        ([], []),
    ],
)
async def test_a_batch_weighs_no_more_than_its_size(
    items: list[int], batches: list[list[int]]
) -> None:
    assert await flow(int).batch(6, weight=lambda item: item).collect(items) == batches


async def test_a_batch_by_weight_leaves_when_its_first_item_has_waited() -> None:
    taken = anyio.Event()

    async def items() -> AsyncIterator[int]:
        yield 1
        await taken.wait()
        yield 9
        yield 2

    pipeline = flow(int).batch(10, weight=lambda item: item, max_wait=0.01)
    async with pipeline.open(items()) as run:
        assert await anext(run) == [1]
        taken.set()
        assert [batch async for batch in run] == [[9], [2]]


async def test_an_item_that_waits_for_the_next_batch_is_inside() -> None:
    pipeline = flow(int).batch(5, weight=lambda item: item, buffer=1).map(step, buffer=1)
    async with pipeline.open([4, 3, 3, 3, 3, 3, 3]) as run:
        await anyio.wait_all_tasks_blocked()
        account = run.report.stages[0]
        assert account.inside == 1
        assert account.entered == account.out + account.inside
    account = run.report.stages[0]
    assert (account.inside, account.cancelled) == (0, 1)


async def test_with_a_journal_the_item_is_weighed(tmp_path: Any) -> None:  # noqa: ANN401
    pipeline = stage(step).batch(4, weight=len, name="by length").map(step, name="again")
    report = await pipeline.run(["a", "bcd", "efg"], journal=Journal(tmp_path / "j"))
    assert report.stages[1].emitted == 2


async def test_an_error_of_the_weight_ends_the_run() -> None:
    def weight(item: int) -> float:
        return 1 / item

    with pytest.raises(ZeroDivisionError):
        await flow(int).batch(5, weight=weight).run([1, 0], unwrap=True)
    with pytest.raises(TypeError, match="weight must be a function"):
        flow(int).batch(5, weight=3)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="size must be more than 0"):
        flow(int).batch(0, weight=len)


# ------------------------------------------------------------------- flow()


async def test_a_pipeline_begins_with_any_operator() -> None:
    assert await flow(int).filter(lambda item: item % 2).collect(range(5)) == [1, 3]
    assert await flow(str).flat_map(list).collect(["ab", "c"]) == ["a", "b", "c"]
    assert await flow(int).batch(2).collect(range(3)) == [[0, 1], [2]]
    assert sorted(await flow(int).merge([3]).collect([1, 2])) == [1, 2, 3]
    assert await flow(int).rate_limit(1000, burst=9).map(step).collect([1, 2]) == [1, 2]
    assert await (flow(int) | stage(step)).collect([1]) == [1]
    assert await (stage(step) | flow()).collect([1]) == [1]


async def test_a_pipeline_without_stages_cannot_run() -> None:
    assert repr(flow(int)) == "<Pipeline without stages>"
    with pytest.raises(ValueError, match="the pipeline has no stages"):
        await flow(int).run([1])
    with pytest.raises(ValueError, match="the pipeline has no stages"):
        await stage(step).merge(flow(int).fed_by([1])).run([1])


# ------------------------------------------------------------------- progress


async def test_an_open_run_shows_its_progress_and_its_total() -> None:
    reports = list[PipelineReport]()
    pipeline = stage(step)
    async with pipeline.open(iter(range(3)), progress=reports.append, total=3) as run:
        assert isinstance(run, Run)
        assert [item async for item in run] == [0, 1, 2]
    assert reports[-1].ended
    assert (reports[-1].finished, reports[-1].total) == (3, 3)


async def test_a_total_that_is_given_counts_more_than_a_length() -> None:
    assert (await stage(step).run([1, 2], total=5)).total == 5
    assert (await stage(step).run([1, 2])).total == 2
    with pytest.raises(ValueError, match="total must be at least 0"):
        stage(step).open([1], total=-1)


# -- schedules and cancellation --------------------------------------------------------------------


async def batches() -> None:
    run = None
    try:
        pipeline = stage(step, workers=2).batch(3, weight=lambda item: item, buffer=1)
        async with pipeline.open([2, 2, 1]) as run:
            assert [batch async for batch in run] == [[2], [2, 1]]
    finally:
        if run is not None:
            for account in run.report.stages:
                assert account.inside == 0
                assert account.entered == account.out + account.cancelled


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_batches_are_the_same_under_every_schedule(backend: Literal["asyncio", "trio"]) -> None:
    explore(batches, backend=backend, bound=3, schedules=80).check()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_anywhere_the_accounts_add_up(
    backend: Literal["asyncio", "uvloop", "trio"],
) -> None:
    cancel_everywhere(batches, backend=backend, grace=1.0).check()
