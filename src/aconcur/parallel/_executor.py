"""A map over an executor of the caller's: threads, processes, loky's, MPI's, a cluster's."""

from __future__ import annotations

__all__ = ("map",)

from collections.abc import AsyncIterable, Callable, Iterable
from concurrent.futures import Executor
from typing import TypeVar

from aconcur._core.on_error import RAISE, OnError
from aconcur._core.validation import check_count
from aconcur.parallel._executor_crew import ExecutorCrew
from aconcur.parallel._options import MapOptions, Progress, check_function, name_of
from aconcur.parallel._results import Results

T = TypeVar("T")
R = TypeVar("R")


def map(  # noqa: A001 - executors have a method of this name
    fn: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    executor: Executor,
    ordered: bool = True,
    buffer: int | None = None,
    chunk: int | None = None,
    on_error: OnError = RAISE,
    retries: int = 0,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Results[R]:
    """Call a function for every item in an executor of the caller's; return the results to come.

    ::

        with ProcessPoolExecutor() as executor:
            async for answer in parallel.map(gcd, pairs, executor=executor):
                print(answer)

    Any executor of PEP 3148 will do, with its ``submit()``: the standard library's threads and
    processes, loky's, mpi4py's, Dask's (see :func:`cluster`). It is never shut down. It is as
    ``loop.run_in_executor``, on asyncio and trio alike, but lazy and in chunks that fit.

    Nothing is drawn before the first result is asked for. Then items are drawn only as results are
    taken: at most ``buffer`` of them are ahead of the consumer. Several go to the executor in one
    call, as many as take about 4 ms; a call that has taken 16 ms hands the rest back.

    Items, results and errors travel by pickle where the executor needs it; one that cannot be
    pickled fails alone. A lambda or closure takes the extra ``cloudpickle``. Unpickling runs code:
    use executors whose workers you trust.

    Args:
        fn: a plain function of one item.
        items: an iterable, drawn from in the loop's thread; or an async iterable. Either may be
            endless.
        executor: what runs the calls.
        ordered: give results in the order of the items rather than as they come.
        buffer: items that may be drawn and not yet taken. By default 1024, or four chunks for each
            worker, whichever is more, and at most 64 MiB of items or results.
        chunk: items of one call; None: by time. A call of a fixed size hands nothing back.
        on_error: RAISE ends the map with the first error, after the results before it; SKIP and
            COLLECT leave failed items out, COLLECT keeps them in ``failures``.
        retries: how often a failed item is tried again.
        progress: called now and then with the items done, and with how many there are if the input
            says.
        workers: how many calls the executor runs at once. By default what it says, else the cores
            that this process may use.

    **Cancelled**, or left by ``break`` or an error: calls that have not begun are called off. What
    runs cannot be stopped: a thread begins no further item; a process ends its chunk, within 16 ms
    or the item under work; nobody waits for it but the executor's own ``shutdown()``. There is no
    ``timeout=`` for the same reason: :func:`open_pool` has one.

    Raises:
        TypeError: ``fn`` is no plain function, or an option is none of what it may be.
        ValueError: an option is out of its range.

    Iteration raises what ``fn`` raised, its item in the notes; what ``items`` raised; and
    :class:`ExecutorBroken` if a worker died or the executor was shut down: results that came before
    are given first. An item whose call the executor itself fails is called again, alone, so it may
    run twice.

    Cost: that of the executor's own map with the best chunk size, see
    ``python -m benchmarks.parallel_executor``.
    """
    check_function(fn)
    if workers is not None:
        check_count("workers", workers, 1)
    options = MapOptions(
        ordered=ordered,
        buffer=buffer,
        chunk=chunk,
        on_error=on_error,
        retries=retries,
        progress=progress,
    )
    return Results(
        lambda: ExecutorCrew(executor, workers).start(fn, items, options),
        f"Results of {name_of(fn)}",
    )
