"""Background tasks end with their block, and shielded waits last to their end."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import anyio
import pytest

from aconcur._core.generators import start_unhooked
from aconcur._core.scoped_tasks import scoped_tasks
from aconcur._core.shielded import (
    run_in_thread_to_end,
    wait_readable,
    wait_readable_catching_cancel,
)
from tests.support.backends import on_asyncio
from tests.support.states import BOUND, until


async def test_tasks_are_cancelled_when_the_block_ends() -> None:
    with anyio.fail_after(BOUND):
        async with scoped_tasks() as tasks:
            tasks.start_soon(anyio.sleep_forever)


async def run_beside(
    task: Callable[[], Coroutine[Any, Any, object]],
    block: Callable[[], Coroutine[Any, Any, object]],
) -> None:
    with anyio.fail_after(BOUND):
        async with scoped_tasks() as tasks:
            tasks.start_soon(task)
            await anyio.wait_all_tasks_blocked()
            await block()


async def fail_in_block() -> None:
    raise ValueError("of the block")


async def test_error_of_the_block_is_raised_unchanged() -> None:
    with pytest.raises(ValueError, match="of the block"):
        await run_beside(anyio.sleep_forever, fail_in_block)


async def test_error_of_a_task_cancels_the_block_and_is_raised_in_a_group() -> None:
    may_fail, cancelled = anyio.Event(), list[bool]()

    async def task() -> None:
        await may_fail.wait()
        raise ValueError("of the task")

    async def block() -> None:
        may_fail.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(True)

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="of the task")):
        await run_beside(task, block)
    assert cancelled == [True]


async def test_error_of_the_block_comes_before_one_of_its_tasks() -> None:
    async def fail_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("of the task")

    with pytest.raises(ValueError, match="of the block"):
        await run_beside(fail_when_cancelled, fail_in_block)


async def test_block_that_its_task_cancels_ends_without_an_error() -> None:
    with anyio.fail_after(BOUND):
        async with scoped_tasks() as tasks:

            async def end_the_block() -> None:
                tasks.cancel_scope.cancel()

            tasks.start_soon(end_the_block)
            await anyio.sleep_forever()


async def test_cancel_from_outside_goes_through() -> None:
    with anyio.fail_after(BOUND), anyio.CancelScope() as scope:
        scope.cancel()
        async with scoped_tasks():
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_call_in_a_thread_is_waited_for_though_cancelled() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), list[bool]()

    def call() -> None:
        begun.set()
        may_end.wait(BOUND)
        ended.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(run_in_thread_to_end, call, anyio.CapacityLimiter(1))
        await until(begun.is_set)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            assert not ended
            may_end.set()
    assert ended == [True]


@on_asyncio
async def test_call_in_a_thread_is_waited_for_though_its_task_is_cancelled() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), list[bool]()

    def call() -> None:
        begun.set()
        may_end.wait(BOUND)
        ended.append(True)

    task = asyncio.ensure_future(run_in_thread_to_end(call, anyio.CapacityLimiter(1)))
    await until(begun.is_set)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_error_of_a_call_in_a_thread_is_raised_in_a_group() -> None:
    def call() -> None:
        raise ValueError("of the call")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="of the call")):
        await run_in_thread_to_end(call, anyio.CapacityLimiter(1))


async def test_waiting_for_a_descriptor_ends_with_data_or_time() -> None:
    reading, writing = os.pipe()
    try:
        with anyio.fail_after(BOUND):
            await wait_readable(reading, 0.01)
            assert await wait_readable_catching_cancel(reading, 0.01) is None
            os.write(writing, b"x")
            await wait_readable(reading)
            await wait_readable(reading, BOUND)
    finally:
        os.close(reading)
        os.close(writing)


@on_asyncio
async def test_native_cancel_of_a_shielded_wait_is_returned() -> None:
    reading, writing = os.pipe()
    returned: list[BaseException | None] = []

    async def wait() -> None:
        with anyio.CancelScope(shield=True):
            returned.append(await wait_readable_catching_cancel(reading))

    task = asyncio.ensure_future(wait())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await asyncio.wait([task])
    os.close(reading)
    os.close(writing)
    assert [type(error) for error in returned] == [asyncio.CancelledError]


async def test_unhooked_generator_closes_with_its_last_reference() -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 0
            yield 1
        finally:
            closed.append(True)

    hooks = sys.get_asyncgen_hooks()
    generator = start_unhooked(numbers())
    assert sys.get_asyncgen_hooks() == hooks
    assert await anext(generator) == 1
    del generator
    gc.collect()
    assert closed == [True]
