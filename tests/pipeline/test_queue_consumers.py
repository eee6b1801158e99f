"""The consumers' end of a queue: when the last one leaves, nothing is accepted and lost."""

from __future__ import annotations

import threading

import anyio
import pytest

from aconcur.pipeline import Queue, QueueClosed, stage
from tests.support.states import BOUND


async def same(item: int) -> int:
    return item


async def test_putters_that_wait_are_told_when_the_last_consumer_leaves() -> None:
    queue, told = Queue[int](1), list[str]()

    async def put() -> None:
        with pytest.raises(QueueClosed) as caught:
            await queue.put(2)
        told.append(str(caught.value))

    with queue.consumer(), anyio.fail_after(BOUND):
        queue.put_nowait(1)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(put)
            await anyio.wait_all_tasks_blocked()
            with queue.consumer():
                assert queue.statistics().consumers == 2
            await anyio.wait_all_tasks_blocked()
            assert told == []
            queue._consumer_left()
    assert told == 3 * ["put() after the last consumer left: the item would never be taken"]
    assert repr(queue) == "<Queue 1/1, no consumer>"
    assert queue.get_nowait() == 1


async def test_a_pipeline_that_dies_tells_the_producers() -> None:
    queue, told = Queue[int](10), 0

    async def work(item: int) -> None:
        if item == 3:
            raise ValueError(item)

    async def produce(item: int) -> None:
        nonlocal told
        try:
            await queue.put(item)
        except QueueClosed:
            told += 1

    await queue.put(3)
    with pytest.raises(ValueError, match="3"):
        await stage(work).run(queue, unwrap=True)
    with anyio.fail_after(BOUND):
        async with anyio.create_task_group() as group:
            for item in range(30):
                group.start_soon(produce, item)
    assert told == 30
    with pytest.raises(QueueClosed, match="put_nowait"):
        queue.put_nowait(1)


async def test_a_new_consumer_opens_the_queue_again() -> None:
    queue = Queue[int]()
    with queue.consumer():
        queue.put_nowait(1)
    with anyio.fail_after(BOUND):
        async with stage(same).open(queue) as run:
            assert await anext(run) == 1
            await queue.put(2)
            assert await anext(run) == 2


async def test_a_supervisor_keeps_the_queue_open_between_two_pipelines() -> None:
    queue, done = Queue[int](), list[int]()

    async def work(item: int) -> None:
        if item == 2:
            raise ValueError
        done.append(item)

    with queue.consumer():
        for item in range(5):
            await queue.put(item)
        queue.close()
        while not queue.empty():
            try:
                await stage(work).run(queue)
            except* ValueError:
                pass
    assert done == [0, 1, 3, 4]


async def test_without_consumers_a_queue_is_as_before() -> None:
    queue = Queue[int]()
    await queue.put(1)
    assert await queue.get() == 1
    with queue.consumer() as consumer:
        pass
    consumer.__exit__()
    assert queue.statistics().consumers == 0


async def test_a_thread_is_told_too() -> None:
    queue, said = Queue[int](), list[str]()
    with queue.from_thread() as end, queue.consumer():
        pass

    def put() -> None:
        try:
            end.put(1)
        except QueueClosed as error:
            said.append(str(error))

    with queue.from_thread() as end:
        thread = threading.Thread(target=put)
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
    assert said == ["put() after the last consumer left: the item would never be taken"]


async def test_close_counts_more_than_a_consumer_that_leaves() -> None:
    queue = Queue[int]()
    with queue.consumer():
        queue.close()
    with pytest.raises(QueueClosed, match="queue is closed: put"):
        await queue.put(1)
    assert repr(queue) == "<Queue 0/∞, closed>"
