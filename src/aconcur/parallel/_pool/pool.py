"""A pool of worker processes, driven from the event loop."""

from __future__ import annotations

__all__ = ("Pool", "open_pool")

import multiprocessing
import os
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Generator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, final, overload

import anyio

from aconcur._core.cpus import usable_cpus
from aconcur._core.on_error import RAISE, OnError
from aconcur._core.validation import check_count, check_seconds
from aconcur._pool_worker.main_module import is_being_read, origin_of_main
from aconcur._pool_worker.shared import Shared
from aconcur._pool_worker.start import Boot
from aconcur.errors import UnsupportedPlatformError
from aconcur.parallel._errors import RemoteError, TaskTimeout
from aconcur.parallel._map.job import Job, MapOptions, OnProgress
from aconcur.parallel._map.results import Results
from aconcur.parallel._map.source import zip_all
from aconcur.parallel._pickling import (
    Sender,
    can_run_main,
    check_function,
    check_mapped,
    has_cloudpickle,
    is_async,
    is_coroutine_function,
    name_of,
)
from aconcur.parallel._pool.call import Call
from aconcur.parallel._pool.coroutines import Coroutines
from aconcur.parallel._pool.launch import StartMethod, new_launcher
from aconcur.parallel._pool.logs import log_levels
from aconcur.parallel._pool.scheduler import Scheduler
from aconcur.parallel._pool.statistics import PoolStatistics
from aconcur.parallel._pool.supervisor import Supervisor

# The current folder as this module was imported: most programs change it later, if at all.
_FIRST_FOLDER: Final = Path.cwd()

T = TypeVar("T")
R = TypeVar("R")


@final
class Pool:
    """Worker processes. Made by :func:`open_pool`, and used in the event loop that opened it."""

    def __init__(self, supervisor: Supervisor, grace: float = 0.0) -> None:
        self._supervisor, self._grace = supervisor, grace
        self._scheduler = supervisor.scheduler

    def __repr__(self) -> str:
        if not self._supervisor.open:
            return "<Pool: closed>"
        now = self.statistics()
        waiting = f", {now.waiting} calls waiting" if now.waiting else ""
        maps = f", {now.maps} maps" if now.maps else ""
        return f"<Pool: {now.busy}/{now.workers} busy{waiting}{maps}>"

    async def run(
        self,
        fn: Callable[..., R],
        *args: Any,  # noqa: ANN401 - fn's own
        timeout: float | None = None,  # noqa: ASYNC109 - the worker is killed for it
        grace: float | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> R:
        """Return ``fn(*args, **kwargs)``, called in a worker.

        Calls are started in the order in which they are made, before the next chunks of maps.

        Args:
            fn: a function. A lambda or a closure needs the extra ``cloudpickle``.
            *args: its arguments. They and the result are pickled. Bytes and arrays of 128 KiB or
                more are copied once on each side, in a thread.
            timeout: seconds that the call may take in the worker; None: no limit.
            grace: seconds in which the call may clean up after a cancellation or timeout, before
                its worker is killed: :class:`TaskCancelled` is raised in it. None: the pool's.
            **kwargs: keyword arguments. For one that is called ``timeout`` or ``grace`` use a
                ``functools.partial``.

        Raises:
            TypeError: ``fn`` is not a plain function, or ``timeout`` is not a number.
            ValueError: ``timeout`` is not more than 0.
            TaskTimeout: the call took longer than ``timeout``. Its worker was killed.
            WorkerDied: the worker's process ended.
            RemoteError: the call raised an exception that cannot be raised here.
            MissingRequirementError: ``fn`` can only be sent with cloudpickle.
            WorkerStartError: no worker can be started.
            PoolClosed: the pool's block has ended.
            RuntimeError: another event loop opened the pool.
            Exception: raised by ``fn``, with the worker's traceback as its cause.

        **Cancelled**: a call that has not begun is not made. The worker of a call that has begun is
        killed and replaced; side effects of the call until then remain.

        Cost: see "one call" in ``python -m benchmarks.parallel``.
        """
        call = self._start("run()", fn, args, kwargs, timeout, grace)
        try:
            result: R = await call.answer()
            return result
        finally:
            self._scheduler.end_call(call)

    def submit(
        self,
        fn: Callable[..., R],
        *args: Any,  # noqa: ANN401 - fn's own
        timeout: float | None = None,
        grace: float | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Submitted[R]:
        """Start a call and return a handle to it, which can be awaited for the result.

        ::

            first, second = pool.submit(fn, 1), pool.submit(fn, 2)
            print(await first, await second)

        The arguments and errors are those of :meth:`run`; the call's own errors are raised when the
        handle is awaited. Cancelling a task that awaits the handle does not stop the call:
        :meth:`Submitted.cancel` does, and so does the end of the pool's block.
        """
        return Submitted(self._start("submit()", fn, args, kwargs, timeout, grace), self._scheduler)

    async def run_async(
        self,
        fn: Callable[..., Coroutine[Any, Any, R]],
        *args: Any,  # noqa: ANN401 - fn's own
        timeout: float | None = None,  # noqa: ASYNC109 - measured here, for the whole call
        **kwargs: Any,  # noqa: ANN401
    ) -> R:
        """Return ``await fn(*args, **kwargs)``, run by asyncio in a worker.

        A worker runs any number of coroutines at once, in an event loop beside its other work, and
        a call goes to the worker that has the fewest. Use this for coroutines that also compute, so
        that several processes share that; the number of calls at once is the caller's to limit.

        Args:
            fn: a coroutine function.
            *args: its arguments, pickled as those of :meth:`run`.
            timeout: seconds after which the coroutine is cancelled; None: no limit.
            **kwargs: keyword arguments.

        Raises:
            TypeError: ``fn`` is not a coroutine function.
            TaskTimeout: it took longer than ``timeout``.
            WorkerDied: the worker's process ended. All coroutines that it ran fail with this.
            Exception: as :meth:`run`.

        **Cancelled**: the coroutine is cancelled in its worker, and not waited for. One that blocks
        its event loop instead of awaiting cannot be stopped.
        """
        if not is_async(fn):
            raise TypeError(f"{name_of(fn)} is not a coroutine function: use run()")
        if timeout is not None:
            check_seconds("timeout", timeout, above=True)
        self._scheduler.check("run_async()")
        coroutines = self._scheduler.coroutines
        call = coroutines.call(fn, args, kwargs)
        try:
            with anyio.move_on_after(timeout):
                result: R = await call.answer()
                return result
        finally:
            coroutines.end_call(call)
        assert timeout is not None
        raise TaskTimeout(args, None, timeout)

    def _start(
        self,
        operation: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None,
        grace: float | None,
    ) -> Call:
        check_function(fn)
        if timeout is not None:
            check_seconds("timeout", timeout, above=True)
        if grace is not None:
            check_seconds("grace", grace)
        self._scheduler.check(operation)
        grace = self._grace if grace is None else grace
        return self._scheduler.call(fn, args, kwargs, timeout=timeout, grace=grace)

    @overload
    def map(
        self,
        fn: Callable[..., Coroutine[Any, Any, R]],
        items: Iterable[Any] | AsyncIterable[Any],
        *more: Iterable[Any],
        ordered: bool = True,
        buffer: int | None = None,
        timeout: float | None = None,
        on_error: OnError = RAISE,
        retries: int = 0,
        progress: OnProgress | bool | None = None,
    ) -> Results[R]: ...

    @overload
    def map(
        self,
        fn: Callable[[T], R],
        items: Iterable[T] | AsyncIterable[T],
        *,
        ordered: bool = True,
        buffer: int | None = None,
        chunk: int | None = None,
        timeout: float | None = None,
        on_error: OnError = RAISE,
        retries: int = 0,
        progress: OnProgress | bool | None = None,
        grace: float | None = None,
    ) -> Results[R]: ...

    @overload
    def map(
        self,
        fn: Callable[..., R],
        items: Iterable[Any],
        *more: Iterable[Any],
        ordered: bool = True,
        buffer: int | None = None,
        chunk: int | None = None,
        timeout: float | None = None,
        on_error: OnError = RAISE,
        retries: int = 0,
        progress: OnProgress | bool | None = None,
        grace: float | None = None,
    ) -> Results[R]: ...

    def map(
        self,
        fn: Callable[..., Any],
        items: Iterable[Any] | AsyncIterable[Any],
        *more: Iterable[Any],
        ordered: bool = True,
        buffer: int | None = None,
        chunk: int | None = None,
        timeout: float | None = None,
        on_error: OnError = RAISE,
        retries: int = 0,
        progress: OnProgress | bool | None = None,
        grace: float | None = None,
    ) -> Results[Any]:
        """Call ``fn(item)`` for all items in the workers, and iterate over the results.

        ::

            async for result in pool.map(fn, items):
                ...
            results = await pool.map(fn, items).collect()

        Items are drawn as results are taken, so ``items`` may be endless. They travel in chunks
        whose size follows the measured time of an item. A worker that finds its chunk too slow
        hands back the items that it has not begun, and idle workers get the items that a busy one
        has not begun. Nothing starts before the results are asked for.

        Coroutine functions run in event loops of the workers, up to 32 at once in each and up to
        ``buffer`` in all. Their items are sent one by one.

        When a worker dies, its item fails with :class:`WorkerDied`. The error always names the
        right item. For this, items that shared a chunk with it may run twice; every result is
        delivered once.

        Args:
            fn: a function of one item, as for :meth:`run`; or a coroutine function, as for
                :meth:`run_async`.
            items: an iterable, drawn from in the event loop, so it must not block; or an async
                iterable.
            *more: further iterables. ``fn`` then gets one argument from each, like the function of
                the built-in ``map``, and an item is the tuple of these. The shortest one ends it.
            ordered: deliver results in the order of the items, rather than as they come.
            buffer: how many items may be drawn whose results were not taken. By default 1024, or 4
                chunks a worker if that is more, but not beyond 64 MiB of items and results.
            chunk: items that are sent together; None: as many as take about 4 ms. With a fixed
                size a worker hands nothing back.
            timeout: seconds that one item may take. Its worker is killed then; a coroutine is
                cancelled.
            on_error: RAISE ends the map with the first error, after the results before it; SKIP
                leaves failed items out; COLLECT also keeps them in ``results.failures``.
            retries: how often a failed item is tried again, at once.
            progress: called with the number of items done and of all items (None if it is not
                known), at most ten times a second, and at the end. True: show a bar in a terminal
                (with the extra ``cli``), otherwise lines on stderr.
            grace: seconds in which an item may clean up before its worker is killed, as for
                :meth:`run`.

        Raises:
            TypeError: ``fn`` is not a function, an option has the wrong type, or ``chunk`` is given
                with a coroutine function.
            ValueError: a number is out of its range.
            PoolClosed: the pool's block has ended.
            WorkerStartError: no worker can be started.

        **Cancelled**, or left by ``break``: nothing more is drawn. Workers stop after the current
        item, or are killed and replaced if that takes longer than 0.1 s. Cancellation also waits
        until an async input is closed.

        Cost: see "200k × math.gcd" in ``python -m benchmarks.parallel``. Tasks of a few
        microseconds are not worth another process.
        """
        check_mapped(fn, chunk)
        options = MapOptions(
            ordered,
            buffer,
            chunk,
            timeout,
            on_error,
            retries,
            progress,
            self._grace if grace is None else grace,
            bool(more),
        )
        self._scheduler.check("map()", in_loop=False)
        return Results(
            partial(self.begin, fn, zip_all(items, more) if more else items, options), fn
        )

    def begin(
        self,
        fn: Callable[..., Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: MapOptions,
    ) -> Job:
        """Start a map. For this package: :meth:`map` returns what users need."""
        self._scheduler.check("map()")
        function = self._scheduler.sender.encode_function(fn)
        runner: Scheduler | Coroutines = self._scheduler
        if is_coroutine_function(fn):
            runner = self._scheduler.coroutines
        job = Job(runner, fn, items, options)
        runner.add(job, function)
        return job

    def share(self, value: T) -> Shared[T]:
        """Send a value to each worker once, and return a handle to pass to functions.

        ::

            model = pool.share(load_model())
            scores = await pool.map(partial(score, model), texts).collect()


            def score(model: Shared[Model], text: str) -> float:
                return model.get().score(text)

        The pool keeps the value for workers that start later, as long as it is open.

        Raises:
            PoolClosed: the pool's block has ended.
            Exception: raised by pickling the value.
        """
        self._scheduler.check("share()")
        shared: Shared[T] = self._scheduler.share(value)
        return shared

    def statistics(self) -> PoolStatistics:
        """Return the pool's current figures."""
        return self._supervisor.statistics()


@final
class Submitted(Generic[R]):
    """A call that was started by :meth:`Pool.submit`. Await it for the result.

    It may be awaited any number of times, in any task of the pool's event loop.
    """

    def __init__(self, call: Call, scheduler: Scheduler) -> None:
        self._call, self._scheduler = call, scheduler

    def __repr__(self) -> str:
        return repr(self._call).replace("Call", "Submitted", 1)

    def __await__(self) -> Generator[Any, Any, R]:
        """Wait for the result.

        **Cancelled**: the call goes on.

        Raises:
            Exception: as :meth:`Pool.run`.
        """
        return self._call.answer().__await__()

    def done(self) -> bool:
        """Return whether the call has ended."""
        return not self._call.open

    def cancel(self) -> None:
        """Stop the call, as cancelling :meth:`Pool.run` does. Awaiting it raises RemoteError."""
        if self._call.open:
            self._call.fail(RemoteError("CancelledError", "the call was cancelled"))
            self._scheduler.stop_call(self._call)


@asynccontextmanager
async def open_pool(
    workers: int | None = None,
    *,
    start: StartMethod = "exec",
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    max_tasks_per_worker: int | None = None,
    nice: int = 0,
    grace: float = 0.0,
    forward_logs: bool = True,
) -> AsyncIterator[Pool]:
    """Open a pool of worker processes. They start with the block, and none outlives it.

    ::

        async with open_pool() as pool:
            async for result in pool.map(compute, numbers):
                ...

    A worker ends with this process, even if this process is killed. Terminal keys do not reach it.
    The block may be entered in one task and left in another.

    Args:
        workers: how many; None: as many as this process may use processors
            (:func:`usable_cpus`).
        start: how they are started. ``"exec"`` starts a fresh interpreter for each. It is safe
            whatever threads there are, and needs no ``if __name__ == "__main__"`` unless something
            is pickled by a name in ``__main__``. ``"forkserver"`` forks one fresh interpreter, so
            that later workers start quickly. ``"fork"`` copies this process: quickest, but only
            for a process without other threads, because a lock that one of them holds stays locked
            in the copy. ``"spawn"`` is multiprocessing's, with its resource tracker. A frozen
            program can use ``"spawn"`` and ``"fork"`` only.
        initializer: called in each worker before its first task. If it is a generator function,
            the code after its ``yield`` runs when the worker ends by itself.
        initargs: its arguments. They may contain queues, locks, events and shared values of
            ``multiprocessing.get_context("spawn")``, which then connect tasks to this process.
        max_tasks_per_worker: replace a worker after so many items and calls; None: never.
        nice: added to the workers' niceness, see nice(2).
        grace: seconds in which a task may clean up after a cancellation or timeout, before its
            worker is killed. :class:`TaskCancelled` is raised in it, by SIGTERM, so a call in C
            that goes on is killed all the same.
        forward_logs: hand the log records of tasks to this process's loggers. They get the
            attributes ``item_index`` (None for ``run()``) and ``task`` (the function's name). The
            levels of loggers are those that are set when the pool is opened.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of its range.
        WorkerStartError: ``start`` cannot work in this program.
        RuntimeError: this is a worker that runs the parent's ``__main__``.

    **Cancelled**, or left by an error: workers are killed. Otherwise idle workers get up to a
    second to run their exit handlers.

    Pickles cross only between this process and the workers that it starts.
    """
    supervisor = new_supervisor(
        workers,
        start=start,
        initializer=initializer,
        initargs=initargs,
        max_tasks_per_worker=max_tasks_per_worker,
        nice=nice,
        grace=grace,
        forward_logs=forward_logs,
    )
    supervisor.start()
    gently = False
    try:
        yield Pool(supervisor, grace)
        gently = True
    finally:
        await supervisor.close(gently=gently)  # noqa: ASYNC102 - shields itself


def new_supervisor(
    workers: int | None = None,
    *,
    start: StartMethod = "exec",
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    max_tasks_per_worker: int | None = None,
    nice: int = 0,
    grace: float = 0.0,
    forward_logs: bool = True,
) -> Supervisor:
    """Check the arguments of :func:`open_pool`, and return what keeps the workers."""
    for name, value in (("workers", workers), ("max_tasks_per_worker", max_tasks_per_worker)):
        if value is not None:
            check_count(name, value, 1)
    if grace != 0:
        check_seconds("grace", grace)
    if os.name != "posix":
        raise UnsupportedPlatformError("open_pool()", "POSIX processes and sockets")
    if is_being_read():
        raise RuntimeError(
            "a worker runs __main__ to find a name that was pickled there: put the call that "
            "opens the pool under if __name__ == '__main__', or install aconcur[cloudpickle]"
        )
    sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
    origin = origin_of_main()
    # A fork has __main__ in memory, except for changes that were typed in later.
    has_main = start == "fork" and (origin is not None or not has_cloudpickle())
    by_name = has_main or can_run_main(origin)
    sender = Sender(by_name=by_name)
    boot = Boot(
        parent=os.getpid(),
        path=_absolute_path(),
        argv=list(sys.argv),
        main=origin if sender.by_name else None,
        nice=nice,
        authkey=bytes(multiprocessing.current_process().authkey),
        levels=log_levels() if forward_logs else None,
        initialized=initializer is not None and start != "fork",
        initializer=None if initializer is None or start != "fork" else (initializer, initargs),
    )
    launcher = new_launcher(start, boot)
    message, fds = None, list[int]()
    if boot.initialized:
        message = sender.encode_initializer(initializer, initargs, fds)
    size = workers or usable_cpus()
    return Supervisor(size, launcher, sender, message, fds, max_tasks_per_worker, grace)


def _absolute_path() -> list[str]:
    """Return ``sys.path`` without entries that change their meaning with the current folder.

    A program that was piped in, or run by ``python -c``, finds modules in its folder as ``""``.
    """
    # An absolute entry stays as it is. The two folders are the same in most programs.
    folders = dict.fromkeys((_FIRST_FOLDER, Path.cwd()))
    return list(dict.fromkeys(str(folder / entry) for entry in sys.path for folder in folders))
