"""A parked task is woken from its own loop, from a thread, or not at all."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest

from aconcur._core.loops import Loop, current_loop, current_task_and_loop
from aconcur._core.wait_queue import Waiter, get_call_soon_threadsafe, make_waiter, wake, wake_on
from tests.support.backends import BACKENDS
from tests.support.states import BOUND


async def test_who_is_woken_before_it_waits_does_not_wait() -> None:
    waiter = make_waiter()
    assert wake(waiter)
    assert not wake(waiter)
    with anyio.fail_after(BOUND):
        assert await waiter


async def test_a_thread_wakes_through_the_loop() -> None:
    waiter, (_, loop) = make_waiter(), current_task_and_loop()
    assert await anyio.to_thread.run_sync(wake_on, loop, waiter)
    with anyio.fail_after(BOUND):
        assert await waiter


async def test_who_was_cancelled_is_not_woken() -> None:
    waiter, (_, loop) = make_waiter(), current_task_and_loop()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await waiter
    assert scope.cancelled_caught
    assert waiter.cancelled()
    assert not wake_on(loop, waiter)


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_nobody_is_reached_on_a_loop_that_has_ended(backend: tuple[str, dict[str, object]]) -> None:
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


def test_without_a_loop_there_is_nothing_to_call() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        get_call_soon_threadsafe()
