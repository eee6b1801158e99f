"""A map over an executor of the caller: threads, processes, loky, MPI, a cluster."""

from __future__ import annotations

__all__ = ("map",)

from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from concurrent.futures import Executor
from typing import Any, TypeVar, overload

from aconcur._core.on_error import RAISE, OnError
from aconcur._core.validation import check_count
from aconcur.parallel._executor.own_pool import map_in_own_pool
from aconcur.parallel._executor.runner import ExecutorRunner
from aconcur.parallel._map.job import MapOptions, OnProgress
from aconcur.parallel._map.results import Results
from aconcur.parallel._map.source import zip_all
from aconcur.parallel._pickling import check_function, check_mapped
from aconcur.parallel._pool.pool import Pool

T = TypeVar("T")
R = TypeVar("R")


@overload
def map(  # noqa: A001
    fn: Callable[..., Coroutine[Any, Any, R]],
    items: Iterable[Any] | AsyncIterable[Any],
    *more: Iterable[Any],
    executor: Pool | None = None,
    ordered: bool = True,
    buffer: int | None = None,
    on_error: OnError = RAISE,
    retries: int = 0,
    progress: OnProgress | bool | None = None,
    timeout: float | None = None,
    workers: int | None = None,
) -> Results[R]: ...


@overload
def map(  # noqa: A001
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    executor: Executor | Pool | None = None,
    ordered: bool = True,
    buffer: int | None = None,
    chunk: int | None = None,
    on_error: OnError = RAISE,
    retries: int = 0,
    progress: OnProgress | bool | None = None,
    timeout: float | None = None,
    workers: int | None = None,
) -> Results[R]: ...


@overload
def map(  # noqa: A001
    fn: Callable[..., R],
    items: Iterable[Any],
    *more: Iterable[Any],
    executor: Executor | Pool | None = None,
    ordered: bool = True,
    buffer: int | None = None,
    chunk: int | None = None,
    on_error: OnError = RAISE,
    retries: int = 0,
    progress: OnProgress | bool | None = None,
    timeout: float | None = None,
    workers: int | None = None,
) -> Results[R]: ...


def map(  # noqa: A001 - executors have a method of this name
    fn: Callable[..., Any],
    items: Iterable[Any] | AsyncIterable[Any],
    *more: Iterable[Any],
    executor: Executor | Pool | None = None,
    ordered: bool = True,
    buffer: int | None = None,
    chunk: int | None = None,
    on_error: OnError = RAISE,
    retries: int = 0,
    progress: OnProgress | bool | None = None,
    timeout: float | None = None,
    workers: int | None = None,
) -> Results[Any]:
    """Call a function for every item in other processes, and return the results to come.

    Without ``executor`` a pool is opened for this map: see :func:`open_pool`, which costs some
    0.1 s of starting workers. With a :class:`Pool` it is :meth:`Pool.map`. ::

        async for answer in parallel.map(gcd, pairs):
            print(answer)

        with ProcessPoolExecutor() as executor:
            async for answer in parallel.map(gcd, pairs, executor=executor):
                print(answer)

    Any executor with the ``submit()`` of PEP 3148 will do: the standard library's threads and
    processes, loky's, mpi4py's, Dask's (see :func:`cluster`). It is never shut down. Unlike
    ``loop.run_in_executor`` it also runs on trio, is lazy, and sends several items in one call.

    Nothing is drawn before the first result is asked for. After that, items are drawn only as
    results are taken, at most ``buffer`` of them ahead of the consumer. A call gets as many items
    as take about 4 ms; if it takes 16 ms, it hands the rest back.

    Items, results and errors are pickled if the executor needs that. An item that cannot be pickled
    fails alone. A lambda or closure needs the extra ``cloudpickle``. Unpickling runs code: use
    executors whose workers you trust.

    Args:
        fn: a function of one item; over a pool it may be a coroutine function.
        items: an iterable, drawn from in the loop's thread, or an async iterable. It may be
            endless.
        *more: further iterables. ``fn`` then gets one argument from each, as with the built-in
            ``map``.
        executor: runs the calls; None: a pool of the map's own.
        ordered: deliver results in the order of the items, rather than as they come.
        buffer: how many items may be drawn whose results were not taken. By default 1024, or 4
            chunks a worker if that is more, but not beyond 64 MiB of items and results.
        chunk: items of one call; None: by time. With a fixed size a call hands nothing back.
        on_error: RAISE ends the map with the first error, after the results before it; SKIP leaves
            failed items out; COLLECT also keeps them in ``results.failures``.
        retries: how often a failed item is tried again, at once.
        progress: called with the number of items done and of all items (None if it is not known),
            at most ten times a second, and at the end. True: show a bar in a terminal (with the
            extra ``cli``), otherwise lines on stderr.
        timeout: seconds that one item may take, over a pool only: its worker is killed then.
        workers: how many calls the executor runs at once. By default the number that it reports,
            otherwise the number of processors that this process may use.

    **Cancelled**, or left by ``break`` or an error: calls that have not begun are cancelled.
    Running ones cannot be stopped: a thread begins no further item; a process ends its chunk,
    within 16 ms or after its current item. Only the executor's own ``shutdown()`` waits for it.
    ``timeout=`` is refused for the same reason.

    Raises:
        TypeError: ``fn`` cannot be called there, an option has the wrong type, or the executor
            cannot do what it asks for.
        ValueError: an option is out of its range.

    Iterating raises the exceptions of ``fn``, with the item in the notes; those of ``items``; and
    :class:`ExecutorBroken` if a worker died or the executor was shut down. Results that came before
    are delivered first. If the executor itself fails a call, its items are called again one by one,
    so an item may run twice.

    Cost: that of the executor's own map with the best chunk size, see
    ``python -m benchmarks.parallel_executor``.
    """
    if executor is None or isinstance(executor, Pool):
        check_mapped(fn, chunk)
    else:
        check_function(fn)
    if workers is not None:
        check_count("workers", workers, 1)
    options = MapOptions(
        ordered=ordered,
        buffer=buffer,
        chunk=chunk,
        timeout=timeout,
        on_error=on_error,
        retries=retries,
        progress=progress,
        star=bool(more),
    )
    everything = zip_all(items, more)
    if executor is None:
        return Results(lambda: map_in_own_pool(fn, everything, options, workers), fn)
    if isinstance(executor, Pool):
        if workers is not None:
            raise TypeError(f"workers={workers} is set by open_pool() for a Pool")
        pool = executor
        return Results(lambda: pool.begin(fn, everything, options), fn)
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a Pool or have a submit() of PEP 3148, not {executor!r}")
    if timeout is not None:
        raise TypeError(
            f"timeout={timeout} needs workers that can be killed, which {type(executor).__name__} "
            "does not offer: use open_pool(), or leave out executor="
        )
    return Results(lambda: ExecutorRunner(executor, workers).start(fn, everything, options), fn)
