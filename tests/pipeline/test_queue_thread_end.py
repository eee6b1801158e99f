"""Queue.from_thread: threads feed tasks, tasks feed threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import pytest

from aconcur.pipeline import Queue, QueueClosed, QueueEmpty, QueueFull, ThreadEnd
from tests.support.states import until

T = TypeVar("T")
pytestmark = pytest.mark.timeout(60)


async def in_threads(*acts: Callable[[], object]) -> None:
    """Run each in a thread of its own; return when all have ended."""
    started = [threading.Thread(target=act) for act in acts]
    for thread in started:
        thread.start()
    await until(lambda: not any(thread.is_alive() for thread in started))
    for thread in started:
        thread.join()


@pytest.mark.parametrize("maxsize", [0, 1, 1000])
async def test_threads_feed_a_task(maxsize: int) -> None:
    queue = Queue[tuple[int, int]](maxsize)
    came: list[tuple[int, int]] = []

    def feed(number: int) -> None:
        end.put_many((number, item) for item in range(500))

    async def consume() -> None:
        async for item in queue:
            came.append(item)  # noqa: PERF401 - looked at meanwhile

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        with queue.producer(), queue.from_thread() as end:
            await in_threads(partial(feed, 0), partial(feed, 1))
    for number in range(2):
        assert [i for n, i in came if n == number] == list(range(500))
    assert len(came) == 1000


@pytest.mark.parametrize("maxsize", [0, 1, 1000])
async def test_a_task_feeds_threads(maxsize: int) -> None:
    queue = Queue[int](maxsize)
    came: list[int] = []

    def consume() -> None:
        for item in end:
            came.append(item)
            end.task_done()

    with queue.from_thread() as end:
        async with anyio.create_task_group() as group:
            group.start_soon(in_threads, consume, consume)
            for item in range(1000):
                await queue.put(item)
            await queue.join()
            queue.close()
    assert sorted(came) == list(range(1000))


async def test_a_thread_feeds_a_thread() -> None:
    queue = Queue[int](1)
    came: list[int] = []

    def feed(end: ThreadEnd[int]) -> None:
        end.put_many(range(300))

    with queue.from_thread() as one, queue.from_thread() as other:
        async with anyio.create_task_group() as group:
            group.start_soon(in_threads, lambda: came.extend(other))
            await in_threads(partial(feed, one))
            one.flush()
            queue.close()
    assert came == list(range(300))


async def test_a_full_queue_holds_the_thread_back() -> None:
    queue = Queue[int](2)
    put: list[int] = []

    def feed() -> None:
        with suppress(QueueClosed):
            for item in range(1000):
                end.put(item)
                put.append(item)

    with queue.from_thread() as end:
        async with anyio.create_task_group() as group:
            group.start_soon(in_threads, feed)
            await until(lambda: len(put) == 66)
            assert queue.qsize() == 2
            queue.close()
            came = [item async for item in queue]
    assert came == put


async def test_leaving_the_block_wakes_threads_and_loses_nothing() -> None:
    queue = Queue[int]()
    errors: list[str] = []

    def consume() -> None:
        try:
            end.get()
        except QueueClosed as error:
            errors.append(str(error))

    async with anyio.create_task_group() as group:
        with queue.from_thread() as end:
            group.start_soon(in_threads, consume)
            await until(lambda: queue.statistics().waiting_to_get == 1)
    assert errors == ["queue is closed: get() and nothing is left"]
    assert queue.statistics().waiting_to_get == 0
    with pytest.raises(QueueClosed):
        end.put(1)
    queue.put_nowait(5)
    assert await queue.get() == 5


async def test_what_a_thread_did_not_fetch_is_at_the_front_again() -> None:
    queue = Queue[int]()
    queue.put_nowait(0)
    first: list[int] = []
    with queue.from_thread() as end:
        await queue.put_many(range(1, 10))
        async with anyio.create_task_group() as group:  # noqa: ASYNC112
            group.start_soon(in_threads, lambda: first.append(end.get()))
    await queue.put(10)
    queue.close()
    assert first + [item async for item in queue] == list(range(11))


async def test_a_task_that_waits_beside_a_thread_is_served_too() -> None:
    queue = Queue[int]()
    came: list[int] = []

    async def get() -> None:
        came.append(await queue.get())

    with queue.from_thread() as end:
        async with anyio.create_task_group() as group:
            group.start_soon(in_threads, lambda: came.append(end.get()))
            await until(lambda: queue.statistics().waiting_to_get == 1)
            group.start_soon(get)
            await until(lambda: queue.statistics().waiting_to_get == 2)
            await queue.put_many([1, 2])
    assert sorted(came) == [1, 2]


def test_a_loop_that_has_ended_is_a_closed_queue() -> None:
    queue = Queue[int]()

    async def make() -> ThreadEnd[int]:
        return queue.from_thread()

    for backend in ("asyncio", "trio"):
        end = anyio.run(make, backend=backend)
        with pytest.raises(QueueClosed):
            end.put(1)
        with pytest.raises(QueueClosed):
            end.get()


# ------------------------------------------------------------- no more than asked


async def test_threads_and_tasks_share_slow_work() -> None:
    queue, done = Queue[int](), [0, 0]
    for item in range(40):
        queue.put_nowait(item)
    queue.close()

    async def work() -> None:
        async for _ in queue:
            await anyio.sleep(0.005)
            done[1] += 1

    with queue.from_thread() as end:

        def work_in_thread() -> None:
            for _ in end:
                time.sleep(0.005)
                done[0] += 1

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, work_in_thread)
            group.start_soon(work)
    assert sum(done) == 40
    assert min(done) >= 4


async def test_an_unbounded_queue_never_blocks_a_thread() -> None:
    queue = Queue[int]()
    with queue.from_thread() as end:
        thread = threading.Thread(target=end.put_many, args=(range(1000),))
        thread.start()
        # The loop does not run meanwhile.
        thread.join(5)
        assert not thread.is_alive()
    assert queue.qsize() == 1000


async def in_thread(call: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(call)


async def test_a_thread_can_put_and_get_without_waiting() -> None:
    queue = Queue[int](2)
    with queue.from_thread() as end:

        def use() -> list[int]:
            with pytest.raises(QueueEmpty):
                end.get_nowait()
            end.put_nowait(1)
            end.put_nowait(2)
            with pytest.raises(QueueFull, match="all 2 slots are taken"):
                end.put_nowait(3)
            return [end.get_nowait(), end.get_nowait()]

        assert await in_thread(use) == [1, 2]
        queue.close()
        with pytest.raises(QueueClosed):
            await in_thread(end.get_nowait)
        with pytest.raises(QueueClosed):
            await in_thread(lambda: end.put_nowait(1))


async def test_a_thread_can_wait_for_a_time() -> None:
    queue = Queue[int](1)
    with queue.from_thread() as end:
        with pytest.raises(QueueEmpty):
            await in_thread(lambda: end.get(timeout=0.01))
        await queue.put(1)
        assert await in_thread(lambda: end.get(timeout=30)) == 1
        # The item that came too late for the first get() is not lost, and not held.
        queue.put_nowait(2)
        assert await queue.get() == 2

        def fill() -> int:
            put = 0
            with suppress(QueueFull):
                for put in range(100):
                    end.put(put, timeout=0.01)
            return put

        assert 1 <= await in_thread(fill) <= 67
        with pytest.raises(ValueError, match="timeout must be at least 0"):
            end.get(timeout=-1)
