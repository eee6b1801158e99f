"""Queue: asyncio.Queue's behaviour, and what it has beyond."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

from aconcur.errors import AconcurError
from aconcur.pipeline import Queue, QueueClosed, QueueEmpty, QueueFull, QueueStatistics
from tests.support.backends import BACKENDS, on_asyncio


async def test_what_is_put_comes_out_in_order() -> None:
    queue = Queue[int]()
    for item in range(1000):
        await queue.put(item)
    assert queue.qsize() == 1000
    assert [await queue.get() for _ in range(1000)] == list(range(1000))
    assert queue.empty()


async def test_a_full_queue_holds_its_producer_back() -> None:
    queue = Queue[int](maxsize=2)
    done: list[int] = []

    async def produce() -> None:
        for item in range(5):
            await queue.put(item)
            done.append(item)

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        await anyio.wait_all_tasks_blocked()
        assert (done, queue.full()) == ([0, 1], True)
        assert await queue.get() == 0
        await anyio.wait_all_tasks_blocked()
        assert done == [0, 1, 2]
        assert await queue.get_many() == [1, 2]
        await anyio.wait_all_tasks_blocked()
        assert done == [0, 1, 2, 3, 4]


async def test_who_waits_first_is_served_first() -> None:
    queue = Queue[str](1)
    order: list[str] = []

    async def get(number: int) -> None:
        order.append(f"{number} got {await queue.get()}")

    async def put(item: str) -> None:
        await queue.put(item)
        order.append(f"put {item}")

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(get, number)
            await anyio.wait_all_tasks_blocked()
        for item in "abc":
            queue.put_nowait(item)
            with pytest.raises(QueueEmpty):
                queue.get_nowait()
            await anyio.wait_all_tasks_blocked()
        assert order == ["0 got a", "1 got b", "2 got c"]
        for item in "defg":
            group.start_soon(put, item)
            await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            queue.get_nowait()
            with pytest.raises(QueueFull):
                queue.put_nowait("!")
            await anyio.wait_all_tasks_blocked()
        assert order[3:] == ["put d", "put e", "put f", "put g"]


async def test_at_once_or_an_error() -> None:
    queue = Queue[int](1)
    with pytest.raises(QueueEmpty, match="the queue is empty now"):
        queue.get_nowait()
    queue.put_nowait(1)
    with pytest.raises(QueueFull, match="all 1 slots are taken"):
        queue.put_nowait(2)
    assert queue.get_nowait() == 1
    queue.close()
    with pytest.raises(QueueClosed, match=r"queue is closed: put_nowait\(\) after close\(\)"):
        queue.put_nowait(3)
    with pytest.raises(QueueClosed, match=r"queue is closed: get_nowait\(\) and nothing is left"):
        queue.get_nowait()


def test_its_errors_are_asyncios_too() -> None:
    assert issubclass(QueueEmpty, (AconcurError, asyncio.QueueEmpty))
    assert issubclass(QueueFull, (AconcurError, asyncio.QueueFull))
    assert issubclass(QueueClosed, AconcurError)
    if sys.version_info >= (3, 13):
        assert issubclass(QueueClosed, asyncio.QueueShutDown)


@pytest.mark.parametrize("wrong", [-1, -100])
def test_a_wrong_size(wrong: int) -> None:
    with pytest.raises(ValueError, match=f"maxsize must be at least 0, not {wrong}"):
        Queue[int](wrong)


async def test_get_many_wants_at_least_one() -> None:
    with pytest.raises(ValueError, match="max_items must be at least 1, not 0"):
        await Queue[int]().get_many(0)


# ------------------------------------------------------------------ closing


async def test_a_closed_queue_gives_what_it_has_and_ends() -> None:
    queue = Queue[int]()
    await queue.put_many([1, 2])
    queue.close()
    queue.close()
    assert [item async for item in queue] == [1, 2]
    with pytest.raises(QueueClosed, match=r"get\(\)"):
        await queue.get()
    with pytest.raises(QueueClosed, match=r"get_many\(\)"):
        await queue.get_many()
    with pytest.raises(QueueClosed, match=r"put\(\)"):
        await queue.put(3)
    with pytest.raises(QueueClosed, match=r"put_many\(\)"):
        await queue.put_many([3])


async def test_closing_wakes_all_who_wait_to_get() -> None:
    queue = Queue[int]()
    ended: list[int] = []

    async def consume(number: int) -> None:
        async for _ in queue:
            pytest.fail("nothing was put")
        ended.append(number)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(consume, number)
        await anyio.wait_all_tasks_blocked()
        queue.close()
    assert sorted(ended) == [0, 1, 2, 3, 4]


async def test_closing_wakes_all_who_wait_to_put() -> None:
    queue = Queue[int](1)
    refused: list[int] = []

    async def produce(item: int) -> None:
        try:
            await queue.put(item)
        except QueueClosed:
            refused.append(item)

    await queue.put(0)
    async with anyio.create_task_group() as group:
        for item in (1, 2, 3):
            group.start_soon(produce, item)
        await anyio.wait_all_tasks_blocked()
        queue.close()
    assert sorted(refused) == [1, 2, 3]
    assert [item async for item in queue] == [0]


async def test_the_last_producer_closes() -> None:
    queue = Queue[int](1)

    async def produce(item: int, share: object) -> None:
        with share:  # type: ignore[attr-defined]
            await queue.put(item)

    async with anyio.create_task_group() as group:
        for item in range(3):
            group.start_soon(produce, item, queue.producer())
        assert queue.statistics().producers == 3
        assert sorted([item async for item in queue]) == [0, 1, 2]


def test_a_producer_that_fails_has_ended_too() -> None:
    queue = Queue[int]()
    share = queue.producer()
    other = queue.producer()
    with pytest.raises(ZeroDivisionError), share:
        _ = 1 / 0
    share.__exit__()
    assert not queue.statistics().closed
    with other:
        pass
    assert queue.statistics().closed


async def test_shutdown_drops_what_is_left_and_ends_join() -> None:
    queue = Queue[int]()
    await queue.put_many(range(5))
    await queue.get()
    queue.task_done()
    async with anyio.create_task_group() as group:
        group.start_soon(queue.join)
        await anyio.wait_all_tasks_blocked()
        queue.shutdown(immediate=True)
    found = queue.statistics()
    assert (found.put, found.got, found.dropped, found.unfinished) == (5, 1, 4, 0)
    with pytest.raises(QueueClosed):
        await queue.get()


async def test_a_gentle_shutdown_is_close() -> None:
    queue = Queue[int]()
    await queue.put(1)
    queue.shutdown()
    assert await queue.get() == 1
    with pytest.raises(QueueClosed):
        await queue.get()


# ------------------------------------------------------------------ many


@pytest.mark.parametrize("maxsize", [0, 1, 3, 1000])
@pytest.mark.parametrize("size", [0, 1, 3, 513])
async def test_many_in_and_many_out(maxsize: int, size: int) -> None:
    queue = Queue[int](maxsize)
    came: list[int] = []

    async def produce() -> None:
        with queue.producer():
            await queue.put_many(iter(range(size)))

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        while True:
            try:
                came += await queue.get_many(7)
            except QueueClosed:
                break
    assert came == list(range(size))


async def test_put_many_that_fits_waits_for_nothing() -> None:
    queue = Queue[int](3)
    with anyio.fail_after(30):
        await queue.put_many([1, 2, 3])
        await queue.put_many([])
    assert queue.full()


async def test_put_many_draws_no_item_that_it_cannot_put() -> None:
    queue = Queue[int](2)
    source = iter(range(5))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(queue.put_many, source)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert await queue.get_many() == [0, 1]
    assert list(source) == [2, 3, 4]


async def test_put_many_puts_what_came_before_an_error() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise ZeroDivisionError

    queue = Queue[int]()
    with pytest.raises(ZeroDivisionError):
        await queue.put_many(failing())
    assert await queue.get_many() == [1, 2]
    assert queue.statistics().unfinished == 2


async def test_a_long_run_of_puts_and_gets_lets_others_run() -> None:
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    async def long_put(queue: Queue[int]) -> None:
        for item in range(1024):
            await queue.put(item)
        ran.append("put")

    async def long_get(queue: Queue[int]) -> None:
        for _ in range(1024):
            await queue.get()
        ran.append("get")

    queue = Queue[int]()
    for act in (long_put, long_get):
        async with anyio.create_task_group() as group:
            group.start_soon(act, queue)
            await anyio.lowlevel.checkpoint()
            group.start_soon(other)
    assert ran == ["other", "put", "other", "get"]


# ------------------------------------------------------------- accounting


async def test_join_waits_for_task_done() -> None:
    queue = Queue[int]()
    await queue.join()
    await queue.put(1)
    joined = False

    async def join() -> None:
        nonlocal joined
        await queue.join()
        joined = True

    async with anyio.create_task_group() as group:
        group.start_soon(join)
        await queue.get()
        await anyio.wait_all_tasks_blocked()
        assert not joined
        queue.task_done()
    with pytest.raises(ValueError, match="more often than items were put"):
        queue.task_done()


async def test_statistics_and_repr_read_as_status() -> None:
    queue = Queue[int](2)
    assert repr(queue) == "<Queue 0/2>"
    assert repr(Queue[int]()) == "<Queue 0/∞>"
    async with anyio.create_task_group() as group:
        group.start_soon(queue.get)
        await anyio.wait_all_tasks_blocked()
        assert repr(queue) == "<Queue 0/2, 1 waiting to get>"
        group.start_soon(queue.put_many, range(4))
        await anyio.wait_all_tasks_blocked()
        assert repr(queue) == "<Queue 2/2, 1 waiting to put>"
        assert queue.statistics() == QueueStatistics(
            size=2,
            maxsize=2,
            put=3,
            got=1,
            dropped=0,
            unfinished=3,
            waiting_to_put=1,
            waiting_to_get=0,
            producers=0,
            closed=False,
        )
        await queue.get()
    queue.close()
    assert repr(queue) == "<Queue 2/2, closed>"
    assert queue.maxsize == 2


def test_made_without_a_loop_and_used_in_one_loop_after_another() -> None:
    queue = Queue[int](1)

    async def put_and_get() -> list[int]:
        came: list[int] = []

        async def consume() -> None:
            came.extend([await queue.get() for _ in range(3)])

        async with anyio.create_task_group() as group:
            group.start_soon(consume)
            await anyio.wait_all_tasks_blocked()
            for item in range(3):
                await queue.put(item)
        return came

    for backend, options in BACKENDS.values():
        assert anyio.run(put_and_get, backend=backend, backend_options=options) == [0, 1, 2]


def test_who_waits_when_the_loop_ends_is_forgotten() -> None:
    queue = Queue[int]()

    async def wait_in_vain() -> None:
        with anyio.move_on_after(0.001):
            await queue.get()

    anyio.run(wait_in_vain)
    queue.put_nowait(1)
    assert queue.get_nowait() == 1


# ----------------------------------------------------------- cancellation


# Seconds: some of them end while an item is on its way.
LIMITS = [0, 0, 0.0001, 0.001]


@on_asyncio
@pytest.mark.parametrize("many", [False, True])
async def test_a_native_timeout_at_random_moments_loses_nothing(many: bool) -> None:
    queue = Queue[int](4)
    came: list[int] = []
    size = 1000

    async def produce() -> None:
        with queue.producer():
            source = iter(range(size))
            item = next(source)
            while True:
                try:
                    async with asyncio.timeout(random.choice(LIMITS)):
                        await queue.put(item)
                except TimeoutError:
                    continue
                if (item := next(source, -1)) < 0:
                    return

    async def consume() -> None:
        while True:
            try:
                async with asyncio.timeout(random.choice(LIMITS)):
                    came.extend(await queue.get_many(3) if many else [await queue.get()])
            except TimeoutError:
                continue
            except QueueClosed:
                return

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        group.create_task(consume())
        group.create_task(consume())
    assert sorted(came) == list(range(size))


# ------------------------------------------------- timeouts that are over


@pytest.mark.parametrize("role", ["get", "put"])
async def test_a_time_that_is_always_over_does_not_starve_who_need_not_wait(role: str) -> None:
    queue = Queue[int](1000)
    if role == "get":
        await queue.put_many(range(1000))
    done = tries = 0
    while done < 1000 and tries < 1010:
        tries += 1
        with anyio.CancelScope() as scope:
            scope.cancel()
            await (queue.get() if role == "get" else queue.put(1))
            done += 1
    assert done == 1000


@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize("role", ["get", "put"])
def test_what_is_reserved_does_not_go_round_among_those_whose_time_is_always_over(
    role: str, tasks: int
) -> None:
    async def main() -> None:
        queue = Queue[int](1)
        if role == "put":
            await queue.put(0)
        tries, done, begun = 0, 0, False

        async def insist(turns: int) -> None:
            nonlocal tries, done
            for _ in range(turns):
                await asyncio.sleep(0)
            while not done and tries < 100:
                tries += begun
                with suppress(TimeoutError):
                    async with asyncio.timeout(0):
                        await (queue.get() if role == "get" else queue.put(1))
                        done += 1

        async with asyncio.TaskGroup() as group:
            for turns in range(tasks):
                group.create_task(insist(turns))
            for _ in range(tasks + 1):
                await asyncio.sleep(0)
            begun = True
            if role == "put":
                queue.get_nowait()
            else:
                queue.put_nowait(1)
        assert done == 1

    asyncio.run(main())
