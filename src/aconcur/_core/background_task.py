"""A task that belongs to no block, on asyncio and trio.

It serves objects that may be opened in one task and closed in another, such as a pool in a
pytest fixture. A task group cannot: its cancel scope must be left in the task that entered it.
On trio the task is protected from Ctrl-C, as all system tasks are.
"""

from __future__ import annotations

__all__ = ("BackgroundTask",)

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, final

import anyio

from aconcur._core.wait_queue import WaitQueue, in_trio, wait_in


@final
class BackgroundTask:
    """A running task.

    If the event loop ends first, it cancels the task.

    Args:
        run: called once; the task runs the coroutine that it returns.
        name: the task's name.
    """

    def __init__(self, run: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self.done: bool = False
        """Whether it has ended."""
        self.error: BaseException | None = None
        """The exception that it ended with."""
        self._run = run
        self._waiters = WaitQueue()
        if in_trio():
            import trio

            trio.lowlevel.spawn_system_task(self._live, name=name, context=copy_context())
        else:
            self._task = asyncio.get_running_loop().create_task(self._live(), name=name)
            self._task.add_done_callback(self._end)

    async def _live(self) -> None:
        try:
            await self._run()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: ASYNC103, BLE001 - on trio it would end the run
            self.error = error  # noqa: ASYNC104
        finally:
            self._end()

    def _end(self, task: asyncio.Task[None] | None = None) -> None:  # noqa: ARG002
        # As a callback: a task that is cancelled before its first step never runs.
        self.done = True
        self._waiters.wake_all(True)

    async def ended(self, on_cancel: Callable[[], object]) -> None:
        """Wait until the task has ended.

        **Cancelled**: calls ``on_cancel``, waits on, and raises at the end. Only a native
        cancellation (``asyncio.Task.cancel()``) is noticed; that of a scope is shielded off.
        """
        cancelled: BaseException | None = None
        with anyio.CancelScope(shield=True):
            while not self.done:
                try:
                    await wait_in(self._waiters)
                except anyio.get_cancelled_exc_class() as error:  # noqa: ASYNC103 - raised below
                    cancelled = error  # noqa: ASYNC104
                    on_cancel()
        if cancelled is not None:
            raise cancelled
