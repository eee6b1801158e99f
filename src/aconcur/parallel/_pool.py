"""A pool of worker processes, driven from the event loop."""

from __future__ import annotations

__all__ = ("Pool", "open_pool")

import os
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, TypeVarTuple, Unpack, final

import anyio

from aconcur._core.cpus import usable_cpus
from aconcur._core.on_error import RAISE, OnError
from aconcur._core.validation import check_count, check_seconds
from aconcur._worker.main_module import is_being_read, origin_of_main
from aconcur._worker.shared import Shared
from aconcur._worker.start import Boot
from aconcur.parallel._crew import WorkerCrew
from aconcur.parallel._job import Job
from aconcur.parallel._options import MapOptions, Progress, check_function, name_of
from aconcur.parallel._results import Results
from aconcur.parallel._sending import encode_function, pickle_initializer
from aconcur.parallel._starting import Method, new_starter
from aconcur.parallel._statistics import PoolStatistics

T = TypeVar("T")
R = TypeVar("R")
Args = TypeVarTuple("Args")


@final
class Pool:
    """Worker processes. Made by :func:`open_pool`; for the event loop in which it was made."""

    def __init__(self, crew: WorkerCrew) -> None:
        self._crew = crew

    def __repr__(self) -> str:
        if not self._crew.open:
            return "<Pool: closed>"
        now = self.statistics()
        waiting = f", {now.waiting} calls waiting" if now.waiting else ""
        maps = f", {now.maps} maps" if now.maps else ""
        return f"<Pool: {now.busy}/{now.workers} busy{waiting}{maps}>"

    async def run(
        self,
        fn: Callable[[Unpack[Args]], R],
        *args: *Args,
        timeout: float | None = None,  # noqa: ASYNC109 - the worker is killed for it
    ) -> R:
        """Return ``fn(*args)``, called in a worker.

        Calls are begun in the order in which they are made, before the next chunks of maps.

        Args:
            fn: a function; one of ``__main__``, a lambda or a closure needs the extra
                ``cloudpickle``.
            *args: its arguments; they and the result are pickled. Bytes and arrays from 128 KiB
                on are copied in a thread, once on each side.
            timeout: seconds that the call may take in the worker; None: any.

        Raises:
            TypeError: ``fn`` is no plain function, or ``timeout`` no number.
            ValueError: ``timeout`` is not above 0.
            TaskTimeout: it took longer than ``timeout``. Its worker has been killed.
            WorkerDied: its process ended.
            RemoteError: it raised what cannot be had here.
            MissingRequirementError: ``fn`` can only travel with cloudpickle.
            WorkerStartError: no worker can be started.
            PoolClosed: the pool's block has ended.
            RuntimeError: this is not the loop in which the pool was opened.
            Exception: what ``fn`` raised, with the worker's traceback as its cause.

        **Cancelled**: a call that has not begun is not made; for one that has, its worker is
        killed and replaced. What it did until then stays done.

        Cost: see "one call" in ``python -m benchmarks.parallel``.
        """
        check_function(fn)
        if timeout is not None:
            check_seconds("timeout", timeout, above=True)
        self._crew.check("run()")
        self._crew.check_loop("run()")
        result: R = await self._crew.call(fn, args, timeout)
        return result

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
        progress: Progress | None = None,
    ) -> Results[R]:
        """Call ``fn(item)`` for all items, in the workers, and iterate over the results.

        ::

            async for result in pool.map(fn, items):
                ...
            results = await pool.map(fn, items).collect()

        Items are drawn as results are taken, so ``items`` may be endless. They travel in chunks
        whose size follows the time that they take; a worker that finds its chunk too slow hands
        back what it has not begun, and from one that is busy it is taken back for those who have
        nothing to do. Nothing starts before the results are asked for.

        When a worker dies, its item fails with :class:`WorkerDied`; which one it was is certain.
        To make it so, items that shared a chunk with it may be done twice; each result is
        delivered once.

        Args:
            fn: as for :meth:`run`.
            items: an iterable, which is drawn from in the event loop and so must not block, or an
                async one.
            ordered: deliver results in the order of their items, rather than as they come.
            buffer: items drawn whose results have not been taken, at most. By default 1024, or 4
                chunks a worker if that is more, but not beyond 64 MiB of items or results.
            chunk: items sent together; None: by their measured time, about 4 ms' worth. Only what
                a worker has not begun of them is ever done by another.
            timeout: seconds that one item may take; its worker is killed then.
            on_error: what becomes of an item that fails: RAISE ends the map where its result would
                stand, SKIP leaves it out, COLLECT keeps it in ``results.failures``.
            retries: how often a failed item is tried again, at once.
            progress: called with the items that are done and how many there are (None: the input
                does not tell), at most ten times a second, and at the end.

        Raises:
            TypeError: ``fn`` is no plain function, or an option is of the wrong kind.
            ValueError: a number is out of its range.
            PoolClosed: the pool's block has ended.
            WorkerStartError: no worker can be started.

        **Cancelled**, or left by ``break``: nothing more is drawn; workers stop after the item at
        hand, or are killed and replaced when that takes longer than 0.1 s.

        Cost: see "200k × math.gcd" in ``python -m benchmarks.parallel``: a task of a few
        microseconds does not pay in any process.
        """
        check_function(fn)
        options = MapOptions(ordered, buffer, chunk, timeout, on_error, retries, progress)
        self._crew.check("map()")
        return Results(partial(self._begin, fn, items, options), f"Results of {name_of(fn)}")

    def _begin(
        self,
        fn: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: MapOptions,
    ) -> Job:
        self._crew.check("map()")
        self._crew.check_loop("map()")
        function = encode_function(fn)
        job = Job(self._crew, fn, items, options)
        self._crew.adopt(job, function)
        return job

    def share(self, value: T) -> Shared[T]:
        """Send a value to each worker once, and return what stands for it in messages.

        ::

            model = pool.share(load_model())
            scores = await pool.map(partial(score, model), texts).collect()


            def score(model: Shared[Model], text: str) -> float:
                return model.get().score(text)

        The pool keeps the value, for workers to come, as long as it is open.

        Raises:
            PoolClosed: the pool's block has ended.
            Exception: what the value's pickling raises.
        """
        self._crew.check("share()")
        self._crew.check_loop("share()")
        return self._crew.share(value)

    def statistics(self) -> PoolStatistics:
        """Return what the pool has done until now."""
        return self._crew.statistics()


@asynccontextmanager
async def open_pool(
    workers: int | None = None,
    *,
    start: Method = "exec",
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    max_tasks_per_worker: int | None = None,
    nice: int = 0,
) -> AsyncIterator[Pool]:
    """Open a pool of worker processes. They start with the block, and none outlives it.

    ::

        async with open_pool() as pool:
            async for result in pool.map(compute, numbers):
                ...

    A worker ends with this process, even if that is killed. No key of the terminal reaches it.

    Args:
        workers: how many; None: the processors that this process may use
            (its affinity and its control groups' quota).
        start: how. ``"exec"`` starts a fresh interpreter for each; it is safe whatever threads
            there are, and needs no ``if __name__ == "__main__"`` as long as nothing is pickled by
            a name in ``__main__``. ``"forkserver"`` forks one fresh interpreter, so that later
            workers start quickly. ``"fork"`` copies this process: quickest, and only for a process
            without other threads, for a lock that one of them holds stays locked in the copy.
            ``"spawn"`` is multiprocessing's, with its resource tracker.
        initializer: called in each worker before its first task.
        initargs: its arguments.
        max_tasks_per_worker: replace a worker after so many items and calls; None: never.
        nice: added to the workers' niceness, see nice(2).

    Raises:
        TypeError: an argument is of the wrong kind.
        ValueError: an argument is out of its range.
        RuntimeError: this is a worker that runs the parent's ``__main__``.

    **Cancelled**, or left by an error: workers are killed. Left otherwise, those who are idle end
    by themselves, within a second.

    pickle crosses only between this process and those that it starts.
    """
    for name, value in (("workers", workers), ("max_tasks_per_worker", max_tasks_per_worker)):
        if value is not None:
            check_count(name, value, 1)
    if is_being_read():
        raise RuntimeError(
            "a worker runs __main__ to find what is pickled by its name there: put the call that "
            "opens the pool under if __name__ == '__main__', or install aconcur[cloudpickle]"
        )
    sys.modules.setdefault("__mp_main__", sys.modules["__main__"])
    boot = Boot(
        parent=os.getpid(),
        path=list(sys.path),
        argv=list(sys.argv),
        main=origin_of_main(),
        nice=nice,
        initializer=pickle_initializer(initializer, initargs) if initializer else None,
    )
    crew = WorkerCrew(workers or usable_cpus(), new_starter(start, boot), max_tasks_per_worker)
    left_by: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(crew.live)
            try:
                yield Pool(crew)
            except BaseException as error:  # noqa: ASYNC103, BLE001 - raised below
                left_by = error  # noqa: ASYNC104
            # Not the group's scope: while that is cancelled, a native cancellation can get lost.
            crew.close(gently=left_by is None)
    finally:
        await crew.bury_all()  # noqa: ASYNC102 - shields itself
    if left_by is not None:
        raise left_by
