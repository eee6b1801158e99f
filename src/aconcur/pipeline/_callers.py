"""How a stage calls a blocking function: in threads, in an executor, in a pool, as a command.

Rule 1: whatever is started for a call has ended when the call returns or raises.
Rule 2: an error of the function is the item's. An error of the machinery (a broken or closed
executor or pool, no more threads) is raised as a ``CallerFailed`` and ends the run.
Rule 3: a call in a thread runs in its own copy of the context in which the run was opened.
"""

from __future__ import annotations

__all__ = (
    "CallerFailed",
    "ThreadTeam",
    "Through",
    "in_executor",
    "in_pool",
    "in_threads",
    "list_results",
    "size_of",
)

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from concurrent import futures
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import PurePath
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import anyio

from aconcur._core.loops import thread_context
from aconcur._core.wait_queue import CallSoon, Waiter, make_waiter, waiter_factory
from aconcur.pipeline._spec import THREADS, Runner, Via

if TYPE_CHECKING:
    from aconcur.process import Runnable

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
Measure: TypeAlias = Callable[[float], object]
# A thread pool whose workers are interpreters, to which no context can be sent.
_INTERPRETERS: Final = getattr(futures, "InterpreterPoolExecutor", ())


class CallerFailed(Exception):  # noqa: N818 - it never leaves the package
    """What should have called the function cannot work.

    Args:
        error: what it raised.
    """

    def __init__(self, error: BaseException) -> None:
        self.error = error


@final
class _PendingCall:
    """One call of a blocking function: its item, then its result."""

    __slots__ = (
        "began",
        "done",
        "ended",
        "error",
        "given_up",
        "item",
        "made",
        "result",
        "skipped",
        "waiter",
    )

    def __init__(self, item: object, waiter: Waiter) -> None:
        self.item, self.waiter = item, waiter
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = self.given_up = self.skipped = False
        self.made = self.began = self.ended = 0.0

    def finish(self) -> None:
        """Wake the task; called in the loop."""
        self.done = True
        if not self.waiter.done():
            self.waiter.set_result(True)

    def timed(self, function: Callable[[Any], Any]) -> Any:  # noqa: ANN401
        """Make the call, in a thread of an executor, and note when."""
        self.began = perf_counter()
        try:
            return function(self.item)
        finally:
            self.ended = perf_counter()

    async def until_over(self) -> None:
        """Wait for the end of a cancelled call; a second cancel does not shorten this."""
        self.given_up = True
        with anyio.CancelScope(shield=True):
            while not self.done:
                self.waiter = make_waiter()
                try:
                    await self.waiter
                except asyncio.CancelledError:  # noqa: ASYNC103 - the first is raised
                    continue  # noqa: ASYNC104

    def outcome(self) -> Any:  # noqa: ANN401
        """Return the result, or raise the error, and keep a reference to neither."""
        if self.error is None:
            return self.result
        try:
            raise self.error
        finally:
            # Its traceback refers to this frame: a cycle.
            self.error = None


@final
class _Deliveries:
    """Carries finished calls to the loop: one call of the loop for all of a batch."""

    def __init__(self, soon: CallSoon) -> None:
        self._soon, self._finished, self._called = soon, deque[_PendingCall](), False

    def add(self, call: _PendingCall) -> None:
        """Take a finished call, from any thread."""
        self._finished.append(call)
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
    """The threads of one stage of one run. They start with the first calls and end with close().

    Args:
        function: what they call.
        size: how many there are, at most.
        soon: calls in the loop.
        name: of the stage.
        each: whether each call has its own copy of the run's context.
        took: told the seconds of each call.
        queued: told the seconds that each call waited for a thread.
        unbegun: told when a call was made that is cancelled before a thread began it.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        size: int,
        soon: CallSoon,
        name: str,
        each: bool,
        took: Measure,
        queued: Measure,
        unbegun: Measure,
    ) -> None:
        self._function, self._size, self._name = function, size, name
        self._took, self._queued, self._unbegun = took, queued, unbegun
        self._deliveries, self._make_waiter = _Deliveries(soon), waiter_factory()
        self._work = SimpleQueue[_PendingCall | None]()
        self._threads: list[Thread] = []
        self._busy = 0
        self._context, self._each = thread_context(), each

    async def call(self, item: object) -> Any:  # noqa: ANN401
        """Return ``function(item)``, called by one of the threads.

        **Cancelled**: a call that no thread has begun is not made; waits for one that runs.

        Raises:
            CallerFailed: no thread could be started.
        """
        pending = _PendingCall(item, self._make_waiter())
        self._busy += 1
        try:
            if self._busy > len(self._threads) < self._size:
                self._start()
            pending.made = perf_counter()
            self._work.put(pending)
            try:
                await pending.waiter
            except BaseException:
                await pending.until_over()  # noqa: ASYNC102 - shielded there
                if pending.skipped:
                    self._unbegun(pending.made)
                raise
        finally:
            self._busy -= 1
        self._took(pending.ended - pending.began)
        self._queued(pending.began - pending.made)
        return pending.outcome()

    def _start(self) -> None:
        name = f"{self._name} {len(self._threads) + 1}"
        thread = Thread(target=self._serve, name=name, daemon=True)
        # First: on trio, Ctrl-C may come out of start() though the thread has started.
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more
            self._threads.remove(thread)
            raise CallerFailed(error) from error

    def _serve(self) -> None:
        function, next_call, finished = self._function, self._work.get, self._deliveries.add
        context, each = self._context.copy(), self._each
        while (call := next_call()) is not None:
            call.began = perf_counter()
            if call.given_up:
                call.skipped = True
            else:
                try:
                    call.result = (context.copy() if each else context).run(function, call.item)
                except BaseException as error:  # noqa: ASYNC103, BLE001 - raised in the task
                    call.error = error
            call.ended = perf_counter()
            finished(call)
            del call
        self._work.put(None)  # for the next one

    def close(self) -> None:
        """End the threads. No call is under way."""
        self._work.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()


def in_executor(
    executor: Executor,
    function: Callable[[Any], Any],
    soon: CallSoon,
    took: Measure,
    queued: Measure,
    unbegun: Measure,
    *,
    each: bool,
) -> Call:
    """Return the call that runs the function in an executor and waits for it.

    Args:
        executor: the executor.
        function: the function.
        soon: calls in the loop.
        took: in a thread pool, told the seconds of each call.
        queued: in a thread pool, told the seconds that each call waited for a thread.
        unbegun: told when a call was made that is cancelled before a worker began it.
        each: whether each call has its own copy of the run's context, in a thread pool.
    """
    deliveries, make_waiter = _Deliveries(soon), waiter_factory()
    threads = in_threads(executor)
    context = copy_context() if threads and each else None

    async def call(item: Any) -> Any:  # noqa: ANN401
        pending = _PendingCall(item, make_waiter())
        pending.made = perf_counter()
        try:
            if not threads:
                future = executor.submit(function, item)
            elif context is None:
                future = executor.submit(pending.timed, function)
            else:
                future = executor.submit(context.copy().run, pending.timed, function)
        except RuntimeError as error:  # broken, shut down, or no more threads
            raise CallerFailed(error) from error
        future.add_done_callback(partial(_take_answer, pending, deliveries))
        try:
            await pending.waiter
        except BaseException:
            skipped = future.cancel()
            await pending.until_over()  # noqa: ASYNC102 - shielded there
            if skipped:
                unbegun(pending.made)
            raise
        finally:
            del future  # it has the error whose traceback has this frame: a cycle
        if pending.ended:
            took(pending.ended - pending.began)
            queued(pending.began - pending.made)
        return pending.outcome()

    return call


def in_threads(via: object) -> bool:
    """Return whether calls are made in threads of this interpreter."""
    pool = isinstance(via, ThreadPoolExecutor) and not isinstance(via, _INTERPRETERS)
    return via is THREADS or pool


def list_results(function: Callable[[Any], Any], item: object) -> Any:  # noqa: ANN401
    """Return all results of a function, iterated over here: a generator blocks where it runs."""
    results = function(item)
    return results if isinstance(results, AsyncIterable) else list(results)


def size_of(via: Via) -> int | None:
    """Return how many calls an executor or a pool makes at once, if it can tell."""
    if isinstance(via, Executor):
        return getattr(via, "_max_workers", None)
    statistics = getattr(via, "statistics", None)
    return None if statistics is None else getattr(statistics(), "workers", None)


def _take_answer(call: _PendingCall, deliveries: _Deliveries, future: Future[Any]) -> None:
    if future.cancelled():
        problem = RuntimeError("the executor cancelled the call: was it shut down?")
        call.error = CallerFailed(problem)
    elif (error := future.exception()) is None:
        call.result = future.result()
    elif isinstance(error, BrokenExecutor):
        call.error = CallerFailed(error)
    else:
        call.error = error
    deliveries.add(call)


def in_pool(pool: Runner, function: Callable[[Any], Any]) -> Call:
    """Return the call that runs the function in a pool."""
    from aconcur.parallel import PoolClosed, WorkerStartError

    run = pool.run

    async def call(item: Any) -> Any:  # noqa: ANN401
        try:
            return await run(function, item)
        except (PoolClosed, WorkerStartError) as error:
            raise CallerFailed(error) from error

    return call


@final
class Through:
    """Sends bytes through a command, one run for each call.

    Args:
        command: the command or pipe of commands.
        timeout: seconds that it may run; None: any.

    Raises:
        TypeError: it is not a command.
    """

    def __init__(self, command: Runnable, timeout: float | None) -> None:
        from aconcur.process import Runnable

        if not isinstance(command, Runnable):
            raise TypeError(f"through() needs a Command or a CommandPipe, not {command!r}")
        self._command, self._timeout = command, timeout
        self.__name__ = " | ".join(PurePath(one.args[0]).name for one in command.commands)

    async def __call__(self, item: bytes) -> bytes:
        """Return what the command writes when it reads the item.

        **Cancelled**: the command has ended.

        Raises:
            TypeError: the item is not bytes.
            CommandError: the command failed.
        """
        # The command would take text, a path or a file too, but read it as something else.
        if not isinstance(item, bytes | bytearray | memoryview):
            raise TypeError(f"through() needs bytes, not {type(item).__name__}: convert with map()")
        done = await self._command.run(input=item, timeout=self._timeout)
        return done.stdout
