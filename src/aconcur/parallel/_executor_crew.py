"""The calls of one map over an executor of the caller's.

Rule 1: all but the callbacks of futures runs in the loop's thread.
Rule 2: the executor is the caller's. Nothing here shuts it down, or counts on more than submit().
"""

from __future__ import annotations

__all__ = ("ExecutorCrew",)

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from sys import getsizeof
from typing import Any, Final, final

from aconcur._core.cpus import usable_cpus
from aconcur._core.wait_queue import WaitQueue, get_call_soon_threadsafe, in_trio, wait_in
from aconcur._worker.calls import SentAnswer, new_page
from aconcur._worker.failures import Packed, type_name
from aconcur._worker.work import CANCELLED
from aconcur.parallel._chunk import Chunk
from aconcur.parallel._errors import RemoteError
from aconcur.parallel._executor_call import ExecutorCall, LocalAnswer, SealedFunction
from aconcur.parallel._executor_errors import ExecutorBroken
from aconcur.parallel._job import Job
from aconcur.parallel._options import MapOptions

_SHUT: Final = "it called off what waited: somebody shut it down"


@final
class ExecutorCrew:
    """Has an executor run the chunks of one map.

    Args:
        executor: whose ``submit()`` is called.
        workers: how many calls run at once; None: what the executor says.
    """

    def __init__(self, executor: Executor, workers: int | None) -> None:
        self._page = new_page()
        self._executor, self._workers = executor, workers
        self._soon = get_call_soon_threadsafe()
        self.job: Job
        self._flying: dict[Chunk, tuple[ExecutorCall, Future[LocalAnswer | SentAnswer | None]]] = {}
        self._landed = deque[Chunk]()
        self._told = self._broken = False
        self._task: asyncio.Task[None]
        self._feeding = False
        self._lot = WaitQueue()
        self._sealed = SealedFunction(executor)

    def start(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: MapOptions,
    ) -> Job:
        """Return the map, under way."""
        self.job = Job(self, function, items, options)
        return self.job

    # ---------------------------------------------------------- what a Job asks of a crew

    @property
    def size(self) -> int:
        """How many chunks run at once."""
        return self._workers or _width(self._executor)

    def pump(self) -> None:
        """Submit as many chunks as keep all workers busy."""
        most = self.size * (2 if self.job.is_quick else 1)
        while len(self._flying) < most and not self._broken:
            chunk = self.job.next_chunk()
            if chunk is None:
                return
            if self.job.fits(chunk, getsizeof(chunk.items[0], 0) * len(chunk.items)):
                self._submit(chunk)

    def dismiss(self, job: Job) -> None:
        """Call off what no worker has begun; a thread begins no further item."""
        self._page[CANCELLED] = job.number
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

    async def settled(self) -> None:
        """Wait until an async input is closed."""
        while self._feeding:
            await wait_in(self._lot)

    # ---------------------------------------------------------- what becomes of a call

    def _submit(self, chunk: Chunk) -> None:
        call = ExecutorCall(self.job, chunk, self._page, self._sealed)
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
            except BaseException as unreadable:  # noqa: ASYNC103, BLE001 - what an item's result does
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
        chunks = sorted([*lost, *self._flying, *self.job.postponed], key=lambda one: one.start)
        in_flight = {
            chunk.start + at: item for chunk in chunks for at, item in enumerate(chunk.items)
        }
        broken = ExecutorBroken(str(error), in_flight, self.job.safe)
        broken.__cause__ = error
        self.job.fail(broken, at_once=False)


def _restrained(error: BaseException) -> Exception:
    """Return the error, or one that tells of it if it would do more than fail."""
    return error if isinstance(error, Exception) else RemoteError(type_name(error), str(error))


def _width(executor: Executor) -> int:
    """Return how many calls an executor runs at once, as far as it says."""
    for name in ("workers", "_max_workers", "num_workers"):
        found = getattr(executor, name, None)
        if isinstance(found, int):
            return max(1, found)
    return usable_cpus()
