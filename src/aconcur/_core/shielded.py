"""Waits that cancellation cannot cut short, for code that cleans up."""

from __future__ import annotations

__all__ = (
    "run_in_thread_to_end",
    "sleep_catching_cancel",
    "wait_readable",
    "wait_readable_catching_cancel",
)

from collections.abc import Callable

import anyio
import anyio.to_thread


async def wait_readable(fd: int, seconds: float | None = None) -> None:
    """Wait until the descriptor is readable, at most ``seconds`` if given.

    **Cancelled**: nothing has been read.
    """
    if seconds is None:
        await anyio.wait_readable(fd)
    else:
        with anyio.move_on_after(seconds):
            await anyio.wait_readable(fd)


async def wait_readable_catching_cancel(
    fd: int, seconds: float | None = None
) -> BaseException | None:
    """Wait like :func:`wait_readable`, but return a native cancellation instead of raising it.

    A shielded cancel scope does not stop ``asyncio.Task.cancel()``. Clean-up code therefore calls
    this under a shield until all is done, and then raises what it returned.
    """
    try:
        await wait_readable(fd, seconds)
    except anyio.get_cancelled_exc_class() as error:  # noqa: ASYNC103 - the caller raises it
        return error  # noqa: ASYNC104
    return None


async def sleep_catching_cancel(seconds: float) -> BaseException | None:
    """Sleep, but return a native cancellation instead of raising it.

    See :func:`wait_readable_catching_cancel`.
    """
    try:
        await anyio.sleep(seconds)
    except anyio.get_cancelled_exc_class() as error:  # noqa: ASYNC103 - the caller raises it
        return error  # noqa: ASYNC104
    return None


async def run_in_thread_to_end(call: Callable[[], None], limiter: anyio.CapacityLimiter) -> None:
    """Run a call in a worker thread and wait until it has returned.

    **Cancelled**, natively too: waits for the thread, then raises; on trio the next await raises.
    The call may have finished its work, so it must leave its result where the caller can undo it.

    Raises:
        ExceptionGroup: holds the exception of the call.
    """

    async def run() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(call, limiter=limiter)

    # A separate task, to which no other code has a reference: Task.cancel() cannot reach it.
    async with anyio.create_task_group() as group:  # noqa: ASYNC112
        group.start_soon(run)
