"""A crew of tasks: runs the chunks of one map in this loop, and does what workers may do."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from aconcur._core.wait_queue import WaitQueue, wait_in
from aconcur.parallel import Results
from aconcur.parallel._map.chunk import Chunk, Death
from aconcur.parallel._map.job import Job, MapOptions

KILLED = Death(signal=9)


class Hands:
    """Runs chunks in tasks. Made by :func:`hands`.

    Args:
        group: where the tasks run.
        size: how many.
        slow: items after which the rest of a chunk is handed back.
        deadly: items that kill who begins with them, and how often.
        unseen: first items of chunks whose worker dies before it begins, and how often.
    """

    def __init__(
        self,
        group: TaskGroup,
        size: int,
        slow: Iterable[int],
        deadly: dict[int, int],
        unseen: dict[int, int],
    ) -> None:
        self.size, self._group = size, group
        self.slow, self.deadly, self.unseen = set(slow), dict(deadly), dict(unseen)
        self.begun = Counter[int]()
        self.under_work: dict[Chunk, int] = {}
        self.job: Job
        self._queue = deque[Chunk]()
        self._free = WaitQueue()
        self._busy = 0

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        **options: Any,  # noqa: ANN401 - those of MapOptions
    ) -> Results[Any]:
        return Results(lambda: self.begin(function, items, **options), function)

    def begin(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        **options: Any,  # noqa: ANN401
    ) -> Job:
        self.job = Job(self, function, items, MapOptions(**options))
        return self.job

    # ------------------------------------------------------------ what a Job asks of a crew

    def pump(self) -> None:
        while self._busy < self.size and (chunk := self.job.next_chunk()) is not None:
            assert chunk.items
            if self.job.fits(chunk, 8 * len(chunk.items)):
                self._busy += 1
                self._queue.append(chunk)
                self._free.wake()

    def dismiss(self, job: Job) -> None:
        assert job is self.job

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._group.start_soon(task)

    # ------------------------------------------------------------ what its workers do

    async def work(self) -> None:
        while True:
            if not self._queue:
                await wait_in(self._free)
                continue
            chunk = self._queue.popleft()
            await checkpoint()
            if not self._dies_before(chunk):
                await self._run(chunk)
            self._busy -= 1
            self.pump()

    def _dies_before(self, chunk: Chunk) -> bool:
        if not chunk.items or not self.unseen.get(chunk.items[0]):
            return False
        self.unseen[chunk.items[0]] -= 1
        self.job.crashed(chunk, 0, 0, KILLED)
        return True

    async def _run(self, chunk: Chunk) -> None:
        results: list[Any] = []
        errors: dict[int, Exception] = {}
        while (at := len(results)) < len(chunk.items) and self.job.open:
            item = chunk.items[at]
            self.under_work[chunk] = at + 1
            self.begun[item] += 1
            await checkpoint()
            if self.deadly.get(item):
                self.deadly[item] -= 1
                del self.under_work[chunk]
                # Nobody knows which of two it was, unless somebody looked closely.
                self.job.crashed(chunk, at, at + (1 if chunk.exact else 2), KILLED)
                return
            try:
                results.append(self.job.function(item))
            except ValueError as error:
                errors[at] = error
                results.append(None)
                if not self.job.keep_going:
                    break
            if item in self.slow:
                break
        self.under_work.pop(chunk, None)
        self.job.finish(chunk, results, errors, 0.001, 8)

    async def take_back(self, times: int) -> None:
        """Take back what is not begun, so many times; of a chunk that waits, all."""
        for _ in range(times):
            await checkpoint()
            waiting = dict.fromkeys(self._queue, 0)
            for chunk, begun in (self.under_work | waiting).items():
                if chunk.owner.open:
                    chunk.owner.take_back(chunk, begun)
            self.pump()


@asynccontextmanager
async def hands(
    size: int = 2,
    *,
    slow: Iterable[int] = (),
    deadly: dict[int, int] | None = None,
    unseen: dict[int, int] | None = None,
) -> AsyncIterator[Hands]:
    """Open a crew; its tasks end with the block."""
    async with anyio.create_task_group() as group:
        crew = Hands(group, size, slow, deadly or {}, unseen or {})
        for _ in range(size):
            group.start_soon(crew.work)
        try:
            yield crew
        finally:
            group.cancel_scope.cancel()
