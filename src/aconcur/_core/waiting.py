"""Waits that a cancellation does not cut short, whoever sends it, for code that cleans up."""

from __future__ import annotations

__all__ = (
    "in_worker_thread",
    "until_readable",
    "until_readable_at_all_costs",
)

from collections.abc import Callable

import anyio
import anyio.to_thread


async def until_readable(fd: int, seconds: float | None = None) -> None:
    """Wait until the descriptor can be read, or so many seconds have passed.

    **Cancelled**: nothing has been read.
    """
    if seconds is None:
        await anyio.wait_readable(fd)
    else:
        with anyio.move_on_after(seconds):
            await anyio.wait_readable(fd)


async def until_readable_at_all_costs(
    fd: int, seconds: float | None = None
) -> BaseException | None:
    """Do as :func:`until_readable`, but return a native cancellation instead of raising it.

    A scope's shield is no shield against ``asyncio.Task.cancel()``. Whoever cleans up under a
    shield calls this until all is done, and then raises what it returned.
    """
    try:
        await until_readable(fd, seconds)
    except anyio.get_cancelled_exc_class() as error:  # noqa: ASYNC103 - the caller raises it
        return error  # noqa: ASYNC104
    return None


async def in_worker_thread(call: Callable[[], None], limiter: anyio.CapacityLimiter) -> None:
    """Run a call in a thread, to its end.

    **Cancelled**, natively too: waits for the thread, then raises; on trio what is awaited next
    raises. The call may have done its work: let it leave the result where the caller can undo it.

    Raises:
        ExceptionGroup: holds what the call raised, if it may raise anything.
    """

    async def run() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(call, limiter=limiter)

    # A task of its own: nobody can cancel it natively.
    async with anyio.create_task_group() as group:  # noqa: ASYNC112
        group.start_soon(run)
