"""Reports tell the truth, and their advice helps if it is followed."""

from __future__ import annotations

import inspect
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from aconcur.parallel import open_pool
from aconcur.pipeline import (
    SKIP,
    THREADS,
    Journal,
    Pipeline,
    PipelineReport,
    Retry,
    StageOptions,
    stage,
)


async def blocks(item: int) -> int:
    time.sleep(0.03)  # noqa: ASYNC251 - that is the mistake
    return item


def blocks_in_a_thread(item: int) -> int:
    time.sleep(0.03)
    return item


async def test_a_stage_that_blocks_the_loop_is_named_and_the_advice_helps() -> None:
    report = await stage(blocks, workers=4).run(range(8))
    assert report.suggestion.startswith("blocks holds the event loop, up to ")
    assert "run it via=THREADS" in report.suggestion
    assert report.stages[0].longest_hold >= 0.02
    assert report.stages[0].held_loop >= 0.5
    assert "held loop" in str(report)
    followed = await stage(blocks_in_a_thread, workers=4, via=THREADS).run(range(8))
    assert followed.seconds < 0.75 * report.seconds
    assert followed.stages[0].longest_hold == 0


async def test_a_plain_function_that_blocks_the_loop_is_named() -> None:
    report = await stage(blocks_in_a_thread, workers=4).run(range(4))
    assert report.suggestion.startswith("blocks_in_a_thread holds the event loop")


@pytest.mark.parametrize("later", [False, True])
async def test_a_source_that_blocks_the_loop_is_named(later: bool) -> None:
    def slow(count: int) -> Iterator[int]:
        for item in range(count):
            time.sleep(0.01)
            yield item

    async def slow_later() -> AsyncIterator[int]:
        for item in slow(5):
            yield item

    report = await stage(same).run(slow_later() if later else slow(5))
    assert report.suggestion.startswith("the source holds the event loop, up to ")
    assert report.source_longest_hold >= 0.009
    assert report.to_dict()["source_held"] == report.source_held >= 0.5
    followed = await stage(same).run(slow(5), via=THREADS)
    assert followed.source_held == 0
    # All items of a slow source are measured, and the first ones of a quick one.
    assert (await stage(same).run(slow(40))).source_held >= 0.5
    assert (await stage(same).run(range(10_000))).source_held < 0.1


async def test_a_consumer_that_comes_late_is_the_bottleneck() -> None:
    async with stage(same).open(range(8)) as run:
        async for _ in run:
            await anyio.sleep(0.01)
    assert run.report.suggestion.startswith("the consumer is the bottleneck")


async def test_attempts_are_counted_and_waits_before_them_are_not_work() -> None:
    calls = 0

    async def flaky(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise ConnectionError

    report = await stage(flaky, retry=Retry(3, backoff=0.02)).run(range(5))
    [account] = report.stages
    assert account.retried == 10
    assert account.backed_off > 0.5
    assert account.busy < 0.5
    assert "10 of 15 attempts failed" in report.suggestion
    assert str(report).splitlines()[0].split().count("retried") == 1


async def test_raising_workers_helps_where_it_is_advised() -> None:
    async def wait(item: int) -> int:
        await anyio.sleep(0.01)
        return item

    report = await stage(wait).run(range(12))
    assert "raise workers=1" in report.suggestion
    followed = await stage(wait, workers=4).run(range(12))
    assert followed.seconds < 0.75 * report.seconds


async def test_short_calls_are_not_helped_by_workers_but_by_larger_items() -> None:
    def double(item: int) -> int:
        return 2 * item

    def double_all(items: list[int]) -> list[int]:
        return [double(item) for item in items]

    report = await stage(double).run(range(20_000))
    assert "more workers do not help; make the items larger" in report.suggestion
    several = [[*range(first, first + 100)] for first in range(0, 20_000, 100)]
    followed = await stage(double_all).run(several)
    assert followed.seconds < 0.75 * report.seconds


async def test_calls_that_compute_in_the_loop_are_not_helped_by_workers() -> None:
    def compute(item: int) -> int:
        return sum(range(item + 500_000))  # some ms on any machine

    for workers in (1, 4):
        report = await stage(compute, workers=workers).run(range(20))
        assert report.suggestion.startswith("compute holds the event loop, up to ")
        assert "via= a pool of processes if it computes" in report.suggestion


async def test_workers_that_wait_for_an_executor_are_advised_to_enlarge_it() -> None:
    async def seconds(threads: int, workers: int) -> tuple[float, str]:
        with ThreadPoolExecutor(threads) as executor:
            report = await stage(blocks_in_a_thread, workers=workers, via=executor).run(range(8))
        return report.seconds, report.suggestion

    full, advice = await seconds(2, 4)
    assert "its executor makes 2 calls at once: give it more" in advice
    followed, advice = await seconds(4, 4)
    assert followed < 0.75 * full
    few, advice = await seconds(8, 2)
    assert advice.endswith("raise workers=2: its executor makes 8 calls at once")
    followed, _ = await seconds(8, 8)
    assert followed < 0.75 * few


async def test_a_pool_tells_how_many_calls_it_makes_at_once() -> None:
    async with open_pool(2) as pool:
        report = await stage(blocks_in_a_thread, workers=4, via=pool).run(range(6))
    assert report.stages[0].executor_size == 2
    assert "its executor makes 2 calls at once" in report.suggestion


@pytest.mark.parametrize("kind", ["threads", "executor"])
def test_the_latency_of_a_thread_is_the_calls_own_time(kind: str) -> None:
    took: list[float] = []

    def call(item: int) -> int:
        began = time.perf_counter()
        blocks_in_a_thread(item)
        took.append(time.perf_counter() - began)
        return item

    with ThreadPoolExecutor(1) as executor:
        via: Any = THREADS if kind == "threads" else executor
        report = stage(call, workers=2, via=via).run_sync(range(12))
    [account] = report.stages
    assert account.latency is not None
    assert account.queueing is not None
    # Each thread has two items at a time: the wait in line is as long as a call.
    assert account.latency.p50 < 1.4 * statistics.median(took)
    assert account.latency.p90 < 1.4 * max(took)
    assert account.queueing.p50 >= 0.015
    assert "queued p50" in str(report)


async def same(item: int) -> int:
    return item


def shown(report: PipelineReport) -> tuple[int, int | None]:
    return report.finished, report.total


async def test_progress_counts_what_is_finished_and_not_what_is_begun() -> None:
    go = anyio.Event()

    async def slow(item: int) -> int:
        await go.wait()
        return item

    pipelines: list[Pipeline[int, Any]] = [
        stage(same).map(slow, workers=20),
        stage(same).map(slow, workers=20).batch(100),
        stage(same).flat_map(lambda item: [item] * 2).map(slow, workers=40),
        stage(same).batch(5).map(len).map(slow, workers=20),
    ]
    for pipeline in pipelines:
        go = anyio.Event()
        async with pipeline.open(range(20)) as run:
            await anyio.wait_all_tasks_blocked()
            assert shown(run.report) == (0, 20)
            go.set()
            async for _ in run:
                pass
            assert shown(run.report) == (20, 20)


async def test_progress_counts_filtered_failed_and_recorded_items(tmp_path: Any) -> None:  # noqa: ANN401
    async def odd(item: int) -> bool:
        return item % 2 > 0

    async def not_seven(item: int) -> int:
        if item == 7:
            raise ValueError
        return item

    pipeline = stage(same).filter(odd).map(not_seven, on_error=SKIP)
    assert shown(await pipeline.run(range(10))) == (10, 10)
    journal = Journal(tmp_path / "run.db")
    await pipeline.run(range(4), journal=journal)
    report = await pipeline.run(range(10), journal=journal)
    assert (*shown(report), report.recorded) == (10, 10, 4)


async def test_a_report_is_short_in_a_terminal_and_a_table_in_a_notebook() -> None:
    report = await stage(same).map(same, name="a<b").run([1, 2])
    assert repr(report).startswith("<PipelineReport same | a<b: 2 results in 0.0")
    html = report._repr_html_()
    assert html.startswith("<table>")
    assert "<td>a&lt;b</td>" in html
    async with stage(same).open([1]) as run:
        assert repr(run.report).endswith(", running>")


@pytest.mark.parametrize(
    "function",
    [stage, Pipeline.map, Pipeline.flat_map, Pipeline.filter, Pipeline.through],
)
def test_every_option_has_its_meaning_and_default_where_one_looks(function: Any) -> None:  # noqa: ANN401
    text, signature = inspect.getdoc(function) or "", inspect.signature(function)
    for option in StageOptions.__annotations__:
        assert f"{option}:" in text
        assert signature.parameters[option].default is not inspect.Parameter.empty
    assert "options" not in signature.parameters
