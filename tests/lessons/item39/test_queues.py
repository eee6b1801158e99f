"""The two queues and the polling pair, alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from aconcur.lessons.item39_queue import original, original_polling, rebuilt, work
from aconcur.lessons.item39_queue.work import BUFFER
from tests.support.item39 import (
    Job,
)
from tests.support.states import until_sync

pytestmark = pytest.mark.timeout(60)


@contextmanager
def working(func: Job) -> Iterator[original_polling.Worker]:
    """Run one Worker, and make it die at the end."""

    def job(item: object) -> object:
        if item is original_polling.LAST:
            raise SystemExit
        return func(item)

    queues = original_polling.MyQueue(), original_polling.MyQueue()
    worker = original_polling.Worker(job, *queues)
    worker.start()
    try:
        yield worker
    finally:
        worker.in_queue.put(original_polling.LAST)
        worker.join()


def test_fault_1_a_worker_without_work_asks_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 100:
            raise SystemExit

    monkeypatch.setattr(original_polling, "sleep", sleep)
    queue = original_polling.MyQueue()
    with pytest.raises(IndexError):
        queue.get()
    worker = original_polling.Worker(work.same, queue, queue)
    worker.start()
    worker.join()
    assert (worker.polled_count, worker.work_done) == (100, 0)


def test_fault_2_an_empty_queue_does_not_say_that_all_is_done() -> None:
    taken, go = threading.Event(), threading.Event()

    def slow(item: object) -> object:
        taken.set()
        assert go.wait(30)
        return item

    with working(slow) as worker:
        worker.in_queue.put("item")
        assert taken.wait(30)
        # Nothing waits, nothing came out, and yet the item is not done.
        assert (len(worker.in_queue.items), len(worker.out_queue.items)) == (0, 0)
        go.set()
        until_sync(lambda: len(worker.out_queue.items) == 1)


def test_fault_3_whatever_is_put_is_work_and_ends_no_worker() -> None:
    with working(work.same) as worker:
        for item in (None, StopIteration, original.ClosableQueue.SENTINEL):
            worker.in_queue.put(item)
        until_sync(lambda: worker.work_done == 3)
        polled = worker.polled_count
        until_sync(lambda: worker.polled_count > polled + 2)
        assert worker.is_alive()


def test_fault_4_before_a_slow_stage_the_queue_grows_without_a_bound() -> None:
    taken, go = threading.Event(), threading.Event()

    def slow(item: object) -> object:
        taken.set()
        assert go.wait(30)
        return item

    with working(slow) as worker:
        worker.in_queue.put("first")
        assert taken.wait(30)
        for number in range(10_000):
            worker.in_queue.put(number)
        assert len(worker.in_queue.items) == 10_000
        go.set()


def half(item: int) -> int:
    if item % 2:
        raise ValueError(f"{item} is odd")
    return item // 2


def test_fault_5_one_bad_item_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: errors.append(args.exc_type))
    with working(half) as worker:
        for number in range(5):
            worker.in_queue.put(number)
        worker.join()
        assert errors == [ValueError]
        assert list(worker.out_queue.items) == [0]
        assert list(worker.in_queue.items) == [2, 3, 4]


def test_each_close_ends_one_loop_after_all_items() -> None:
    queue = original.ClosableQueue()
    for item in "abc":
        queue.put(item)
    queue.close()
    queue.put("d")
    queue.close()
    assert list(queue) == ["a", "b", "c"]
    assert list(queue) == ["d"]
    queue.join()


def test_an_item_is_done_also_when_the_loop_is_left() -> None:
    queue = original.ClosableQueue()
    queue.put("item")
    for item in queue:
        assert item == "item"
        break
    queue.join()


def test_join_waits_for_the_item_in_hand() -> None:
    queue, done = original.ClosableQueue(), original.ClosableQueue()
    taken, go = threading.Event(), threading.Event()

    def slow(item: str) -> str:
        taken.set()
        assert go.wait(30)
        return item

    worker = original.StoppableWorker(slow, queue, done)
    worker.start()
    queue.put("item")
    queue.close()
    assert taken.wait(30)
    assert queue.unfinished_tasks == 2
    go.set()
    queue.join()
    assert done.get_nowait() == "item"
    worker.join()


@pytest.mark.asyncio_only
async def test_each_close_ends_one_async_loop_after_all_items() -> None:
    queue = rebuilt.ClosableQueue()
    for item in "abc":
        await queue.put(item)
    await queue.close()
    await queue.put("d")
    await queue.close()
    assert [item async for item in queue] == ["a", "b", "c"]
    assert [item async for item in queue] == ["d"]


@pytest.mark.asyncio_only
async def test_join_waits_for_the_items_in_hand_and_for_every_close() -> None:
    queue, done = rebuilt.ClosableQueue(2), rebuilt.ClosableQueue()
    go = asyncio.Event()

    async def slow(item: int) -> int:
        await go.wait()
        return item

    with anyio.fail_after(30):
        async with asyncio.TaskGroup() as team:
            for _ in range(2):
                team.create_task(rebuilt.worker(slow, queue, done))
            for item in range(2):
                await queue.put(item)
            await queue.close()
            await queue.close()
            joined = team.create_task(queue.join())
            await anyio.wait_all_tasks_blocked()
            assert not joined.done()
            go.set()
    assert sorted(done.get_nowait() for _ in range(2)) == [0, 1]


@pytest.mark.asyncio_only
async def test_a_full_queue_makes_put_and_close_wait() -> None:
    queue = rebuilt.ClosableQueue(1)
    await queue.put("item")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await queue.close()
    assert queue.get_nowait() == "item"
    assert queue.empty()


@pytest.mark.asyncio_only
async def test_a_cancelled_reader_loses_no_item() -> None:
    queue = rebuilt.ClosableQueue()
    readers = [asyncio.create_task(anext(queue)) for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    for item in range(3):
        queue.put_nowait(item)
    # Each has been woken for its item, none has run since.
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    assert all(reader.cancelled() for reader in readers)
    assert [queue.get_nowait() for _ in range(3)] == [0, 1, 2]


@pytest.mark.asyncio_only
async def test_readers_that_time_out_lose_no_item() -> None:
    queue, received = rebuilt.ClosableQueue(BUFFER), []

    async def impatient() -> None:
        while True:
            try:
                async with asyncio.timeout(0):
                    item = await anext(queue)
            except TimeoutError:
                await asyncio.sleep(0)
            except StopAsyncIteration:
                return
            else:
                received.append(item)

    with anyio.fail_after(30):
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(impatient())
            for item in range(100):
                await queue.put(item)
                await asyncio.sleep(0)
            for _ in range(3):
                await queue.close()
    assert received == list(range(100))


@pytest.mark.asyncio_only
async def test_leaving_an_async_loop_leaves_nothing_to_close() -> None:
    queue = rebuilt.ClosableQueue()
    for item in "abc":
        queue.put_nowait(item)
    async for item in queue:
        assert item == "a"
        break
    assert [queue.get_nowait() for _ in range(2)] == ["b", "c"]


@pytest.mark.asyncio_only
async def test_a_cancelled_worker_counts_the_item_in_hand_as_done() -> None:
    queue, done = rebuilt.ClosableQueue(), rebuilt.ClosableQueue()

    async def stuck(_: object) -> None:
        await asyncio.Event().wait()

    queue.put_nowait("in hand")
    queue.put_nowait("waiting")
    worker = asyncio.create_task(rebuilt.worker(stuck, queue, done))
    await anyio.wait_all_tasks_blocked()
    worker.cancel()
    await asyncio.wait([worker])
    assert queue.get_nowait() == "waiting"
    queue.task_done()
    with anyio.fail_after(30):
        await queue.join()
