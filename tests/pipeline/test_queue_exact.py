"""Under every schedule of two producers, two consumers and one cancel, the queue's books balance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.pipeline import Producer, Queue, QueueClosed
from aconcur.testing import Exploration, explore

Role: TypeAlias = Literal["producer", "consumer"]
Kind: TypeAlias = Literal["scope", "native"]
Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
Act: TypeAlias = Callable[[], Awaitable[None]]


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
    await asyncio.create_task(cancel(), name="cancel")
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
total = {"schedules": 0}


def exhaust(run: Scenario, backend: str, bound: int = 3) -> Exploration:
    found = explore(run, backend=backend, bound=bound, schedules=100_000)  # type: ignore[arg-type]
    found.check()
    assert found.exhausted
    return found


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
@pytest.mark.parametrize("role", ["producer", "consumer"])
@pytest.mark.parametrize(("backend", "kind"), RUNS)
def test_nothing_is_lost_doubled_phantom_or_stuck(
    backend: str, kind: Kind, role: Role, many: bool
) -> None:
    run = scenario(role, kind, maxsize=1, each=1, many=many)
    found = exhaust(run, backend)
    print(backend, kind, role, many, found.schedules, round(found.seconds, 1))
