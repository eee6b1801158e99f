"""Correct code on anyio's, trio's and asyncio's own primitives fails under no schedule."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from anyio.streams.memory import MemoryObjectSendStream

from aconcur.testing import explore
from aconcur.testing._explore.api import Backend

Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Room:
    """Counts who is inside."""

    def __init__(self, places: int = 1) -> None:
        self.places, self.inside, self.visits = places, 0, 0

    def enter(self) -> None:
        self.inside += 1
        self.visits += 1
        assert self.inside <= self.places, f"{self.inside} are inside"

    def leave(self) -> None:
        self.inside -= 1


# --- anyio


async def anyio_lock() -> None:
    room, lock = Room(), anyio.Lock()

    async def visit() -> None:
        async with lock:
            room.enter()
            await checkpoint()
            room.leave()

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(visit)
    assert room.visits == 3
    assert not lock.locked()


async def anyio_lock_whose_waiter_is_cancelled() -> None:
    lock, scope = anyio.Lock(), anyio.CancelScope()

    async def visit() -> None:
        async with lock:
            await checkpoint()

    async def impatient() -> None:
        with scope:
            await visit()

    async with anyio.create_task_group() as group:
        group.start_soon(visit)
        group.start_soon(impatient)
        group.start_soon(visit)
        scope.cancel()
    assert not lock.locked()


async def anyio_semaphore() -> None:
    room, places = Room(2), anyio.Semaphore(2)

    async def visit() -> None:
        async with places:
            room.enter()
            await checkpoint()
            room.leave()

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(visit)
    assert (room.visits, places.value) == (3, 2)


async def anyio_capacity_limiter() -> None:
    room, places = Room(), anyio.CapacityLimiter(1)

    async def visit() -> None:
        async with places:
            room.enter()
            await checkpoint()
            room.leave()

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(visit)
    assert (room.visits, places.borrowed_tokens) == (3, 0)


async def anyio_event() -> None:
    event, seen = anyio.Event(), list[int]()

    async def wait(number: int) -> None:
        await event.wait()
        seen.append(number)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, 1)
        group.start_soon(wait, 2)
        event.set()
    assert sorted(seen) == [1, 2]


async def anyio_condition() -> None:
    changed, items, got = anyio.Condition(), list[int](), list[int]()

    async def take() -> None:
        async with changed:
            while not items:
                await changed.wait()
            got.append(items.pop())

    async def put(item: int) -> None:
        async with changed:
            items.append(item)
            changed.notify()

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        group.start_soon(take)
        group.start_soon(put, 1)
        group.start_soon(put, 2)
    assert sorted(got) == [1, 2]


def stream(size: int) -> Scenario:
    async def scenario() -> None:
        sender, receiver = anyio.create_memory_object_stream[int](size)
        got: list[int] = []

        async def send(mine: MemoryObjectSendStream[int], item: int) -> None:
            async with mine:
                await mine.send(item)

        async def receive() -> None:
            async with receiver:
                got.extend([item async for item in receiver])

        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            async with sender:
                group.start_soon(send, sender.clone(), 1)
                group.start_soon(send, sender.clone(), 2)
        assert sorted(got) == [1, 2]

    scenario.__name__ = f"anyio_stream_of_{size}"
    return scenario


async def anyio_stream_whose_receiver_is_cancelled() -> None:
    sender, receiver = anyio.create_memory_object_stream[int](1)
    scope, got = anyio.CancelScope(), list[int]()

    async def receive() -> None:
        with scope:
            got.append(await receiver.receive())

    async with sender, receiver:
        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            group.start_soon(sender.send, 1)
            scope.cancel()
        left = [] if got else [receiver.receive_nowait()]
    assert got + left == [1]


async def anyio_task_group_with_start() -> None:
    async def serve(*, task_status: anyio.abc.TaskStatus[int]) -> None:
        await checkpoint()
        task_status.started(80)
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        ports = await group.start(serve), await group.start(serve)
        group.cancel_scope.cancel()
    assert ports == (80, 80)


async def anyio_task_group_that_fails() -> None:
    cleaned: list[int] = []

    async def wait(number: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(number)

    async def fail() -> None:
        await checkpoint()
        raise LookupError

    with pytest.RaisesGroup(LookupError):
        async with anyio.create_task_group() as group:
            group.start_soon(wait, 1)
            group.start_soon(wait, 2)
            group.start_soon(fail)
    assert sorted(cleaned) == [1, 2]


async def anyio_timeouts() -> None:
    begun = anyio.current_time()

    async def short() -> None:
        with anyio.move_on_after(1) as scope:
            await anyio.sleep(10)
        assert scope.cancelled_caught
        assert anyio.current_time() - begun == pytest.approx(1)

    async def long() -> None:
        with anyio.fail_after(3):
            await anyio.sleep(2)
        assert anyio.current_time() - begun == pytest.approx(2)

    async with anyio.create_task_group() as group:
        group.start_soon(short)
        group.start_soon(long)


async def anyio_to_thread() -> None:
    limiter, got = anyio.CapacityLimiter(1), list[int]()

    async def call(number: int) -> None:
        got.append(await anyio.to_thread.run_sync(abs, -number, limiter=limiter))

    async with anyio.create_task_group() as group:
        group.start_soon(call, 1)
        group.start_soon(call, 2)
    assert sorted(got) == [1, 2]


# --- trio


async def trio_lock() -> None:
    room, lock = Room(), trio.StrictFIFOLock()

    async def visit() -> None:
        async with lock:
            room.enter()
            await trio.lowlevel.checkpoint()
            room.leave()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(visit)
    assert room.visits == 3


async def trio_semaphore_and_limiter() -> None:
    room, places, limiter = Room(), trio.Semaphore(1), trio.CapacityLimiter(2)

    async def visit() -> None:
        async with limiter, places:
            room.enter()
            await trio.lowlevel.checkpoint()
            room.leave()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit)
        nursery.start_soon(visit)
    assert room.visits == 2


async def trio_condition() -> None:
    changed, items = trio.Condition(), list[int]()

    async def take() -> None:
        async with changed:
            while not items:
                await changed.wait()
            items.pop()

    async def put() -> None:
        async with changed:
            items.append(1)
            changed.notify()

    async with trio.open_nursery() as nursery:
        for function in (take, put, take, put):
            nursery.start_soon(function)
    assert not items


async def trio_channel() -> None:
    sender, receiver = trio.open_memory_channel[int](0)
    got: list[int] = []

    async def send(mine: trio.MemorySendChannel[int], item: int) -> None:
        async with mine:
            await mine.send(item)

    async def receive() -> None:
        async with receiver:
            got.extend([item async for item in receiver])

    async with trio.open_nursery() as nursery, sender:
        nursery.start_soon(send, sender.clone(), 1)
        nursery.start_soon(send, sender.clone(), 2)
        nursery.start_soon(receive)
    assert sorted(got) == [1, 2]


async def trio_event_and_timeouts() -> None:
    event = trio.Event()

    async def wait() -> None:
        with trio.fail_after(2):
            await event.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        with trio.move_on_after(1):
            await trio.sleep_forever()
        event.set()
    assert trio.current_time() == pytest.approx(1)


async def trio_to_thread() -> None:
    got: list[int] = []

    async def call(number: int) -> None:
        got.append(await trio.to_thread.run_sync(abs, -number))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, 1)
        nursery.start_soon(call, 2)
    assert sorted(got) == [1, 2]


# --- asyncio


async def asyncio_lock() -> None:
    room, lock = Room(), asyncio.Lock()

    async def visit() -> None:
        async with lock:
            room.enter()
            await asyncio.sleep(0)
            room.leave()

    await asyncio.gather(visit(), visit(), visit())
    assert room.visits == 3


async def asyncio_semaphore_whose_waiter_is_cancelled() -> None:
    room, places = Room(), asyncio.BoundedSemaphore(1)

    async def visit() -> None:
        async with places:
            room.enter()
            try:
                await asyncio.sleep(0)
            finally:
                room.leave()

    tasks = [asyncio.create_task(visit()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert not places.locked()


async def asyncio_event() -> None:
    event, seen = asyncio.Event(), list[int]()

    async def wait(number: int) -> None:
        await event.wait()
        seen.append(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait(1))
        group.create_task(wait(2))
        event.set()
    assert sorted(seen) == [1, 2]


async def asyncio_condition() -> None:
    changed, items = asyncio.Condition(), list[int]()

    async def take() -> None:
        async with changed:
            await changed.wait_for(lambda: items)
            items.pop()

    async def put() -> None:
        async with changed:
            items.append(1)
            changed.notify()

    await asyncio.gather(take(), put(), take(), put())
    assert not items


async def asyncio_condition_whose_waiter_is_cancelled() -> None:
    changed, items = asyncio.Condition(), list[int]()

    async def take() -> None:
        async with changed:
            await changed.wait_for(lambda: items)
            items.pop()

    async def put() -> None:
        async with changed:
            items.append(1)
            changed.notify()

    async with asyncio.TaskGroup() as group:
        first, _ = group.create_task(take()), group.create_task(take())
        group.create_task(put())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        if not first.cancelled():
            group.create_task(put())


async def asyncio_queue() -> None:
    queue, got = asyncio.Queue[int](1), list[int]()

    async def take() -> None:
        while (item := await queue.get()) >= 0:
            got.append(item)
            queue.task_done()

    async with asyncio.TaskGroup() as group:
        worker = group.create_task(take())
        await queue.put(1)
        await queue.put(2)
        await queue.join()
        worker.cancel()
    assert got == [1, 2]


async def asyncio_queue_whose_getter_is_cancelled() -> None:
    queue, got = asyncio.Queue[int](), list[int]()

    async def take() -> None:
        got.append(await queue.get())

    async with asyncio.TaskGroup() as group:
        first, _ = group.create_task(take()), group.create_task(take())
        await asyncio.sleep(0)
        queue.put_nowait(1)
        first.cancel()
        await asyncio.wait([first])
        queue.put_nowait(2)
    assert got + [queue.get_nowait() for _ in range(queue.qsize())] in ([1, 2], [2, 1])


async def asyncio_barrier() -> None:
    barrier, before, after = asyncio.Barrier(2), list[int](), list[int]()

    async def meet(number: int) -> None:
        before.append(number)
        await barrier.wait()
        assert len(before) == 2
        after.append(number)

    await asyncio.gather(meet(1), meet(2))
    assert sorted(after) == [1, 2]


async def asyncio_gather_wait_and_as_completed() -> None:
    async def answer(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert list(await asyncio.gather(answer(1), answer(2))) == [1, 2]
    assert sorted([await one for one in asyncio.as_completed([answer(1), answer(2)])]) == [1, 2]
    done, left = await asyncio.wait([asyncio.create_task(answer(3))])
    assert ([task.result() for task in done], left) == ([3], set())


async def asyncio_task_group_that_fails() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError

    with pytest.RaisesGroup(LookupError):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(10))
            group.create_task(fail())


async def asyncio_task_group_that_fails_leaves_no_request_to_cancel() -> None:
    await asyncio_task_group_that_fails()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def asyncio_timeouts() -> None:
    loop = asyncio.get_running_loop()

    async def short() -> None:
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(10)
        except TimeoutError:
            assert loop.time() == pytest.approx(1)
        else:
            raise AssertionError("no timeout")

    async def long() -> None:
        assert await asyncio.wait_for(asyncio.sleep(2, "done"), 3) == "done"
        assert loop.time() == pytest.approx(2)

    await asyncio.gather(short(), long())


async def asyncio_wait_for_that_is_cancelled() -> None:
    """Who asks for the end of a task gets it, also if its answer comes at once."""
    answer = asyncio.get_running_loop().create_future()
    cancelled: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.wait_for(answer, 10)
        except asyncio.CancelledError:
            cancelled.append("waiter")
            raise

    async def give() -> None:
        if not answer.done():
            answer.set_result("it")

    waiter = asyncio.create_task(wait())
    await asyncio.sleep(0)
    giver = asyncio.create_task(give())
    asked = waiter.cancel()
    await asyncio.wait([waiter, giver])
    assert not asked or waiter.cancelled(), "the cancellation was swallowed"


async def asyncio_shield() -> None:
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(1)
        done.append("it")

    inner = asyncio.create_task(work())
    outer = asyncio.ensure_future(asyncio.shield(inner))
    await asyncio.sleep(0)
    outer.cancel()
    await asyncio.wait([inner])
    assert done == ["it"]


async def asyncio_threads() -> None:
    loop = asyncio.get_running_loop()
    found = await asyncio.gather(
        asyncio.to_thread(abs, -1), loop.run_in_executor(None, abs, -2), asyncio.to_thread(abs, -3)
    )
    assert list(found) == [1, 2, 3]


def _named(prefix: str) -> list[Scenario]:
    return [value for name, value in globals().items() if name.startswith(f"{prefix}_")]


# Scenario → CPython's issue, and the last release that has it.
CPYTHON_BUGS: dict[Scenario, tuple[str, tuple[int, ...]]] = {
    asyncio_condition_whose_waiter_is_cancelled: ("gh-112202", (3, 12, 1)),
    asyncio_wait_for_that_is_cancelled: ("bpo-37658", (3, 11, sys.maxsize)),
    asyncio_task_group_that_fails_leaves_no_request_to_cancel: (
        "gh-116720",
        (3, 12, sys.maxsize),
    ),
}


def _cases() -> list[Any]:
    either = [*_named("anyio"), stream(0), stream(2)]
    pairs: list[tuple[Backend, Scenario]] = [
        *(("asyncio", one) for one in either + _named("asyncio")),
        *(("trio", one) for one in either + _named("trio")),
    ]
    cases = []
    for backend, scenario in pairs:
        bug, last = CPYTHON_BUGS.get(scenario, ("", (0,)))
        known = pytest.mark.xfail(sys.version_info[:3] <= last, reason=bug, strict=True)
        marks = [known] if bug else []
        cases.append(
            pytest.param(backend, scenario, id=f"{backend}-{scenario.__name__}", marks=marks)
        )
    return cases


@pytest.mark.parametrize(("backend", "scenario"), _cases())
def test_correct_code_fails_under_no_schedule(backend: Backend, scenario: Scenario) -> None:
    exploration = explore(scenario, backend=backend, bound=3, schedules=50_000).check()
    assert exploration.exhausted
