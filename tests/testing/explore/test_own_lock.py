"""Our own locks under our own tools: every schedule, and a cancel at every step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.lock import Counter, Guarded, ThreadGuarded
from aconcur.testing import cancel_everywhere, explore

Value: TypeAlias = Guarded[int] | ThreadGuarded[int]
Add: TypeAlias = Callable[[Value], Coroutine[Any, Any, None]]
Backend: TypeAlias = Literal["asyncio", "trio"]


async def by_block(value: Value) -> None:
    async with value as cell:
        before = cell.value
        await checkpoint()
        cell.value = before + 1


async def by_update(value: Value) -> None:
    async def add(before: int) -> int:
        await checkpoint()
        return before + 1

    await value.update(add)


every_value = pytest.mark.parametrize("make", [Guarded, ThreadGuarded])
every_way = pytest.mark.parametrize("add", [by_block, by_update])


class Books:
    """Three tasks add 1 each, and one of them is cancelled at some moment."""

    def __init__(self, make: Callable[[int], Value], add: Add) -> None:
        self.value, self.add = make(0), add
        self.done = 0

    async def one(self) -> None:
        await self.add(self.value)
        self.done += 1

    async def check(self) -> None:
        """What was done is there, what was cancelled is not, and the value is free."""
        now = self.value.statistics()
        assert (now.holder, now.waiting) == (None, 0)
        assert await self.value.update(lambda count: count) == self.done
        assert self.done >= 2


async def cancelled_by_scope(make: Callable[[int], Value], add: Add) -> None:
    books = Books(make, add)
    scope = anyio.CancelScope()

    async def victim() -> None:
        with scope:
            await books.one()

    async def cancel() -> None:
        await checkpoint()
        scope.cancel()

    async with anyio.create_task_group() as group:
        for task in (books.one, victim, books.one, cancel):
            group.start_soon(task)
    await books.check()


async def cancelled_natively(make: Callable[[int], Value], add: Add) -> None:
    books = Books(make, add)
    async with asyncio.TaskGroup() as group:
        group.create_task(books.one())
        victim = group.create_task(books.one())
        group.create_task(books.one())
        await asyncio.sleep(0)
        victim.cancel()
    await books.check()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@every_way
@every_value
def test_no_schedule_loses_an_update_when_a_scope_is_cancelled(
    make: Callable[[int], Value], add: Add, backend: Backend
) -> None:
    found = explore(partial(cancelled_by_scope, make, add), backend=backend, bound=3).check()
    assert found.exhausted


@every_way
@every_value
def test_no_schedule_loses_an_update_when_a_task_is_cancelled(
    make: Callable[[int], Value], add: Add
) -> None:
    found = explore(partial(cancelled_natively, make, add), bound=3).check()
    assert found.exhausted


@every_way
@every_value
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_a_cancel_at_any_step_leaves_nothing(
    make: Callable[[int], Value], add: Add, backend: Literal["asyncio", "uvloop", "trio"]
) -> None:
    value = make(0)

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(add, value)

    def free() -> None:
        now = value.statistics()
        assert (now.holder, now.waiting) == (None, 0)

    cancel_everywhere(scenario, backend=backend, invariant=free).check()


@pytest.mark.explore(bound=3)
async def test_a_counter_counts_in_every_schedule() -> None:
    counter = Counter()
    async with anyio.create_task_group() as group:
        for offset in (1, 2, 3):
            group.start_soon(counter.increment, offset)
    assert counter.count == 6


@pytest.mark.cancel_everywhere
async def test_a_counter_leaves_nothing_when_cancelled() -> None:
    counter = Counter()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(counter.increment)
