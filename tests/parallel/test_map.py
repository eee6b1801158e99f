"""Maps: every item once, in order, drawn as results are taken."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from threading import Lock

import anyio
import anyio.lowlevel
import pytest

from aconcur import parallel
from aconcur.parallel import (
    COLLECT,
    SKIP,
    Pool,
    RemoteTraceback,
    TaskTimeout,
    WorkerDied,
    open_pool,
)
from tests.support import parallel_tasks as tasks
from tests.support.states import BOUND, until

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


async def test_results_come_in_the_order_of_their_items(pool: Pool) -> None:
    found = await pool.map(tasks.square, range(5000)).collect()
    assert found == [number * number for number in range(5000)]


async def test_results_may_come_as_they_are_ready(pool: Pool) -> None:
    found = [result async for result in pool.map(tasks.square, range(5000), ordered=False)]
    assert sorted(found) == [number * number for number in range(5000)]


async def test_a_slow_item_does_not_hold_up_what_is_not_ordered(pool: Pool) -> None:
    slow_first = itertools.chain([(60, 1)], itertools.repeat((0.0, 2)))
    got = 0
    async for result in pool.map(tasks.sleep_then_square, slow_first, ordered=False, chunk=1):
        assert result == 4
        got += 1
        if got == 100:
            break


async def test_no_items_give_no_results(pool: Pool) -> None:
    assert await pool.map(tasks.square, []).collect() == []


async def test_endless_input_is_drawn_as_results_are_taken(pool: Pool) -> None:
    drawn = 0

    def source() -> Iterator[int]:
        nonlocal drawn
        while True:
            yield drawn
            drawn += 1

    async for result in pool.map(tasks.square, source(), buffer=50):
        await anyio.lowlevel.checkpoint()
        assert drawn <= result**0.5 + 51
        if result > 1_000_000:
            break


async def test_async_input_is_drawn_and_closed(pool: Pool) -> None:
    closed = False

    async def source() -> AsyncIterator[int]:
        nonlocal closed
        try:
            for number in itertools.count():
                if not number % 7:
                    await anyio.lowlevel.checkpoint()
                yield number
        finally:
            closed = True

    async for result in pool.map(tasks.square, source(), buffer=50):
        if result > 100_000:
            break
    with anyio.fail_after(BOUND):
        while not closed:
            await anyio.sleep(0.01)


@pytest.mark.parametrize("over", ["pool", "threads"])
async def test_an_async_input_may_hold_a_task_group_open_and_is_closed_by_the_task_that_ran_it(
    pool: Pool, over: str
) -> None:
    closed: list[bool] = []

    async def source() -> AsyncIterator[int]:
        me = anyio.get_current_task()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                for number in itertools.count():
                    yield number  # noqa: ASYNC101, ASYNC119 - map() closes it in the same task
        finally:
            closed.append(anyio.get_current_task() == me)

    with ThreadPoolExecutor(1) as executor:
        chosen = pool if over == "pool" else executor
        async for _ in parallel.map(tasks.square, source(), executor=chosen):
            break
        with anyio.fail_after(BOUND):
            await until(lambda: closed == [True])
        results = parallel.map(tasks.square, source(), executor=chosen)
        async for _ in results:
            break
        await results.aclose()
        assert closed == [True, True]
    assert await pool.run(tasks.square, 3) == 9


async def test_an_async_input_runs_in_the_context_of_the_caller(pool: Pool) -> None:
    async def source() -> AsyncIterator[str]:
        yield WHO.get()

    WHO.set("the caller")
    assert await pool.map(str.upper, source()).collect() == ["THE CALLER"]
    assert await parallel.map(str.upper, source()).collect() == ["THE CALLER"]


async def test_async_input_that_ends(pool: Pool) -> None:
    async def source() -> AsyncIterator[int]:
        for number in range(3000):
            if not number % 100:
                await anyio.lowlevel.checkpoint()
            yield number

    found = await pool.map(tasks.square, source()).collect()
    assert found == [number * number for number in range(3000)]


async def test_an_item_of_async_input_does_not_wait_for_the_next(pool: Pool) -> None:
    answered = anyio.Event()

    async def source() -> AsyncIterator[int]:
        yield 3
        await answered.wait()
        yield 4

    found = []
    async for result in pool.map(tasks.square, source()):
        found.append(result)
        answered.set()
    assert found == [9, 16]


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_error_of_the_input_comes_after_all_results_before_it(
    pool: Pool, is_async: bool
) -> None:
    def source() -> Iterator[int]:
        yield from range(20)
        raise LookupError("no more")

    async def async_source() -> AsyncIterator[int]:
        for number in source():
            yield number

    found: list[int] = []
    with pytest.raises(LookupError, match="no more"):  # noqa: PT012 - the loop is what raises
        async for result in pool.map(tasks.square, async_source() if is_async else source()):
            found.append(result)  # noqa: PERF401 - what came before the error
    assert found == [number * number for number in range(20)]


async def test_an_error_ends_the_map_where_its_result_would_stand(pool: Pool) -> None:
    found: list[int] = []
    with pytest.raises(tasks.TwoArguments) as caught:  # noqa: PT012 - the loop is what raises
        async for result in pool.map(tasks.fail_at_seven, itertools.count()):
            found.append(result)  # noqa: PERF401 - what came before the error
    assert found == list(range(7))
    assert caught.value.code == 7
    assert caught.value.__notes__ == ["in fail_at_seven at item 7: 7"]
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteTraceback)
    assert (cause.item, cause.index) == (7, 7)


async def test_failed_items_are_skipped_or_collected(pool: Pool) -> None:
    good = [number for number in range(2000) if number % 10 != 7]
    assert await pool.map(tasks.fail_at_seven, range(2000), on_error=SKIP).collect() == good
    results = pool.map(tasks.fail_at_seven, range(2000), on_error=COLLECT)
    assert await results.collect() == good
    assert [failure.index for failure in results.failures] == list(range(7, 2000, 10))
    assert {type(failure.error) for failure in results.failures} == {tasks.TwoArguments}


async def test_a_failed_item_is_tried_again(pool: Pool, tmp_path: Path) -> None:
    once = partial(tasks.fail_once, str(tmp_path))
    assert await pool.map(once, range(30), retries=1).collect() == list(range(30))
    results = pool.map(tasks.fail_at_seven, range(10), retries=2, on_error=COLLECT)
    await results.collect()
    assert [failure.attempts for failure in results.failures] == [3]


async def test_a_stop_iteration_of_the_function_is_an_error(pool: Pool) -> None:
    results = pool.map(tasks.stop_iteration, range(2000), on_error=COLLECT)
    assert await results.collect() == [number for number in range(2000) if number != 3]
    assert isinstance(results.failures[0].error, StopIteration)


async def test_an_item_that_kills_its_worker_is_the_only_one_that_fails(pool: Pool) -> None:
    deadly = [0, 500, 501, 1999]
    results = pool.map(partial(tasks.die_at, at=deadly), range(2000), on_error=COLLECT)
    with anyio.fail_after(BOUND):
        found = await results.collect()
    assert found == [number for number in range(2000) if number not in deadly]
    assert sorted(failure.item for failure in results.failures) == deadly
    for failure in results.failures:
        assert isinstance(failure.error, WorkerDied)
        assert (failure.error.index, failure.error.signal) == (failure.item, 9)


async def test_items_that_cannot_travel_are_the_only_ones_that_fail(pool: Pool) -> None:
    bad = [3, 1000]
    for wrong in (Lock(), tasks.ReadOnlyThere(), tasks.Fatal()):
        item = wrong
        items = [item if number in bad else number for number in range(1500)]
        results = pool.map(tasks.pid_of, items, on_error=COLLECT)
        assert len(await results.collect()) == 1498
        assert sorted(failure.index for failure in results.failures) == bad


async def test_results_that_cannot_travel_are_the_only_ones_that_fail(pool: Pool) -> None:
    results = pool.map(
        lambda number: tasks.ReadOnlyThere() if number == 5 else number,
        range(100),
        on_error=COLLECT,
    )
    assert await results.collect() == [number for number in range(100) if number != 5]
    assert [failure.index for failure in results.failures] == [5]


async def test_an_item_that_takes_too_long_is_the_only_one_that_fails(pool: Pool) -> None:
    slow = partial(tasks.sleep_at, at=700, seconds=60)
    results = pool.map(slow, range(1000), timeout=0.3, on_error=COLLECT)
    assert await results.collect() == [number for number in range(1000) if number != 700]
    (failure,) = results.failures
    assert isinstance(failure.error, TaskTimeout)
    assert (failure.item, failure.index) == (700, 700)


async def test_leaving_a_map_stops_what_runs(pool: Pool, tmp_path: Path) -> None:
    note = partial(tasks.note_then_sleep, str(tmp_path))
    async with anyio.create_task_group() as group:

        async def map_it() -> None:
            async for _ in pool.map(note, [60.0, 60.0]):
                pass

        group.start_soon(map_it)
        with anyio.fail_after(BOUND):
            while len(noted := list(tmp_path.iterdir())) < 2:
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    with anyio.fail_after(BOUND):
        while any(Path(f"/proc/{path.name}").exists() for path in noted):
            await anyio.sleep(0.01)
    assert await pool.run(tasks.square, 3) == 9


async def test_break_draws_nothing_more(pool: Pool) -> None:
    source = iter(range(1_000_000))
    async for result in pool.map(tasks.square, source, buffer=10):
        if result == 16:
            break
    left = next(source)
    assert left < 20
    assert await pool.run(tasks.square, 3) == 9
    assert next(source) == left + 1


async def test_maps_share_the_workers(pool: Pool) -> None:
    found: dict[int, list[int]] = {}

    async def map_it(offset: int) -> None:
        found[offset] = await pool.map(tasks.square, range(offset, offset + 3000)).collect()

    async with anyio.create_task_group() as group:
        for offset in (0, 10_000, 20_000):
            group.start_soon(map_it, offset)
    for offset, results in found.items():
        assert results == [number * number for number in range(offset, offset + 3000)]


async def test_items_that_turn_out_slow_go_back(pool: Pool) -> None:
    pairs = [(0.0, number) for number in range(3000)] + [(0.02, number) for number in range(40)]
    found = await pool.map(tasks.sleep_then_square, pairs).collect()
    assert found == [number * number for _, number in pairs]
    assert pool.statistics().handed_back


async def test_large_items_pass_in_bounded_number(pool: Pool) -> None:
    drawn = 0

    def source() -> Iterator[bytes]:
        nonlocal drawn
        while drawn < 30:
            drawn += 1
            yield bytes(8 << 20)

    taken = 0
    async for size in pool.map(len, source()):
        taken += 1
        assert size == 8 << 20
        assert drawn - taken <= 9
    assert taken == 30


async def test_large_items_behind_small_ones_are_sent_one_by_one(pool: Pool) -> None:
    before = 0

    def source() -> Iterator[bytes]:
        nonlocal before
        yield from [b""] * 3000
        before = pool.statistics().chunks
        yield from [bytes(1 << 20)] * 40

    assert await pool.map(len, source()).collect() == [0] * 3000 + [1 << 20] * 40
    assert pool.statistics().chunks - before >= 40


async def test_progress_is_told(pool: Pool) -> None:
    told: list[tuple[int, int | None]] = []
    await pool.map(
        tasks.square, range(500), progress=lambda done, total: told.append((done, total))
    ).collect()
    assert told.pop() == (500, 500)
    await pool.map(
        tasks.square, iter(range(5)), progress=lambda done, total: told.append((done, total))
    ).collect()
    assert told[-1] == (5, None)


async def test_results_are_had_once(pool: Pool) -> None:
    results = pool.map(tasks.square, range(5))
    assert repr(results) == "<Results of square>"
    assert await results.collect() == [0, 1, 4, 9, 16]
    with pytest.raises(RuntimeError, match="call map"):
        await results.collect()


async def test_a_value_shared_is_sent_once_a_worker(pool: Pool) -> None:
    shared = pool.share(list(range(100, 200)))
    found = await pool.map(partial(tasks.get_shared, shared), range(100)).collect()
    assert [value for value, _ in found] == list(range(100, 200))
    assert len({identity for _, identity in found}) <= 2
    with pytest.raises(WorkerDied):
        await pool.run(tasks.exit_with, 1)
    again = await pool.map(partial(tasks.get_shared, shared), range(100), chunk=1).collect()
    assert [value for value, _ in again] == list(range(100, 200))
    async with open_pool(1, start="exec") as other:
        with pytest.raises(LookupError, match="another pool"):
            await other.run(tasks.get_shared, shared, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"buffer": 0}, "buffer must be at least 1, not 0"),
        ({"chunk": 0}, "chunk must be at least 1, not 0"),
        ({"chunk": 1.5}, "chunk must be a whole number, not 1.5"),
        ({"timeout": "3"}, "timeout must be a number of seconds, not '3'"),
        ({"timeout": math.nan}, "timeout must be more than 0 seconds, not nan"),
        ({"timeout": 0}, "timeout must be more than 0 seconds, not 0"),
        ({"retries": -1}, "retries must be at least 0, not -1"),
        ({"on_error": "skip"}, "on_error must be RAISE, SKIP or COLLECT, not 'skip'"),
        ({"progress": 1}, "progress must be a function, not 1"),
    ],
)
async def test_wrong_options_are_named(pool: Pool, wrong: dict[str, int], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        pool.map(tasks.square, [], **wrong)  # type: ignore[call-overload]


async def test_a_map_after_time_out_of_the_consumer(pool: Pool) -> None:
    with anyio.move_on_after(0.05):
        await pool.map(time.sleep, [60]).collect()
    assert await pool.map(tasks.square, range(10)).collect() == [n * n for n in range(10)]
