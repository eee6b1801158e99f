"""Under every schedule of two producers, two consumers and one cancel, the books balance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.pipeline import Producer, Queue, QueueClosed, QueueEmpty, QueueFull
from aconcur.testing import Exploration, explore

Role: TypeAlias = Literal["producer", "consumer"]
Kind: TypeAlias = Literal["scope", "native"]
Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
Backend: TypeAlias = Literal["asyncio", "trio"]
Act: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Books:
    """What was sent and what came, of one queue."""

    def __init__(self, queue: Queue[int]) -> None:
        self.queue = queue
        self.sent: list[int] = []
        self.came: list[int] = []

    def balance(self) -> None:
        left: list[int] = []
        while self.queue.qsize():
            left.append(self.queue.get_nowait())
        arrived = self.came + left
        assert set(self.sent) <= set(arrived), f"lost: sent {self.sent}, arrived {arrived}"
        assert set(arrived) <= set(self.sent), f"phantom: sent {self.sent}, arrived {arrived}"
        assert len(arrived) == len(set(arrived)), f"doubled: {arrived}"
        found = self.queue.statistics()
        assert (found.waiting_to_get, found.waiting_to_put) == (0, 0)


async def in_a_scope(acts: list[Act], shares: list[Producer], victim: int) -> None:
    """Run the acts as tasks of anyio, and cancel one of them by a scope, which it always enters."""
    del shares
    scope = anyio.CancelScope()

    async def cancellable() -> None:
        with scope:
            await acts[victim]()

    async def cancel() -> None:
        await checkpoint()
        scope.cancel()

    async with anyio.create_task_group() as group:
        for number, act in enumerate(acts):
            group.start_soon(cancellable if number == victim else act)
        group.start_soon(cancel)


async def natively(acts: list[Act], shares: list[Producer], victim: int) -> None:
    """Run the acts as tasks of asyncio, and cancel one of them natively."""

    async def run(act: Act) -> None:
        await act()

    async def cancel() -> None:
        await asyncio.sleep(0)
        tasks[victim].cancel()

    tasks = [asyncio.create_task(run(act), name=str(n)) for n, act in enumerate(acts)]
    for task, share in zip(tasks, shares, strict=False):
        # A task that is cancelled before its first step enters no block.
        task.add_done_callback(share.__exit__)
    canceller = asyncio.create_task(cancel(), name="cancel")
    await canceller
    await asyncio.gather(*tasks, return_exceptions=True)
    for number, task in enumerate(tasks):
        if not task.cancelled():
            task.result()
        else:
            assert number == victim


def scenario(role: Role, kind: Kind, *, maxsize: int, each: int, many: bool) -> Scenario:
    """Two producers of ``each`` items and two consumers; the first of one role is cancelled."""

    async def two_and_two() -> None:
        books = Books(queue := Queue[int](maxsize))

        async def produce(first: int) -> None:
            try:
                for item in range(first, first + each):
                    await queue.put(item)
                    books.sent.append(item)
            except QueueClosed:
                assert role == "consumer"

        async def produce_many(first: int) -> None:
            source = iter(range(first, first + each))
            try:
                await queue.put_many(source)
            finally:
                books.sent += sorted(set(range(first, first + each)) - set(source))

        async def consume() -> None:
            async for item in queue:
                books.came.append(item)

        async def consume_many() -> None:
            while True:
                try:
                    books.came += await queue.get_many(2)
                except QueueClosed:
                    return

        def producer(number: int) -> Act:
            async def run() -> None:
                with shares[number]:
                    await (produce_many if many else produce)(number * each)

            return run

        shares = [queue.producer(), queue.producer()]
        consumer = consume_many if many else consume
        acts: list[Act] = [producer(0), producer(1), consumer, consumer]
        run = in_a_scope if kind == "scope" else natively
        await run(acts, shares, 0 if role == "producer" else 2)
        books.balance()

    return two_and_two


RUNS = [
    pytest.param("asyncio", "scope", id="asyncio-scope"),
    pytest.param("asyncio", "native", id="asyncio-native"),
    pytest.param("trio", "scope", id="trio"),
]


def exhaust(run: Scenario, backend: Backend, bound: int = 3) -> Exploration:
    found = explore(run, backend=backend, bound=bound, schedules=100_000)
    found.check()
    assert found.exhausted
    return found


# With two items for each producer, bound 3 has thousands of schedules, for little more to see.
@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
@pytest.mark.parametrize("role", ["producer", "consumer"])
@pytest.mark.parametrize(("backend", "kind"), RUNS)
def test_nothing_is_lost_doubled_phantom_or_stuck(
    backend: Backend, kind: Kind, role: Role, many: bool, each: int
) -> None:
    run = scenario(role, kind, maxsize=1, each=each, many=many)
    bound = 3 if each == 1 else 2
    assert exhaust(run, backend, bound).schedules > (300 if bound == 3 else 80)


async def shut_down_in_the_middle() -> None:
    queue = Queue[int](1)
    sent: list[int] = []
    came: list[int] = []

    async def produce(item: int) -> None:
        with suppress(QueueClosed):
            await queue.put(item)
            sent.append(item)

    async def consume() -> None:
        async for item in queue:
            came.append(item)
            queue.task_done()

    async def shut_down() -> None:
        await checkpoint()
        queue.shutdown(immediate=True)
        await queue.join()

    async with anyio.create_task_group() as group:
        for item in range(2):
            group.start_soon(produce, item)
            group.start_soon(consume)
        group.start_soon(shut_down)
    found = queue.statistics()
    assert len(sent) == found.put == found.got + found.dropped
    assert len(came) == found.got
    assert set(came) <= set(sent)
    assert (found.size, found.unfinished) == (0, 0)


async def closed_while_all_that_is_left_is_reserved() -> None:
    """One consumer is cancelled with an item reserved for it, after the queue was closed."""
    queue = Queue[int](1)
    came: list[int] = []
    scope = anyio.CancelScope()

    async def cancellable() -> None:
        with scope:
            async for item in queue:
                came.append(item)  # noqa: PERF401 - kept when cancelled

    async def consume() -> None:
        async for item in queue:
            came.append(item)  # noqa: PERF401 - kept when cancelled

    async def produce() -> None:
        await queue.put(1)
        queue.close()
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(cancellable)
        group.start_soon(consume)
        group.start_soon(produce)
    assert came == [1]


async def a_newcomer_takes_what_was_reserved_for_another() -> None:
    """Of the closed queue's last item, while others wait for it too: all of them come to an end."""
    queue = Queue[int](1)
    came: list[int] = []
    scope = anyio.CancelScope()

    async def consume() -> None:
        with suppress(QueueClosed):
            came.append(await queue.get())

    async def cancellable() -> None:
        with scope:
            await consume()

    async def produce() -> None:
        await queue.put(1)
        queue.close()
        scope.cancel()
        await checkpoint()
        await consume()

    async with anyio.create_task_group() as group:
        group.start_soon(cancellable)
        group.start_soon(consume)
        group.start_soon(consume)
        group.start_soon(produce)
    assert came == [1]


async def a_place_that_was_promised_goes_to_another() -> None:
    queue = Queue[int](1)
    queue.put_nowait(0)
    scope = anyio.CancelScope()
    put: list[int] = []

    async def produce(item: int) -> None:
        await queue.put(item)
        put.append(item)

    async def cancellable() -> None:
        with scope:
            await produce(1)

    async def consume() -> None:
        await queue.get()
        scope.cancel()
        await checkpoint()
        await produce(2)

    async with anyio.create_task_group() as group:
        group.start_soon(cancellable)
        group.start_soon(produce, 3)
        group.start_soon(consume)
        for _ in range(2):
            await checkpoint()
            await queue.get()
    assert queue.qsize() == len(put) - 2 >= 0


async def joined_by_two() -> None:
    queue = Queue[int](2)
    done: list[int] = []

    async def work() -> None:
        async for item in queue:
            done.append(item)
            await checkpoint()
            queue.task_done()

    async def join() -> None:
        await queue.join()
        assert len(done) >= 2

    async with anyio.create_task_group() as group:
        for item in range(2):
            queue.put_nowait(item)
        group.start_soon(join)
        group.start_soon(work)
        await queue.put(2)
        await queue.join()
        assert len(done) >= 2
        queue.close()
    assert done == [0, 1, 2]


async def at_once_beside_those_who_wait() -> None:
    """put_nowait and get_nowait leave alone what is reserved for others."""
    queue = Queue[int](1)
    came: list[int] = []

    async def get() -> None:
        came.append(await queue.get())

    async def snatch() -> None:
        await checkpoint()
        with suppress(QueueEmpty):
            came.append(queue.get_nowait())
            await queue.put(9)

    async def put(item: int) -> None:
        try:
            queue.put_nowait(item)
        except QueueFull:
            await queue.put(item)

    async with anyio.create_task_group() as group:
        group.start_soon(get)
        group.start_soon(get)
        group.start_soon(snatch)
        group.start_soon(put, 1)
        group.start_soon(put, 2)
    assert set(came) >= {1, 2} or 9 in came


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "run",
    [
        shut_down_in_the_middle,
        closed_while_all_that_is_left_is_reserved,
        a_newcomer_takes_what_was_reserved_for_another,
        a_place_that_was_promised_goes_to_another,
        joined_by_two,
        at_once_beside_those_who_wait,
    ],
)
def test_under_every_schedule(run: Scenario, backend: Backend) -> None:
    assert exhaust(run, backend).schedules > 5
