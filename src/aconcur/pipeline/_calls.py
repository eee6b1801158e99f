"""How a stage calls its function: as a coroutine, in a thread, in an executor; within a time.

Rule: whatever is started for a call has ended when the call returns or raises.
"""

from __future__ import annotations

__all__ = ("Call", "ThreadTeam", "Watch", "awaiting", "in_executor")

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any, Final, TypeAlias, final

import anyio

from aconcur._core.parking import Soon, Waiter, in_trio, new_waiter

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
_CANCELLED: Final = "the call was cancelled by its executor"


def awaiting(function: Callable[[Any], Any]) -> Call:
    """Return the function as one to await: itself, or what awaits it if it must be."""
    target = function
    while isinstance(target, partial):
        target = target.func
    if iscoroutinefunction(target) or iscoroutinefunction(getattr(target, "__call__", None)):  # noqa: B004
        return function

    async def call(item: Any) -> Any:  # noqa: ANN401
        result = function(item)
        return await result if isawaitable(result) else result

    return call


@final
class _Ticket:
    """One call of a blocking function: its arguments, then its result."""

    __slots__ = ("abandoned", "done", "error", "function", "item", "result", "stop", "waiter")

    def __init__(self, function: Callable[[Any], Any], item: object) -> None:
        self.function, self.item = function, item
        self.result: Any = None
        self.error: BaseException | None = None
        self.waiter: Waiter = new_waiter()
        self.done = self.abandoned = False
        self.stop: Callable[[], object] = self.abandon

    def abandon(self) -> None:
        """Let no thread begin it."""
        self.abandoned = True

    def finish(self) -> None:
        """Tell the task, in the loop."""
        self.done = True
        if not self.waiter.done():
            self.waiter.set_result(True)

    async def until_done(self) -> None:
        """Wait for the call to end, whoever cancels.

        **Cancelled**: waits on, because nothing stops a thread, and raises then.
        """
        try:
            await self.waiter
        except BaseException:
            self.stop()
            with anyio.CancelScope(shield=True):
                while not self.done:
                    self.waiter = new_waiter()
                    try:
                        await self.waiter
                    except asyncio.CancelledError:  # noqa: ASYNC103 - the first is raised
                        continue  # noqa: ASYNC104
            raise

    def answer(self) -> Any:  # noqa: ANN401
        """Return the function's result, or raise its error."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self.result


@final
class _Returns:
    """Carries what is finished to the loop: one call of the loop for all of a batch."""

    def __init__(self, soon: Soon) -> None:
        self._soon, self._finished, self._called = soon, deque[_Ticket](), False

    def add(self, ticket: _Ticket) -> None:
        """Take a finished call, from any thread."""
        self._finished.append(ticket)
        if not self._called:
            self._called = True
            self._soon(self._deliver)

    def _deliver(self) -> None:
        # First: a thread that adds one from here on calls again.
        self._called = False
        while self._finished:
            self._finished.popleft().finish()


@final
class ThreadTeam:
    """Threads of one stage of one run. They start with the first calls and end with close()."""

    def __init__(self, size: int, soon: Soon, name: str) -> None:
        self._returns, self._size, self._name = _Returns(soon), size, name
        self._work = SimpleQueue[_Ticket | None]()
        self._threads: list[Thread] = []
        self._busy = 0

    async def call(self, function: Callable[[Any], Any], item: object) -> Any:  # noqa: ANN401
        """Return ``function(item)``, called by one of the threads.

        **Cancelled**: a call that no thread has begun is not made; waits for one that runs.
        """
        ticket = _Ticket(function, item)
        self._busy += 1
        if self._busy > len(self._threads) < self._size:
            self._start()
        self._work.put(ticket)
        try:
            await ticket.until_done()
        finally:
            self._busy -= 1
        return ticket.answer()

    def _start(self) -> None:
        context = copy_context()
        name = f"{self._name} {len(self._threads) + 1}"
        thread = Thread(target=context.run, args=(self._serve,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _serve(self) -> None:
        while (ticket := self._work.get()) is not None:
            if not ticket.abandoned:
                try:
                    ticket.result = ticket.function(ticket.item)
                except BaseException as error:  # noqa: ASYNC103, BLE001 - raised in the task
                    ticket.error = error
            self._returns.add(ticket)
            del ticket

    def close(self) -> None:
        """End the threads. No call is under way."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()


def in_executor(executor: Executor, function: Callable[[Any], Any], soon: Soon) -> Call:
    """Return what calls the function in an executor and waits for it."""
    returns = _Returns(soon)

    async def call(item: Any) -> Any:  # noqa: ANN401
        ticket = _Ticket(function, item)
        future = executor.submit(function, item)
        future.add_done_callback(partial(_take_answer, ticket, returns))
        ticket.stop = future.cancel
        await ticket.until_done()
        return ticket.answer()

    return call


def _take_answer(ticket: _Ticket, returns: _Returns, future: Future[Any]) -> None:
    if future.cancelled():
        ticket.error = RuntimeError(_CANCELLED)
    else:
        ticket.error = future.exception()
        if ticket.error is None:
            ticket.result = future.result()
    returns.add(ticket)


@final
class Watch:
    """Gives each call of a stage a time limit.

    On asyncio one task watches all workers of a stage, which costs a call a look at the clock;
    ``asyncio.timeout`` makes a timer for each. On trio it is anyio's fail_after.
    """

    def __init__(self, call: Call, seconds: float) -> None:
        self._call, self._seconds = call, seconds
        self._watched: list[_Watched] = []

    def worker_call(self) -> Call:
        """Return what the task that runs calls."""
        if in_trio():
            return self._call_on_trio
        task = asyncio.current_task()
        assert task is not None
        watched = _Watched(self._call, self._seconds, task)
        self._watched.append(watched)
        return watched.call

    async def _call_on_trio(self, item: object) -> object:
        with anyio.fail_after(self._seconds):
            return await self._call(item)

    async def watch(self) -> None:
        """Cancel what runs too long, until cancelled. A call is given its time and no more."""
        if in_trio():
            return
        while True:
            now = monotonic()
            due = [watched.due(now) for watched in self._watched]
            # What starts from now on is not due before.
            await anyio.sleep(min(due, default=self._seconds))


@final
class _Watched:
    """One worker that is watched, on asyncio."""

    __slots__ = ("_call", "_expired", "_seconds", "_started", "_task")

    def __init__(self, call: Call, seconds: float, task: asyncio.Task[Any]) -> None:
        self._call, self._seconds, self._task = call, seconds, task
        self._started, self._expired = 0.0, False

    async def call(self, item: object) -> object:
        self._started = monotonic()
        try:
            result = await self._call(item)
        except asyncio.CancelledError as error:
            # As asyncio.timeout: who else cancels the task counts more.
            ours = self._expired and self._task.cancelling() <= 1
            self._end()
            if not ours:
                raise
            late = f"no result after {self._seconds} s"
            raise TimeoutError(late) from error  # noqa: ASYNC104 - it was our own
        except BaseException:
            self._end()
            raise
        self._started = 0.0
        if self._expired:
            self._end()
        return result

    def _end(self) -> None:
        self._started = 0.0
        if self._expired:
            self._expired = False
            self._task.uncancel()

    def due(self, now: float) -> float:
        """Cancel a call that is due; return the seconds until the next one can be."""
        if self._started and not self._expired:
            left = self._started + self._seconds - now
            if left > 0:
                return left
            self._expired = True
            self._task.cancel()
        return self._seconds
