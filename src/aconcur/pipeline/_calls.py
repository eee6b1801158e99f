"""How a stage calls its function: as a coroutine, in a thread, in an executor.

Rule: whatever is started for a call has ended when the call returns or raises.
"""

from __future__ import annotations

__all__ = ("Call", "ThreadTeam", "awaiting", "in_executor", "is_coroutine_function")

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeAlias, final

import anyio

from aconcur._core.loops import thread_context
from aconcur._core.wait_queue import CallSoon, Waiter, make_waiter, waiter_factory

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
_CANCELLED: Final = "the call was cancelled by its executor"


def is_coroutine_function(function: object) -> bool:
    """Return whether it is known to return an awaitable: also a partial, or an object's call."""
    while isinstance(function, partial):
        function = function.func
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def awaiting(function: Callable[[Any], Any]) -> Call:
    """Return the function as one to await: itself, or what awaits it if it must be."""
    if is_coroutine_function(function):
        return function

    async def call(item: Any) -> Any:  # noqa: ANN401
        result = function(item)
        return await result if isawaitable(result) else result

    return call


@final
class _Ticket:
    """One call of a blocking function: its item, then its result."""

    __slots__ = ("done", "error", "given_up", "item", "result", "waiter")

    def __init__(self, item: object, waiter: Waiter) -> None:
        self.item, self.waiter = item, waiter
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = self.given_up = False

    def finish(self) -> None:
        """Tell the task, in the loop."""
        self.done = True
        if not self.waiter.done():
            self.waiter.set_result(True)

    async def until_over(self) -> None:
        """Wait for the end of a cancelled call, whoever cancels: nothing stops a thread."""
        self.given_up = True
        with anyio.CancelScope(shield=True):
            while not self.done:
                self.waiter = make_waiter()
                try:
                    await self.waiter
                except asyncio.CancelledError:  # noqa: ASYNC103 - the first is raised
                    continue  # noqa: ASYNC104

    def take_error(self) -> BaseException:
        """Return the error, and keep no reference: its traceback has one to whoever raises it."""
        error, self.error = self.error, None
        assert error is not None
        return error


@final
class _Returns:
    """Carries what is finished to the loop: one call of the loop for all of a batch."""

    def __init__(self, soon: CallSoon) -> None:
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
        finished = self._finished
        while finished:
            finished.popleft().finish()


@final
class ThreadTeam:
    """Threads of one stage of one run. They start with the first calls and end with close().

    Args:
        function: what they call.
        size: how many there are, at most.
        soon: calls in the loop.
        name: of the stage.
    """

    def __init__(
        self, function: Callable[[Any], Any], size: int, soon: CallSoon, name: str
    ) -> None:
        self._function, self._size, self._name = function, size, name
        self._returns, self._new_waiter = _Returns(soon), waiter_factory()
        self._work = SimpleQueue[_Ticket | None]()
        self._threads: list[Thread] = []
        self._busy = 0

    async def call(self, item: object) -> Any:  # noqa: ANN401
        """Return ``function(item)``, called by one of the threads.

        **Cancelled**: a call that no thread has begun is not made; waits for one that runs.
        """
        ticket = _Ticket(item, self._new_waiter())
        self._busy += 1
        if self._busy > len(self._threads) < self._size:
            self._start()
        self._work.put(ticket)
        try:
            await ticket.waiter
        except BaseException:
            await ticket.until_over()  # noqa: ASYNC102 - shielded there
            raise
        finally:
            self._busy -= 1
        if ticket.error is not None:
            raise ticket.take_error()
        return ticket.result

    def _start(self) -> None:
        context = thread_context()
        name = f"{self._name} {len(self._threads) + 1}"
        thread = Thread(target=context.run, args=(self._serve,), name=name, daemon=True)
        # First: on trio, Ctrl-C may come out of start() though the thread has started.
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no more
            self._threads.remove(thread)
            raise

    def _serve(self) -> None:
        function, next_ticket, finished = self._function, self._work.get, self._returns.add
        while (ticket := next_ticket()) is not None:
            if not ticket.given_up:
                try:
                    ticket.result = function(ticket.item)
                except BaseException as error:  # noqa: ASYNC103, BLE001 - raised in the task
                    ticket.error = error
            finished(ticket)
            del ticket
        self._work.put(None)  # for the next one

    def close(self) -> None:
        """End the threads. No call is under way."""
        self._work.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()


def in_executor(executor: Executor, function: Callable[[Any], Any], soon: CallSoon) -> Call:
    """Return what calls the function in an executor and waits for it."""
    returns, make_waiter = _Returns(soon), waiter_factory()

    async def call(item: Any) -> Any:  # noqa: ANN401
        ticket = _Ticket(item, make_waiter())
        future = executor.submit(function, item)
        future.add_done_callback(partial(_take_answer, ticket, returns))
        try:
            await ticket.waiter
        except BaseException:
            future.cancel()
            await ticket.until_over()  # noqa: ASYNC102 - shielded there
            raise
        if ticket.error is not None:
            raise ticket.take_error()
        return ticket.result

    return call


def _take_answer(ticket: _Ticket, returns: _Returns, future: Future[Any]) -> None:
    if future.cancelled():
        ticket.error = RuntimeError(_CANCELLED)
    else:
        ticket.error = future.exception()
        if ticket.error is None:
            ticket.result = future.result()
    returns.add(ticket)
