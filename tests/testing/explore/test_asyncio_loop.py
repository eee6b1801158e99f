"""What only the explorer's own asyncio loop has to see to."""

from __future__ import annotations

import asyncio
import warnings
from math import inf

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.testing import Deadlock, NotReproducibleError, explore, replay


def test_a_timer_at_infinity_never_fires() -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().call_later(inf, print)
        await asyncio.sleep(inf)

    failure = explore(scenario).failure
    assert failure is not None
    assert isinstance(failure.error, Deadlock)


def test_a_run_that_is_given_up_starts_what_it_had_made() -> None:
    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(checkpoint)

    # Without its first step a task of anyio's leaves a coroutine that was never awaited.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(NotReproducibleError):
            replay(scenario, "0=9")
    assert caught == []


def test_a_task_that_is_cancelled_before_it_began_does_not_begin() -> None:
    async def scenario() -> None:
        begun: list[int] = []

        async def begin() -> None:
            begun.append(1)

        asyncio.create_task(begin()).cancel()
        await asyncio.sleep(1)
        assert not begun

    explore(scenario, bound=3).check()


def test_a_run_does_not_walk_through_the_garbage_of_earlier_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(1)))

    kept: list[object] = []
    monkeypatch.delattr(asyncio, "all_tasks")
    explore(scenario, allow=["task left"]).check()
    assert kept
