"""One map: its input, cut into chunks; its results, put in order; its window in between.

Law 1: only the task that feeds an async input awaits here; a crew decides where chunks run.
Law 2: an item is in one place: not drawn, in a chunk, to be done again, or its result is there.
Law 3: a chunk is cut by time. Whoever runs it may hand back what it has not begun.
"""

from __future__ import annotations

__all__ = ("SLICE", "Chunk", "Crew", "Death", "Job")

import time
from bisect import insort
from collections import deque
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count, islice
from operator import attrgetter, length_hint
from typing import Any, Final, Protocol, final

import anyio

from aconcur._core.on_error import COLLECT, RAISE
from aconcur._core.parking import Lot, new_waiter, pause
from aconcur._worker.failures import Packed
from aconcur.parallel._errors import TaskTimeout, WorkerDied, add_item_note
from aconcur.parallel._failing import unpack
from aconcur.parallel._options import Failure, MapOptions, name_of

# Measured, see benchmarks/README.md: seconds of work in a chunk, and those after which the rest of
# it goes back; items of the first chunk, and at the most; bytes of its items.
TARGET: Final = 0.004
SLICE: Final = 4 * TARGET
_FIRST: Final = 8
_MOST: Final = 1024
_BYTES: Final = 64 * 1024
# Chunks that are shorter than this wait for a busy worker in its socket.
_SHORT: Final = 0.020
# Items and bytes that are drawn and not yet taken, where buffer= says nothing.
_AHEAD: Final = 1024
_AHEAD_BYTES: Final = 64 << 20
# Seconds that the loop may be kept by drawing items, and by handing out results.
_PULL: Final = 0.0005
# Deaths of its worker after which a chunk that nobody blames is taken apart.
_DEATHS: Final = 3

_NUMBERS: Final = count(1)
_START: Final = attrgetter("start")


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker ended."""

    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    """It was killed because an item took too long."""


class Owner(Protocol):
    """Whose a chunk is."""

    number: int
    open: bool

    @property
    def timeout(self) -> float | None:
        """Seconds that an item may take."""

    def finish(
        self,
        chunk: Chunk,
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
        seconds: float,
        size: int,
    ) -> int:
        """Take the results of the chunk's first items; return how many were handed back."""

    def unreadable(self, chunk: Chunk, error: Exception) -> None:
        """Take back a chunk that cannot be sent or read, or whose results cannot be read."""

    def put_back(self, chunk: Chunk) -> None:
        """Do a chunk again that has not been worked on."""

    def crashed(self, chunk: Chunk, first: int, end: int, death: Death) -> None:
        """Take back a chunk whose worker ended at the items from ``first`` to ``end``."""

    def fail(self, error: Exception) -> None:
        """End with an error that is no item's."""


@final
class Chunk:
    """Items that are sent together."""

    __slots__ = ("deaths", "exact", "items", "job", "number", "start")

    def __init__(
        self, job: Owner, start: int, items: list[Any], exact: bool, deaths: int = 0
    ) -> None:
        self.number: int = next(_NUMBERS)
        self.job: Owner = job
        self.start: int = start
        self.items: list[Any] = items
        self.exact: bool = exact
        self.deaths: int = deaths


class Crew(Protocol):
    """Those who run chunks."""

    @property
    def size(self) -> int:
        """How many chunks run at once."""

    def pump(self) -> None:
        """Start what there is room for."""

    def dismiss(self, job: Job) -> None:
        """Stop what runs of a job that nobody wants any more."""

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task of the crew's own; callable wherever its loop runs."""

    async def settled(self, job: Job) -> None:
        """Wait for the end of such tasks, unless they belong to a block."""


@final
class _Lost:
    """Stands where the result of a failed item would: nothing, or the error that ends the map."""

    __slots__ = ("error",)

    def __init__(self, error: Exception | None) -> None:
        self.error = error


@final
class Job:
    """A map under way.

    Args:
        crew: who runs its chunks.
        function: what is called with each item.
        items: the input.
        options: what was asked for.
    """

    def __init__(
        self,
        crew: Crew,
        function: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: MapOptions,
    ) -> None:
        self.number: int = next(_NUMBERS)
        self.function: Callable[[Any], Any] = function
        self.name: str = name_of(function)
        self.options: MapOptions = options
        self.open: bool = True
        self.failures: list[Failure] = []
        self.keep_going: bool = options.on_error is not RAISE or bool(options.retries)
        self.budget: float = SLICE if options.chunk is None else float("inf")
        self.flying: int = 0
        self.failed: int = 0
        self.item_bytes: float = 0.0
        self.result_bytes: float = 0.0
        self.seconds: float | None = None  # of work for an item
        self._crew = crew
        self._drawn = self._taken = self._held = self._delivered = 0
        self._size = options.chunk or _FIRST
        self._again: list[Chunk] = []
        self._attempts: dict[int, int] = {}
        self._early: dict[int, list[Any] | _Lost] = {}
        self._next = 0
        self._ready = deque[list[Any] | _Lost]()
        self._readers = Lot()
        self._error: Exception | None = None
        self._pull_cost = 0.0
        self._told = 0.0
        self._inbox: deque[Any] | None = None
        self._feeders = Lot()
        self._feeding = anyio.CancelScope()
        self._exhausted = False
        self._source: Iterator[Any] = iter(())
        self.total: int | None = None
        if isinstance(items, AsyncIterable):
            self._inbox, self._items = deque(), items
            crew.spawn(self._feed)
        else:
            self._source = iter(items)
            self.total = length_hint(items, -1) if hasattr(items, "__len__") else None

    def __repr__(self) -> str:
        total = "" if self.total is None else f" of {self.total}"
        return f"<Job {self.name}: {self._taken}{total} taken, {self.flying} chunks running>"

    @property
    def safe(self) -> int:
        """How many results the consumer has had, or will have whatever happens."""
        return self._delivered + sum(len(one) for one in self._ready if not isinstance(one, _Lost))

    @property
    def postponed(self) -> Iterable[Chunk]:
        """What has been handed back, and is to be done again."""
        return tuple(self._again)

    # ----------------------------------------------------------------- input

    @property
    def timeout(self) -> float | None:
        """Seconds that an item may take."""
        return self.options.timeout

    @property
    def prefetches(self) -> bool:
        """Whether a chunk may wait where another is worked on: it will not for long."""
        return self.seconds is not None and self.seconds * self._size < _SHORT

    def next_chunk(self, most: int = _MOST) -> Chunk | None:
        """Return the next items to be worked on, at most so many, if there are and may be any."""
        if not self.open:
            return None
        chunk = self._next_again(most) if self._again else self._draw(most)
        if chunk is not None:
            self.flying += 1
        return chunk

    def _next_again(self, most: int) -> Chunk:
        chunk = self._again.pop(0)
        size = min(max(self._size, 1), most)
        if len(chunk.items) > size:
            self._do_again(chunk, size, len(chunk.items))
            chunk = Chunk(self, chunk.start, chunk.items[:size], chunk.exact, chunk.deaths)
        return chunk

    def _draw(self, most: int) -> Chunk | None:
        size = min(self._size, self._window() - (self._drawn - self._taken), most)
        if self.total is not None and self.options.chunk is None:
            # The last ones are shared out, so that all workers end together.
            left = self.total - self._drawn
            size = min(size, max(1, -(-left // (2 * self._crew.size))))
        if size < 1 or (self._exhausted and not self._inbox):
            return None
        items = self._pull(size) if self._inbox is None else self._from_inbox(size)
        if not items:
            return None
        chunk = Chunk(self, self._drawn, items, self.options.timeout is not None)
        self._drawn += len(items)
        return chunk

    def _pull(self, size: int) -> list[Any]:
        if self._pull_cost:
            size = min(size, max(1, int(_PULL / self._pull_cost)))
        items: list[Any] = []
        began = time.perf_counter()
        try:
            items.extend(islice(self._source, size))  # keeps what came before an error
        except Exception as error:  # noqa: BLE001 - raised after all that came before
            self._error = error
        self._pull_cost = (time.perf_counter() - began) / size
        if len(items) < size:
            self._exhausted = True
            if not items:
                self._readers.wake_all()
        return items

    def _from_inbox(self, size: int) -> list[Any]:
        inbox = self._inbox
        assert inbox is not None
        items = [inbox.popleft() for _ in range(min(size, len(inbox)))]
        self._feeders.wake()
        return items

    def _window(self) -> int:
        """Return how many items may be drawn and not taken."""
        if self.options.buffer is not None:
            return self.options.buffer
        ahead = max(_AHEAD, 4 * self._size * self._crew.size)
        each = max(self.item_bytes, self.result_bytes)
        if each:
            ahead = min(ahead, int(_AHEAD_BYTES / each))
        return max(ahead, 2 * self._crew.size)

    async def _feed(self) -> None:
        """Iterate over an async input; one task does it all, and closes what it iterated over."""
        inbox = self._inbox
        assert inbox is not None
        with self._feeding:
            try:
                async with AsyncExitStack() as stack:
                    iterator = aiter(self._items)
                    if hasattr(iterator, "aclose"):
                        stack.push_async_callback(iterator.aclose)
                    await self._fill(iterator, inbox)
            except Exception as error:  # noqa: BLE001 - raised after all that came before
                self._error = error
        self._exhausted = True
        self._crew.pump()
        self._readers.wake_all()

    async def _fill(self, iterator: Any, inbox: deque[Any]) -> None:  # noqa: ANN401
        turn = time.perf_counter()
        while self.open:
            while self._drawn + len(inbox) - self._taken >= self._window():
                waiter = new_waiter()
                self._feeders.append(waiter)
                try:
                    await waiter
                finally:
                    self._feeders.leave(waiter)
            try:
                inbox.append(await anext(iterator))
            except StopAsyncIteration:
                return
            self._crew.pump()
            if time.perf_counter() - turn > _PULL:
                await pause()
                turn = time.perf_counter()

    # --------------------------------------------------- what becomes of a chunk

    def measured(self, chunk: Chunk, size: int) -> bool:
        """Take note of a chunk's bytes; return False if it is too large and has been put back."""
        items = len(chunk.items)
        self.item_bytes = _blend(self.item_bytes, size / items)
        if items == 1 or size <= 2 * _BYTES or self.options.chunk is not None:
            return True
        self._size = max(1, int(_BYTES / self.item_bytes))
        if self._size >= items:
            return True
        self.put_back(chunk)
        return False

    def put_back(self, chunk: Chunk) -> None:
        """Do a chunk again that has not been worked on."""
        self.flying -= 1
        self._do_again(chunk, 0, len(chunk.items))

    def _do_again(self, chunk: Chunk, first: int, end: int, *, exact: bool = False) -> None:
        if first < end and self.open:
            items = chunk.items[first:end]
            again = Chunk(self, chunk.start + first, items, chunk.exact or exact, chunk.deaths)
            insort(self._again, again, key=_START)

    def unreadable(self, chunk: Chunk, error: Exception) -> None:
        """Take back a chunk that cannot be sent or read, or whose results cannot be read."""
        self.flying -= 1
        if len(chunk.items) == 1:
            add_item_note(error, self.name, chunk.start, chunk.items[0])
            self._fail_one(chunk, 0, error)
            return
        for at in range(len(chunk.items)):
            self._apart(chunk, at)

    def _apart(self, chunk: Chunk, at: int) -> None:
        """Do one item again, alone."""
        single = Chunk(self, chunk.start + at, [chunk.items[at]], exact=True)
        insort(self._again, single, key=_START)

    def finish(
        self,
        chunk: Chunk,
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
        seconds: float,
        size: int,
    ) -> int:
        """Take the results of a chunk's first items; the others are done again.

        Args:
            chunk: what was sent.
            results: of its items, from the first on.
            errors: of those that failed, by their place.
            seconds: that it took.
            size: the bytes of the answer.

        Returns:
            How many items were handed back.
        """
        self.flying -= 1
        done, items = len(results), len(chunk.items)
        if not self.open:
            return 0
        self._do_again(chunk, done, items)
        if done:
            self.result_bytes = _blend(self.result_bytes, size / done)
            self._resize(seconds / done, items)
        if not errors:
            self._put(chunk.start, results)
            return items - done
        first = 0
        for at, packed in errors.items():
            self._put(chunk.start + first, results[first:at])
            index, item = chunk.start + at, chunk.items[at]
            self._fail_one(chunk, at, unpack(packed, self.name, index, item))
            first = at + 1
        self._put(chunk.start + first, results[first:])
        return items - done

    def _resize(self, each: float, items: int) -> None:
        # Up at once, down slowly: a slow item is a warning, a quick one is none.
        before = self.seconds
        self.seconds = each if before is None or each > before else (each + before) / 2
        if self.options.chunk is None:
            wanted = min(
                TARGET / max(self.seconds, 1e-9),
                _BYTES / max(self.item_bytes, self.result_bytes, 1.0),
                8 * max(self._size, items),
                _MOST,
            )
            self._size = max(1, int(wanted))

    def crashed(self, chunk: Chunk, first: int, end: int, death: Death) -> None:
        """Take back a chunk whose worker ended; it was at the items from ``first`` to ``end``.

        Nobody is blamed unless it is certain: items under suspicion are done again one by one.
        """
        self.flying -= 1
        if not self.open:
            return
        if first == end:
            chunk.deaths += 1
            if chunk.deaths < _DEATHS:
                self._do_again(chunk, 0, len(chunk.items))
            elif len(chunk.items) > 1:
                for at in range(len(chunk.items)):
                    self._apart(chunk, at)
            else:
                self._blame(chunk, 0, death)
        elif end - first == 1:
            self._do_again(chunk, 0, first)
            self._do_again(chunk, end, len(chunk.items))
            self._blame(chunk, first, death)
        else:
            self._do_again(chunk, 0, first)
            self._do_again(chunk, first, end, exact=True)
            self._do_again(chunk, end, len(chunk.items))

    def _blame(self, chunk: Chunk, at: int, death: Death) -> None:
        index, item = chunk.start + at, chunk.items[at]
        error: Exception = WorkerDied(item, index, death.exit_code, death.signal)
        if death.timed_out and self.options.timeout is not None:
            error = TaskTimeout(item, index, self.options.timeout)
        self._fail_one(chunk, at, error)

    def _fail_one(self, chunk: Chunk, at: int, error: Exception) -> None:
        index, item = chunk.start + at, chunk.items[at]
        attempts = self._attempts.pop(index, 0) + 1
        if attempts <= self.options.retries:
            self._attempts[index] = attempts
            self._apart(chunk, at)
            return
        self.failed += 1
        if self.options.on_error in {RAISE, COLLECT}:
            self.failures.append(Failure(item, index, error, attempts))
        self._put(index, _Lost(error if self.options.on_error is RAISE else None))

    def fail(self, error: Exception, *, at_once: bool = True) -> None:
        """End the map with an error that is no item's, at once or after what is ready."""
        if self.open:
            put = self._ready.appendleft if at_once else self._ready.append
            put(_Lost(error))
            self._readers.wake()

    # ---------------------------------------------------------------- output

    def _put(self, start: int, results: list[Any] | _Lost) -> None:
        if results == []:
            return
        if not self.options.ordered:
            self._ready.append(results)
        elif start != self._next:
            self._early[start] = results
            return
        else:
            more: list[Any] | _Lost | None = results
            while more is not None:
                self._ready.append(more)
                self._next += 1 if isinstance(more, _Lost) else len(more)
                more = self._early.pop(self._next, None)
        self._readers.wake()

    @property
    def finished(self) -> bool:
        """Whether nothing more will come than what is ready."""
        if self._inbox or not self._exhausted:
            return False
        return not self._again and not self._early and not self.flying

    async def take(self) -> list[Any]:
        """Return the next results; none at the end.

        **Cancelled**: none was taken.

        Raises:
            Exception: what ends the map: an item's error, or what the input raised, after the
                results of all that came before.
        """
        self._count(self._held)
        self._held = 0
        while True:
            while not self._ready:
                self._crew.pump()
                if self._ready:
                    break
                if self.finished:
                    self._tell(last=True)
                    if self._error is not None:
                        raise self._error
                    return []
                await self._until_ready()
            results = self._ready.popleft()
            if not isinstance(results, _Lost):
                # Those who take them one by one have not taken them yet.
                self._held = len(results)
                self._delivered += len(results)
                return results
            if results.error is not None:
                raise results.error
            self._count(1)

    def _count(self, taken: int) -> None:
        if taken:
            self._taken += taken
            self._feeders.wake()
            self._tell()
            self._crew.pump()

    async def _until_ready(self) -> None:
        waiter = new_waiter()
        self._readers.append(waiter)
        try:
            await waiter
        finally:
            self._readers.leave(waiter)

    def _tell(self, *, last: bool = False) -> None:
        if (progress := self.options.progress) is None:
            return
        now = time.monotonic()
        if last or now - self._told >= 0.1:
            self._told = now
            progress(self._taken, self.total)

    async def settled(self) -> None:
        """Wait, after close(), until an async input is closed too, if nobody else will."""
        await self._crew.settled(self)

    def close(self) -> None:
        """Draw no more and start no more; what runs is stopped. Callable wherever the loop runs."""
        if self.open:
            self.open = False
            self._again.clear()
            self._early.clear()
            self._feeding.cancel()
            self._crew.dismiss(self)


def _blend(before: float, latest: float) -> float:
    return latest if not before else 0.7 * before + 0.3 * latest
