"""One map: its options, its chunks, the blame for failures, and its results in order."""

from __future__ import annotations

__all__ = ("Failure", "Job", "MapOptions", "OnProgress")

import time
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, final

from aconcur._core.on_error import RAISE, SKIP, OnError
from aconcur._core.validation import check_count, check_seconds
from aconcur._core.wait_queue import WaitQueue, wait_in
from aconcur._pool_worker.failures import Packed
from aconcur.parallel._errors import TaskTimeout, WorkerDied, add_item_note, raisable, unpack
from aconcur.parallel._map.chunk import Chunk, Death, Runner, new_number
from aconcur.parallel._map.chunk_size import AHEAD, FIRST, LARGE, MOST, SLICE, ChunkSize
from aconcur.parallel._map.progress import ProgressDisplay
from aconcur.parallel._map.retry_queue import RetryQueue
from aconcur.parallel._map.source import Source
from aconcur.parallel._pickling import is_async, name_of

# Workers in a row that died before they began a chunk, after which its items are sent one by one.
_DEATHS: Final = 3
# Seconds between two calls of progress=.
_INTERVAL: Final = 0.1

OnProgress: TypeAlias = Callable[[int, int | None], object]
"""Called with the number of items done, and the number of all items or None if it is not known."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An item on which the function failed."""

    item: Any
    """The argument of the function."""
    index: int
    """The item's position in the input, from 0."""
    error: Exception
    """The exception of the last attempt; :class:`WorkerDied`, :class:`TaskTimeout`."""
    attempts: int
    """How often it was tried, at least once."""


@dataclass(frozen=True, slots=True)
class MapOptions:
    """The options of a map. They are checked when it is called."""

    ordered: bool = True
    buffer: int | None = None
    chunk: int | None = None
    timeout: float | None = None
    on_error: OnError = RAISE
    retries: int = 0
    progress: OnProgress | bool | None = None
    grace: float = 0.0
    star: bool = False
    """An item is a tuple of arguments."""

    def __post_init__(self) -> None:
        if self.buffer is not None:
            check_count("buffer", self.buffer, 1)
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)
        if self.timeout is not None:
            check_seconds("timeout", self.timeout, above=True)
        if self.grace != 0:
            check_seconds("grace", self.grace)
        if self.retries != 0:
            check_count("retries", self.retries, 0)
        if not isinstance(self.on_error, OnError):
            raise TypeError(f"on_error must be RAISE, SKIP or COLLECT, not {self.on_error!r}")
        if not (self.progress is None or isinstance(self.progress, bool)):
            if not callable(self.progress):
                raise TypeError(f"progress must be a function, not {self.progress!r}")
            if is_async(self.progress):
                raise TypeError(
                    f"progress must be a plain function, not the coroutine function "
                    f"{name_of(self.progress)}: it is called between two items"
                )


class OwnPool(Protocol):
    """A pool that was opened for one map."""

    def stop(self) -> None:
        """Kill the workers."""

    async def stopped(self) -> None:
        """Wait for their end."""


@final
class FailedSlot:
    """Takes the place of a failed item's result."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        """The error that ends the map; None: the item is left out."""


Part: TypeAlias = list[Any] | FailedSlot


@final
class Job:
    """A map that is under way.

    Args:
        runner: runs its chunks.
        function: called with each item.
        items: the input.
        options: the caller's.
    """

    def __init__(
        self,
        runner: Runner,
        function: Callable[[Any], Any],
        items: Iterable[Any] | AsyncIterable[Any],
        options: MapOptions,
    ) -> None:
        self.number: int = new_number()
        self.function: Callable[[Any], Any] = function
        self.timeout: float | None = options.timeout
        self.grace: float = options.grace
        self.star: bool = options.star
        self.open: bool = True
        self.failures: list[Failure] = []
        self.keep_going: bool = options.on_error is not RAISE or bool(options.retries)
        self.budget: float = SLICE if options.chunk is None else float("inf")
        """Seconds after which a worker begins no further item of a chunk."""
        self.exhausted: bool = False
        """Whether no chunk is available, until one comes back or async input arrives."""
        self._runner, self._options = runner, options
        self._display: ProgressDisplay | None = None
        self._progress: OnProgress | None = None
        if options.progress is True:
            self._progress = self._display = ProgressDisplay(name_of(function))
        elif options.progress:
            self._progress = options.progress
        self._source = Source(items, self._room, self._fed)
        buffer = options.buffer
        self._chunk_size = ChunkSize(
            fixed=options.chunk is not None,
            size=options.chunk or FIRST,
            buffer=buffer,
            window=buffer or max(AHEAD, 2 * runner.size),
        )
        self._retry = RetryQueue()
        self._attempts: dict[int, int] = {}
        self._in_flight = 0  # chunks that a worker has
        # The output: parts that the consumer may take, and parts that wait for earlier ones.
        self._ready = deque[Part]()
        self._early: dict[int, Part] = {}
        self._next = 0
        self._numbered = False
        self._readers = WaitQueue()
        self._failing = False  # the error that ends the map is in the output
        self._delivered = 0  # results that the consumer has, or is about to take one by one
        self._held = 0  # of them, those of the latest part
        self._taken = 0  # items whose results it has taken, and failed ones
        self._told = 0.0
        self._feeding = self._source.needs_feeding
        self._pool: OwnPool | None = None
        self.lingers: bool = self._feeding
        """Whether :meth:`settled` may have to wait at the end."""
        self._settlers = WaitQueue()
        if self._feeding:
            runner.spawn(self._feed)

    def __repr__(self) -> str:
        total = "" if self._source.total is None else f" of {self._source.total}"
        running = f"{self._in_flight} chunks running"
        return f"<Job {name_of(self.function)}: {self._taken}{total} taken, {running}>"

    # ----------------------------------------------------------------- input

    async def _feed(self) -> None:
        try:
            await self._source.feed()
        finally:
            self._feeding = False
            self._settlers.wake_all(True)

    def _fed(self) -> None:
        self.exhausted = False
        self._runner.pump()
        if self._source.at_end:
            self._note_end_of_input()

    def _note_end_of_input(self) -> None:
        error = self._source.error
        if error is not None and not isinstance(error, Exception):
            self.fail(error)
        if self._readers:
            self._readers.wake()

    def _room(self) -> int:
        """Return how many more items may be drawn."""
        return self._chunk_size.window - (self._source.drawn - self._taken)

    @property
    def total(self) -> int | None:
        """How many items the input has, if that is known."""
        return self._source.total

    @property
    def is_quick(self) -> bool:
        """Whether a chunk is so short that another may wait behind it."""
        return self._chunk_size.is_quick

    def next_chunk(self, most: int = MOST) -> Chunk | None:
        """Return the next chunk to be run, of at most ``most`` items; None if there is none now."""
        if self.exhausted or self._failing or not self.open:
            return None
        source, size = self._source, self._chunk_size.size
        if source.at_end or source.total is not None:
            size = self._share_of_rest(size)
        if self._retry.items:
            chunk = self._retry.next(min(size, most))
        else:
            items = source.draw(min(size, self._room(), most))
            if source.at_end:
                self.exhausted = True
                self._note_end_of_input()
            if not items or self._failing:
                return None
            start = source.drawn - len(items)
            chunk = Chunk(self, start, items, exact=self.timeout is not None)
        self._in_flight += 1
        return chunk

    def _share_of_rest(self, size: int) -> int:
        """Return the size of a chunk if few items are left: so that all workers end together."""
        source, workers = self._source, self._runner.size
        left = self._retry.items
        if not source.at_end and source.total is not None:
            left += source.total - source.drawn
        if self._chunk_size.fixed or left >= 2 * workers * size:
            return size
        return max(1, -(-left // (2 * workers)))

    # --------------------------------------------------- the end of a chunk

    def fits(self, chunk: Chunk, size: int) -> bool:
        """Record the bytes of a chunk's items; return False if it was too large and is put back."""
        chunk.bytes = size
        items = len(chunk.items)
        if size <= LARGE or self._chunk_size.fits(items, size, self._runner.size):
            return True
        self.put_back(chunk)
        return False

    def put_back(self, chunk: Chunk) -> None:
        """Accept that no worker has begun the chunk; do it again."""
        self._came_back()
        self._do_again(chunk, 0, len(chunk.items))

    def take_back(self, chunk: Chunk, at: int) -> int:
        """Remove the items from position ``at`` on; return how many they are."""
        count = len(chunk.items)
        self._do_again(chunk, at, count)
        del chunk.items[at:]
        return count - len(chunk.items)

    def _came_back(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            # All its items may have been taken back and done by another worker since.
            self._readers.wake()

    def _do_again(self, chunk: Chunk, first: int, end: int, *, exact: bool = False) -> None:
        if self.open:
            self._retry.add(chunk, first, end, exact=exact)
            self.exhausted = False

    def _do_one_by_one(self, chunk: Chunk) -> None:
        self._retry.add_one_by_one(chunk)
        self.exhausted = False

    def unreadable(self, chunk: Chunk, error: Exception) -> None:
        """Accept that the chunk or its results could not be pickled or unpickled."""
        self._came_back()
        if not self.open:
            return
        if len(chunk.items) == 1:
            add_item_note(error, name_of(self.function), chunk.start, chunk.items[0])
            self._fail_one(chunk, 0, error)
        else:
            self._do_one_by_one(chunk)

    def finish(
        self,
        chunk: Chunk,
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
        seconds: float,
        size: int,
    ) -> int:
        """Accept the results of the chunk's first items; the others are done again."""
        self._in_flight -= 1
        done, items = len(results), len(chunk.items)
        if not self.open:
            return 0
        if done < items:
            self._do_again(chunk, done, items)
        total = self._source.total
        if done and not self.exhausted and (total is None or self._source.drawn < total):
            workers = self._runner.size
            self._chunk_size.record_timing(seconds, done, items, chunk.bytes, size, workers)
        first = 0
        for at, packed in errors.items():
            self._put(chunk.start + first, results[first:at])
            name = name_of(self.function)
            error = unpack(packed, name, chunk.start + at, chunk.items[at])
            self._fail_one(chunk, at, error)
            first = at + 1
        self._put(chunk.start + first, results[first:] if first else results)
        return items - done

    # ---------------------------------------------------------- blame and retries

    def crashed(self, chunk: Chunk, first: int, end: int, death: Death) -> None:
        """Accept that the chunk's worker ended during the items from ``first`` to ``end``.

        If they are several, they are done again one at a time.
        """
        self._came_back()
        if not self.open:
            return
        count = len(chunk.items)
        # The worker may have reported items that were taken back before it began them.
        first, end = min(first, count), min(end, count)
        if first == end:
            self._crashed_unseen(chunk, death)
            return
        certain = end - first == 1
        self._do_again(chunk, 0, first)
        self._do_again(chunk, end, count)
        if certain:
            self._blame(chunk, first, death)
        else:
            self._do_again(chunk, first, end, exact=True)

    def _crashed_unseen(self, chunk: Chunk, death: Death) -> None:
        chunk.deaths += 1
        if chunk.deaths < _DEATHS:
            self._do_again(chunk, 0, len(chunk.items))
        elif len(chunk.items) == 1:
            self._blame(chunk, 0, death)
        else:
            self._do_one_by_one(chunk)

    def _blame(self, chunk: Chunk, at: int, death: Death) -> None:
        index, item = chunk.start + at, chunk.items[at]
        error: Exception = WorkerDied(item, index, death.exit_code, death.signal)
        if death.timed_out:
            error = self.expired(chunk, at)
        self._fail_one(chunk, at, error)

    def expired(self, chunk: Chunk, at: int) -> TaskTimeout:
        """Return the error for an item that exceeded its timeout."""
        assert self.timeout is not None
        return TaskTimeout(chunk.items[at], chunk.start + at, self.timeout)

    def _fail_one(self, chunk: Chunk, at: int, error: Exception) -> None:
        index, item = chunk.start + at, chunk.items[at]
        attempts = self._attempts.pop(index, 0) + 1
        if attempts <= self._options.retries:
            self._attempts[index] = attempts
            self._retry.add_one(chunk, at)
            self.exhausted = False
            return
        on_error = self._options.on_error
        if on_error is not SKIP:
            self.failures.append(Failure(item, index, error, attempts))
        self._put(index, FailedSlot(raisable(error) if on_error is RAISE else None))

    def fail(self, error: BaseException, *, at_once: bool = True) -> None:
        """End the map with an error that belongs to no item.

        Args:
            error: the error.
            at_once: raise it before the results that are ready, rather than after them.
        """
        if self.open and not self._failing:
            self._failing = True
            put = self._ready.appendleft if at_once else self._ready.append
            put(FailedSlot(error))
            self._readers.wake()

    @property
    def safe(self) -> int:
        """How many results the consumer has, or will get whatever happens."""
        return self._delivered + sum(
            len(part) for part in self._ready if not isinstance(part, FailedSlot)
        )

    @property
    def postponed(self) -> tuple[Chunk, ...]:
        """The chunks that came back and are to be done again."""
        return self._retry.chunks

    # ---------------------------------------------------------------- output

    def number_results(self) -> None:
        """Deliver each result with the position of its item. To be called before the first take."""
        self._numbered = True

    def _put(self, start: int, part: Part) -> None:
        """Put the outcome of the items from position ``start`` on."""
        if self._numbered and not isinstance(part, FailedSlot):
            part = [*enumerate(part, start)]
        if part == []:
            pass
        elif not self._options.ordered:
            self._ready.append(part)
        elif start != self._next:
            self._early[start] = part
        else:
            more: Part | None = part
            while more is not None:
                self._ready.append(more)
                self._next += 1 if isinstance(more, FailedSlot) else len(more)
                more = self._early.pop(self._next, None) if self._early else None
        if self._ready or not self._in_flight:
            self._readers.wake()

    async def take(self) -> list[Any]:
        """Return the next results; an empty list at the end.

        **Cancelled**: nothing was taken.

        Raises:
            Exception: the error that ends the map: an item's, or the input's, which comes after all
                results of the items before it.
        """
        if self._held:
            self._advance(self._held)
            self._held = 0
        while True:
            if not self._ready and not self.exhausted:
                self._runner.pump()
            while not self._ready:
                if self._source.at_end and not (
                    self._retry.items or self._in_flight or self._early
                ):
                    if (progress := self._progress) is not None:
                        self._tell(progress, last=True)
                    if self._source.error is not None:
                        raise self._source.error
                    return []
                await wait_in(self._readers)
            part = self._ready.popleft()
            if not isinstance(part, FailedSlot):
                # A consumer that takes them one by one has not taken them yet.
                self._held = len(part)
                self._delivered += len(part)
                return part
            if part.error is not None:
                raise part.error
            self._advance(1)

    def _advance(self, taken: int) -> None:
        self._taken += taken
        if (progress := self._progress) is not None:
            self._tell(progress)
        if not self.exhausted:
            if self._source.needs_feeding:
                self._source.wake()
            self._runner.pump()

    def _tell(self, progress: OnProgress, *, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self._told >= _INTERVAL:
            self._told = now
            progress(self._taken, self._source.total)

    def close(self) -> None:
        """Draw and start nothing more, and stop the chunks that run."""
        if self.open:
            self.open = False
            self.exhausted = True
            if self._retry.items:
                self._retry.clear()
            self._early.clear()
            self._source.close()
            self._runner.dismiss(self)
            if self._display is not None:
                self._display.close()
            if self._pool is not None:
                self._pool.stop()

    def own(self, pool: OwnPool) -> None:
        """Stop a pool together with the map that it was opened for."""
        self._pool, self.lingers = pool, True

    async def settled(self) -> None:
        """Wait after :meth:`close` until an async input and the map's own pool are closed."""
        while self._feeding:
            await wait_in(self._settlers)
        if self._pool is not None:
            await self._pool.stopped()
