"""Guarded values under every order of steps, and cancelled at every await."""

from __future__ import annotations

from typing import Literal

import anyio
import anyio.lowlevel
import pytest

from aconcur.lock import Guarded, NotHeldError, ThreadGuarded
from aconcur.testing import cancel_everywhere, explore

Backend = Literal["asyncio", "trio"]
every_backend = pytest.mark.parametrize("backend", ["asyncio", "trio"])
every_kind = pytest.mark.parametrize("kind", [Guarded, ThreadGuarded])


@every_backend
@every_kind
def test_no_order_of_steps_loses_an_update(
    kind: type[Guarded[int] | ThreadGuarded[int]], backend: Backend
) -> None:
    async def scenario() -> None:
        guarded = kind(0)

        async def block() -> None:
            async with guarded as cell:
                value = cell.value
                await anyio.lowlevel.checkpoint()
                cell.value = value + 1

        async def update() -> None:
            await guarded.update(lambda value: value + 1)

        async with anyio.create_task_group() as group:
            for work in (block, update, block):
                group.start_soon(work)
        assert await guarded.update(lambda value: value) == 3
        assert guarded.statistics().holder is None

    found = explore(scenario, backend=backend, bound=3, schedules=20_000)
    assert found.ok, str(found)


@every_backend
@every_kind
def test_in_no_order_does_a_second_exit_take_the_value_from_its_holder(
    kind: type[Guarded[int] | ThreadGuarded[int]], backend: Backend
) -> None:
    async def scenario() -> None:
        guarded, holding = kind(0), 0

        async def hold() -> None:
            nonlocal holding
            async with guarded:
                holding += 1
                assert holding == 1
                await anyio.lowlevel.checkpoint()
                holding -= 1

        async def leave_twice() -> None:
            async with guarded:
                await anyio.lowlevel.checkpoint()
            with pytest.raises(NotHeldError):
                await guarded.__aexit__(None, None, None)

        async with anyio.create_task_group() as group:
            for work in (hold, leave_twice, hold):
                group.start_soon(work)

    found = explore(scenario, backend=backend, bound=3, schedules=20_000)
    assert found.ok, str(found)


@every_backend
@every_kind
def test_a_cancel_at_any_await_leaves_the_value_free_and_whole(
    kind: type[Guarded[int] | ThreadGuarded[int]], backend: Backend
) -> None:
    kept: list[Guarded[int] | ThreadGuarded[int]] = []

    async def scenario() -> None:
        guarded = kind(0)
        kept[:] = [guarded]

        async def slow(value: int) -> int:
            await anyio.lowlevel.checkpoint()
            return value + 1

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(guarded.update, slow)

    def free() -> None:
        assert kept[0].statistics().holder is None
        assert kept[0].statistics().waiting == 0

    cancel_everywhere(scenario, backend=backend, invariant=free).check()
