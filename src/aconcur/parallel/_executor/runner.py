"""Runs the chunks of one map in an executor of the caller."""

from __future__ import annotations

__all__ = ("ExecutorRunner",)

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from sys import getsizeof
from typing import Any, Final, final

from aconcur._core.background_task import BackgroundTask
from aconcur._core.cpus import usable_cpus
from aconcur._core.ctrl_c import let_interrupt
from aconcur._core.wait_queue import get_call_soon_threadsafe
from aconcur._pool_worker.calls import SentAnswer, new_page
from aconcur._pool_worker.failures import Packed, type_name
from aconcur._pool_worker.task import CANCELLED
from aconcur.parallel._errors import ExecutorBroken, RemoteError
from aconcur.parallel._executor.call import ExecutorCall, LocalAnswer, SealedFunction
from aconcur.parallel._map.chunk import Chunk
from aconcur.parallel._map.job import Job, MapOptions
from aconcur.parallel._map.source import Source

_SHUT_DOWN: Final = "it cancelled a waiting call: it was shut down"


@final
class ExecutorRunner:
    """Runs the chunks of one map.

    Args:
        executor: its ``submit()`` is called.
        workers: how many calls run at once; None: the number that the executor reports.
    """

    def __init__(self, executor: Executor, workers: int | None) -> None:
        self._page = new_page()
        self._executor, self._workers = executor, workers
        self._call_soon = get_call_soon_threadsafe()
        self.job: Job
        self._in_flight: dict[Chunk, tuple[ExecutorCall, Future[LocalAnswer | SentAnswer | None]]]
        self._in_flight = {}
        self._ended = deque[Chunk]()
        self._scheduled = self._broken = False
        self._feed: BackgroundTask
        self._sealed = SealedFunction(executor)

    def start(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: MapOptions,
    ) -> Job:
        """Start the map."""
        let_interrupt(Source.pull)
        self.job = Job(self, function, items, options)
        return self.job

    # ------------------------------------------------------------------ as a Runner

    @property
    def size(self) -> int:
        """How many chunks run at once."""
        return self._workers or _width(self._executor)

    def pump(self) -> None:
        """Submit as many chunks as keep all workers busy."""
        most = self.size * (2 if self.job.is_quick else 1)
        while len(self._in_flight) < most and not self._broken:
            chunk = self.job.next_chunk()
            if chunk is None:
                return
            if self.job.fits(chunk, getsizeof(chunk.items[0], 0) * len(chunk.items)):
                self._submit(chunk)

    def dismiss(self, job: Job) -> None:
        """Cancel the calls that have not begun; a thread begins no further item."""
        self._page[CANCELLED] = job.number
        for _, future in tuple(self._in_flight.values()):
            future.cancel()

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the map's feeding task in the background: no block could own it."""

        async def feed() -> None:
            try:
                await task()
            except asyncio.CancelledError:  # by asyncio.Task.cancel()
                self.job.fail(RuntimeError("the input was cancelled: catch that inside of it"))
                raise

        self._feed = BackgroundTask(feed, "parallel: input of a map")

    # ------------------------------------------------------------ the end of a call

    def _submit(self, chunk: Chunk) -> None:
        call = ExecutorCall(self.job, chunk, self._page, self._sealed)
        try:
            future: Future[Any] = self._executor.submit(call)
        except (BrokenExecutor, RuntimeError) as error:
            self._break(error, [chunk])
            return
        self._in_flight[chunk] = call, future
        future.add_done_callback(lambda _: self._on_done(chunk))

    def _on_done(self, chunk: Chunk) -> None:
        """Report a call that has ended to the loop, from any thread."""
        self._ended.append(chunk)
        if not self._scheduled:
            self._scheduled = True
            with suppress(RuntimeError):  # the loop has ended
                self._call_soon(self._settle)

    def _settle(self) -> None:
        # First, so that calls that end from here on are reported again.
        self._scheduled = False
        lost: list[Chunk] = []
        broken: BaseException | None = None
        while self._ended:
            chunk = self._ended.popleft()
            error = self._outcome(chunk)
            if error is not None:
                broken = error
                lost.append(chunk)
        if broken is not None:
            self._break(broken, lost)
        if self.job.open:
            self.pump()

    def _outcome(self, chunk: Chunk) -> BaseException | None:
        """Report a chunk's end to the job; return the error if the executor is broken."""
        call, future = self._in_flight.pop(chunk)
        if not self.job.open:
            return None
        if future.cancelled():
            return RuntimeError(_SHUT_DOWN)
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
            except BaseException as unreadable:  # noqa: ASYNC103, BLE001 - raised by unpickling
                error = unreadable
            else:
                self._finish(chunk, call, answer, results, errors)
        if error is not None:
            self.job.unreadable(chunk, _restrained(error))
        return None

    def _finish(
        self,
        chunk: Chunk,
        call: ExecutorCall,
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
        chunks = sorted([*lost, *self._in_flight, *self.job.postponed], key=lambda one: one.start)
        in_flight = {
            chunk.start + at: item for chunk in chunks for at, item in enumerate(chunk.items)
        }
        broken = ExecutorBroken(str(error), in_flight, self.job.safe)
        broken.__cause__ = error
        self.job.fail(broken, at_once=False)


def _restrained(error: BaseException) -> Exception:
    """Return an Exception as it is; for others an error that describes it."""
    return error if isinstance(error, Exception) else RemoteError(type_name(error), str(error))


def _width(executor: Executor) -> int:
    """Return how many calls an executor runs at once, if it reports that."""
    for name in ("workers", "_max_workers", "num_workers"):
        found = getattr(executor, name, None)
        if isinstance(found, int):
            return max(1, found)
    return usable_cpus()
