"""A waiter is woken from its own loop, from a thread, or not at all."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest

from aconcur._core.loops import Loop, current_loop, current_task_and_loop
from aconcur._core.wait_queue import (
    Waiter,
    WaitQueue,
    get_call_soon_threadsafe,
    make_waiter,
    wait_in,
    wake,
    wake_on,
)
from tests.support.backends import BACKENDS
from tests.support.states import BOUND


async def test_waiter_woken_before_its_wait_does_not_wait() -> None:
    waiter = make_waiter()
    assert wake(waiter)
    assert not wake(waiter)
    with anyio.fail_after(BOUND):
        assert await waiter


async def test_thread_wakes_through_the_loop() -> None:
    waiter, (_, loop) = make_waiter(), current_task_and_loop()
    assert await anyio.to_thread.run_sync(wake_on, loop, waiter)
    with anyio.fail_after(BOUND):
        assert await waiter


async def test_cancelled_waiter_is_not_woken() -> None:
    waiter, (_, loop) = make_waiter(), current_task_and_loop()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await waiter
    assert scope.cancelled_caught
    assert waiter.cancelled()
    assert not wake_on(loop, waiter)


async def test_queue_wakes_in_the_order_of_arrival() -> None:
    queue, woken = WaitQueue(), list[int]()

    async def wait(number: int) -> None:
        await wait_in(queue)
        woken.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            assert queue.wake()
            await anyio.wait_all_tasks_blocked()
    assert woken == [0, 1, 2]
    assert not queue.wake()


async def test_waking_all_skips_a_waiter_that_joins_meanwhile() -> None:
    queue, results = WaitQueue(), list[bool]()

    async def wait() -> None:
        waiter = make_waiter()
        queue.append(waiter)
        results.append(await waiter)

    with anyio.fail_after(BOUND):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            queue.wake_all()
            late = make_waiter()
            queue.append(late)
    assert results == [False, False]
    assert not late.done()


async def test_leaving_tells_whether_a_wake_up_must_be_passed_on() -> None:
    queue = WaitQueue()
    cancelled, woken, told_no = make_waiter(), make_waiter(), make_waiter()
    queue.extend([cancelled, woken, told_no])
    assert not queue.leave(cancelled)
    assert woken in queue
    queue.wake(True)
    queue.wake(False)
    assert queue.leave(woken)
    assert not queue.leave(told_no)
    assert not queue


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_waiter_of_a_loop_that_has_ended_is_not_reached(
    backend: tuple[str, dict[str, object]],
) -> None:
    async def leave_behind() -> tuple[Loop | None, Waiter]:
        soon.append(get_call_soon_threadsafe())
        return current_loop(), make_waiter()

    soon: list[object] = []
    loop, waiter = anyio.run(leave_behind, backend=backend[0], backend_options=backend[1])
    assert loop is not None
    assert not wake_on(loop, waiter)
    [call_soon] = soon
    assert callable(call_soon)
    with pytest.raises(RuntimeError):
        call_soon(list)


def test_without_a_loop_no_call_can_be_scheduled() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        get_call_soon_threadsafe()
