"""The counter: a Guarded number."""

from __future__ import annotations

import anyio
import pytest

from aconcur.lock import AlreadyHeldError, Counter
from tests.support.states import BOUND


async def test_it_counts() -> None:
    counter = Counter()
    assert counter.count == 0
    assert await counter.increment() == 1
    assert await counter.increment(5) == 6
    assert await counter.increment(offset=-2) == 4
    assert counter.count == 4
    assert repr(counter) == "<Counter 4: free>"


async def test_it_starts_where_it_is_told() -> None:
    assert await Counter(10).increment() == 11


async def test_it_loses_nothing_to_an_update_that_awaits_in_its_middle() -> None:
    counter = Counter()

    async def slow(count: int) -> int:
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        return count + 100

    with anyio.fail_after(BOUND):
        async with anyio.create_task_group() as group:
            group.start_soon(counter.update, slow)
            await anyio.lowlevel.checkpoint()
            for _ in range(10):
                group.start_soon(counter.increment)
    assert counter.count == 110


async def test_it_can_be_read_while_it_is_held_and_shows_no_half_update() -> None:
    counter = Counter(3)
    async with counter as cell:
        assert counter.count == 3
        assert repr(counter).startswith("<Counter 3: held by ")
        cell.value = 4
        assert counter.count == 4
        with pytest.raises(AlreadyHeldError):
            await counter.increment()
    assert counter.count == 4


async def test_a_cancelled_increment_adds_nothing() -> None:
    counter = Counter()
    async with anyio.create_task_group() as group, counter:
        group.start_soon(counter.increment)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert counter.count == 0
    assert counter.statistics().holder is None
