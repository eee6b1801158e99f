"""What cannot work is refused, with the name of the mistake and the way out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from aconcur.pipeline import (
    COLLECT,
    SKIP,
    Failure,
    ItemCancelledError,
    Pipeline,
    Queue,
    Retry,
    stage,
)
from tests.support.backends import on_asyncio
from tests.support.states import BOUND, until


async def bad(item: int) -> int:
    raise ValueError(item)


# -------------------------------------------------------- queues and threads


@pytest.mark.parametrize(
    "misuse",
    [
        lambda queue: queue.put_nowait(1),
        lambda queue: queue.close(),
        lambda queue: queue.shutdown(immediate=True),
        lambda queue: asyncio.run(queue.put(1)),
        lambda queue: asyncio.run(queue.put_many([1])),
        lambda queue: asyncio.run(queue.get()),
    ],
    ids=["put_nowait", "close", "shutdown", "put", "put_many", "get"],
)
async def test_a_queue_with_a_waiting_getter_refuses_another_thread(
    misuse: Callable[[Queue[int]], object],
) -> None:
    queue, got = Queue[int](), list[int]()

    async def get() -> None:
        got.append(await queue.get())

    def use() -> None:
        with pytest.raises(RuntimeError, match="another thread: call from_thread"):
            misuse(queue)

    async with anyio.create_task_group() as group:
        group.start_soon(get)
        await anyio.wait_all_tasks_blocked()
        await anyio.to_thread.run_sync(use)
        assert not got
        queue.put_nowait(7)
    assert got == [7]


async def test_a_queue_with_a_waiting_putter_refuses_another_thread() -> None:
    queue = Queue[int](1)
    queue.put_nowait(1)

    def use() -> None:
        with pytest.raises(RuntimeError, match="another thread"):
            queue.get_nowait()

    async with anyio.create_task_group() as group:
        group.start_soon(queue.put, 2)
        await anyio.wait_all_tasks_blocked()
        await anyio.to_thread.run_sync(use)
        assert queue.qsize() == 1
        assert queue.get_nowait() == 1


@on_asyncio
async def test_a_queue_outlives_the_loop_of_a_task_that_waited() -> None:
    queue = Queue[int]()

    def leave_a_waiter() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(queue.get())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        task.get_coro().close()

    thread = threading.Thread(target=leave_a_waiter)
    thread.start()
    await until(lambda: not thread.is_alive())
    queue.put_nowait(1)
    assert await queue.get() == 1
    queue.close()


def test_a_queue_outlives_a_loop_that_was_closed_in_the_same_thread() -> None:
    queue = Queue[int]()

    async def use() -> int:
        await queue.put(1)
        return await queue.get()

    loop = asyncio.new_event_loop()
    waiting = [loop.create_task(queue.get()) for _ in range(2)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert asyncio.run(use()) == 1
    queue.close()
    for task in waiting:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        task.get_coro().close()


async def test_task_done_in_another_thread_is_refused_while_a_task_joins() -> None:
    queue = Queue[int]()
    queue.put_nowait(1)

    def use() -> None:
        with pytest.raises(RuntimeError, match="another thread: call from_thread"):
            queue.task_done()

    async with anyio.create_task_group() as group:
        group.start_soon(queue.join)
        await anyio.wait_all_tasks_blocked()
        await anyio.to_thread.run_sync(use)
        queue.put_nowait(2)
        queue.task_done()
        queue.task_done()


# -------------------------------------------------------------------- stages


def numbers(_: int) -> Iterator[int]:
    yield 1


async def later_numbers(_: int) -> AsyncIterator[int]:
    yield 1


class Numbers:
    def __call__(self, _: int) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize("function", [numbers, later_numbers, Numbers()])
def test_a_generator_function_is_refused_where_its_generator_would_be_the_result(
    function: Any,  # noqa: ANN401
) -> None:
    for make in (stage, stage(int).map, stage(int).filter):
        with pytest.raises(TypeError, match=r"is a generator function.*use flat_map"):
            make(function)
    stage(int).flat_map(function)


@pytest.mark.parametrize(
    ("make", "message"), [(lambda item: [item], "cannot stop"), (later_numbers, "fail_after")]
)
async def test_a_timeout_that_cannot_stop_a_call_ends_the_run(make: Any, message: str) -> None:  # noqa: ANN401
    pipeline: Pipeline[int, int] = stage(int).flat_map(lambda item: make(item), timeout=1)
    with pytest.raises(ValueError, match=message):
        await pipeline.run([1], unwrap=True)


@pytest.mark.parametrize("source", [5, None, numbers])
async def test_a_source_that_is_none_is_named(source: Any) -> None:  # noqa: ANN401
    message = "a source must be an iterable or an async iterable, not"
    with pytest.raises(TypeError, match=message):
        await stage(int).run(source)
    with pytest.raises(TypeError, match=message):
        stage(int).merge(source)
    with pytest.raises(TypeError, match=message):
        stage(int).fed_by(source)


def test_an_option_of_a_wrong_type_is_named() -> None:
    with pytest.raises(TypeError, match="ordered must be True or False, not 'no'"):
        stage(int, ordered="no")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="via must be THREADS, an executor or a pool"):
        stage(int, via=threading.Thread)  # type: ignore[call-overload]


async def test_a_failure_queue_that_no_task_reads_ends_the_run() -> None:
    dead = Queue[Failure](3)
    with anyio.fail_after(BOUND), pytest.raises(RuntimeError) as caught:  # noqa: ASYNC401
        await stage(bad, on_error=dead).run(range(9), unwrap=True)
    assert "stage 'bad' waits for room in its on_error= queue, which is full (3)" in str(
        caught.value
    )


async def test_a_failure_queue_that_is_read_holds_the_stage_up() -> None:
    dead, seen = Queue[Failure](1), list[int]()

    async def read() -> None:
        async for failure in dead:
            await anyio.lowlevel.checkpoint()
            seen.append(failure.item)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await stage(bad, on_error=dead, workers=2).run(range(9))
        dead.close()
    assert sorted(seen) == list(range(9))


async def test_collected_failures_are_in_the_report_and_missed_where_there_is_none() -> None:
    pipeline = stage(bad, on_error=COLLECT)
    report = await pipeline.run([1, 2])
    assert [failure.item for failure in report.failures] == [1, 2]
    assert report.to_dict()["failures"][0] == {
        "item": "1",
        "stage": "bad",
        "error": "ValueError(1)",
        "attempts": 1,
    }
    with pytest.warns(UserWarning, match=r"collect\(\) does not return .* 'bad'"):
        assert await pipeline.collect([1]) == []


def test_collected_failures_are_missed_in_plain_code() -> None:
    with pytest.warns(UserWarning, match=r"iter_sync\(\) does not return"):
        assert list(stage(bad, on_error=COLLECT).iter_sync([1])) == []


# ------------------------------------------------------- cancellation and retry


async def cancelled(_: int) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("on", "attempts"),
    [
        (Exception, 1),
        ((OSError, ValueError), 1),
        (ItemCancelledError, 3),
        ((OSError, ItemCancelledError), 3),
    ],
)
async def test_a_cancellation_is_tried_again_only_if_it_is_named(
    on: Any,  # noqa: ANN401
    attempts: int,
) -> None:
    retry = Retry(3, backoff=0, on=on)
    report = await stage(cancelled, retry=retry, on_error=COLLECT).run([1])
    assert [failure.attempts for failure in report.failures] == [attempts]
    assert isinstance(report.failures[0].error, ItemCancelledError)


async def test_an_error_that_is_not_a_cancellation_is_tried_again() -> None:
    report = await stage(bad, retry=Retry(3, backoff=0), on_error=SKIP).run([1])
    assert report.stages[0].retried == 2
