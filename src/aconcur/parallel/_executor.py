"""A map over an executor of the caller's: threads, processes, loky's, MPI's, a cluster's.

Rule 1: all but the callbacks of futures runs in the loop's thread.
Rule 2: the executor is the caller's. Nothing here shuts it down, or counts on more than submit().
"""

from __future__ import annotations

__all__ = ("ExecutorCrew", "map")

import asyncio
import os
import pickle
from collections import deque
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from sys import getsizeof
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, final

from aconcur._core.cpus import usable_cpus
from aconcur._core.on_error import RAISE, OnError
from aconcur._core.parking import Lot, in_trio, soon_caller
from aconcur._worker.calls import NoCall, Sealed, SentAnswer, SentCall, new_page, seal
from aconcur._worker.codec import encode
from aconcur._worker.failures import Packed, pack, type_name
from aconcur._worker.work import CANCELLED, work
from aconcur.parallel._errors import RemoteError
from aconcur.parallel._executor_errors import ExecutorBroken
from aconcur.parallel._job import Chunk, Job
from aconcur.parallel._line import park
from aconcur.parallel._options import MapOptions, Progress, check_function, name_of
from aconcur.parallel._results import Results
from aconcur.parallel._sending import encode_function

T = TypeVar("T")
R = TypeVar("R")
_SHUT: Final = "it called off what waited: somebody shut it down"


LocalResults: TypeAlias = tuple[list[Any], Mapping[int, Packed | Exception]]


class LocalAnswer(NamedTuple):
    """What became of a chunk in this process."""

    answer: LocalResults
    seconds: float

    def read(self) -> LocalResults:
        """Return results and errors."""
        return self.answer


def as_it_is(error: BaseException) -> Exception | Packed:
    """Return what was raised in a thread, without our part of its traceback."""
    if not isinstance(error, Exception):
        return pack(error)
    return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)


@final
class Call:
    """What an executor is given to call, with no arguments.

    A thread calls it as it is. Whoever pickles it, in this process, gets bytes for a worker.
    """

    __slots__ = ("_chunk", "_crew", "refused", "sent")

    def __init__(self, crew: ExecutorCrew, chunk: Chunk) -> None:
        self._crew, self._chunk = crew, chunk
        self.refused: Exception | None = None
        """Why it cannot be pickled."""
        self.sent = 0
        """Bytes of its items, where it was pickled."""

    def __call__(self) -> LocalAnswer:
        job, chunk = self._crew.job, self._chunk
        answer, seconds = work(
            job.function,
            chunk.items,
            job.budget,
            self._crew.page,
            job=job.number,
            chunk=chunk.number,
            exact=False,
            keep_going=job.keep_going,
            failed=as_it_is,
        )
        return LocalAnswer(answer, seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        job = self._crew.job
        try:
            function = self._crew.sealed_function(job.function)
            items = seal(self._chunk.items, encode(self._chunk.items))
        except Exception as error:  # noqa: BLE001 - an item's, not the executor's
            self.refused = error
            return NoCall, ()
        self.sent = items.size
        key = os.getpid(), job.number
        return SentCall, (key, function, items, job.budget, job.keep_going)


@final
class ExecutorCrew:
    """Has an executor run the chunks of one map.

    Args:
        executor: whose ``submit()`` is called.
        workers: how many calls run at once; None: what the executor says.
    """

    def __init__(self, executor: Executor, workers: int | None) -> None:
        self.page = new_page()
        self._executor, self._workers = executor, workers
        self._soon = soon_caller()
        self.job: Job
        self._flying: dict[Chunk, tuple[Call, Future[LocalAnswer | SentAnswer | None]]] = {}
        self._landed = deque[Chunk]()
        self._told = self._broken = False
        self._task: asyncio.Task[None]
        self._feeding = False
        self._lot = Lot()
        self._function: Sealed | None = None

    def start(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: MapOptions,
    ) -> Job:
        """Return the map, under way."""
        self.job = Job(self, function, items, options)
        return self.job

    def sealed_function(self, function: Callable[[Any], Any]) -> Sealed:
        """Return the map's function as all calls carry it."""
        if self._function is None:
            self._function = sealed_function(function, self._executor)
        return self._function

    # ---------------------------------------------------------- what a Job asks of a crew

    @property
    def size(self) -> int:
        """How many chunks run at once."""
        return self._workers or width(self._executor)

    def pump(self) -> None:
        """Submit as many chunks as keep all workers busy."""
        most = self.size * (2 if self.job.prefetches else 1)
        while len(self._flying) < most and not self._broken:
            chunk = self.job.next_chunk()
            if chunk is None:
                return
            if self.job.measured(chunk, getsizeof(chunk.items[0], 0) * len(chunk.items)):
                self._submit(chunk)

    def dismiss(self, job: Job) -> None:
        """Call off what no worker has begun; a thread begins no further item."""
        self.page[CANCELLED] = job.number
        for _, future in tuple(self._flying.values()):
            future.cancel()

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the map's one task in the background: there is no block that could own it."""
        self._feeding = True
        if in_trio():
            import trio

            trio.lowlevel.spawn_system_task(self._watched, task)
        else:
            self._task = asyncio.get_running_loop().create_task(task())
            self._task.add_done_callback(self._has_ended)

    async def _watched(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await task()
        self._has_ended()

    def _has_ended(self, task: asyncio.Task[None] | None = None) -> None:
        self._feeding = False
        if task is not None and task.cancelled():
            self.job.fail(RuntimeError("the input was cancelled: catch that inside of it"))
        self._lot.wake_all(True)

    async def settled(self, job: Job) -> None:
        """Wait until an async input is closed."""
        assert job is self.job
        while self._feeding:
            await park(self._lot)

    # ---------------------------------------------------------- what becomes of a call

    def _submit(self, chunk: Chunk) -> None:
        call = Call(self, chunk)
        try:
            future: Future[Any] = self._executor.submit(call)
        except (BrokenExecutor, RuntimeError) as error:
            self._break(error, [chunk])
            return
        self._flying[chunk] = call, future
        future.add_done_callback(lambda _: self._land(chunk))

    def _land(self, chunk: Chunk) -> None:
        """Tell the loop of a call that has ended, from any thread."""
        self._landed.append(chunk)
        if not self._told:
            self._told = True
            with suppress(RuntimeError):  # the loop has ended
                self._soon(self._unload)

    def _unload(self) -> None:
        # First: who lands from here on tells again.
        self._told = False
        lost: list[Chunk] = []
        broken: BaseException | None = None
        while self._landed:
            chunk = self._landed.popleft()
            error = self._look_at(chunk)
            if error is not None:
                broken = error
                lost.append(chunk)
        if broken is not None:
            self._break(broken, lost)
        if self.job.open:
            self.pump()

    def _look_at(self, chunk: Chunk) -> BaseException | None:
        """Pass on what became of a chunk; return what says that the executor is broken."""
        call, future = self._flying.pop(chunk)
        if not self.job.open:
            return None
        if future.cancelled():
            return RuntimeError(_SHUT)
        error = future.exception()
        if isinstance(error, BrokenExecutor):
            return error
        if call.refused is not None:
            error = call.refused
        if error is None:
            answer = future.result()
            assert answer is not None
            try:
                results, errors = answer.read()
            except Exception as unreadable:  # noqa: BLE001 - what an item's result does
                error = unreadable
            else:
                self._finish(chunk, call, answer, results, errors)
        if error is not None:
            self.job.unreadable(chunk, restrained(error))
        return None

    def _finish(
        self,
        chunk: Chunk,
        call: Call,
        answer: LocalAnswer | SentAnswer,
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
    ) -> None:
        if isinstance(answer, SentAnswer):
            size = max(answer.sealed.size, call.sent)
        else:
            size = getsizeof(results[0], 0) * len(results) if results else 0
        self.job.finish(chunk, results, errors, answer.seconds, size)

    def _break(self, error: BaseException, lost: Iterable[Chunk]) -> None:
        """End the map: the executor takes no more calls."""
        if self._broken:
            return
        self._broken = True
        chunks = sorted([*lost, *self._flying, *self.job.postponed], key=lambda one: one.start)
        in_flight = {
            chunk.start + at: item for chunk in chunks for at, item in enumerate(chunk.items)
        }
        broken = ExecutorBroken(str(error), in_flight, self.job.safe)
        broken.__cause__ = error
        self.job.fail(broken, at_once=False)


def restrained(error: BaseException) -> Exception:
    """Return the error, or one that tells of it if it would do more than fail."""
    return error if isinstance(error, Exception) else RemoteError(type_name(error), str(error))


def sealed_function(function: Callable[[Any], Any], executor: Executor) -> Sealed:
    """Return the function by its name where that will do, else by value.

    Processes that this one starts have a ``__main__`` of their own, and perhaps an initializer that
    has set what the function looks for there. A cluster's workers have not.

    Raises:
        MissingRequirementError: it can only travel by value, and cloudpickle is not there.
        Exception: what its pickling raises.
    """
    if not type(executor).__module__.startswith(("aconcur.", "distributed.")):
        with suppress(pickle.PicklingError, AttributeError, TypeError):
            return Sealed(pickle.dumps(function, 5), (), ())
    message = encode_function(function)
    count = len(message.sizes)
    buffers = tuple(bytes(part) for part in message.parts[:count])
    return Sealed(b"".join(message.parts[count:]), (), buffers)


def width(executor: Executor) -> int:
    """Return how many calls an executor runs at once, as far as it says."""
    for name in ("workers", "_max_workers", "num_workers"):
        found = getattr(executor, name, None)
        if isinstance(found, int):
            return max(1, found)
    return usable_cpus()


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
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
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
