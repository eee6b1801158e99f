"""One map: its input, cut into chunks; its results, put in order; what fails in between.

Law 1: nothing here awaits but the consumer; a crew decides where chunks run.
Law 2: an item is in one place: not drawn, in a chunk, to be done again, or its result is there.
Law 3: nobody is blamed for a worker's death unless it is certain.
"""

from __future__ import annotations

__all__ = ("Job",)

import time
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, Final, final

from aconcur._core.on_error import RAISE, SKIP
from aconcur._worker.failures import Packed
from aconcur.parallel._chunk import Chunk, Crew, Death, new_number
from aconcur.parallel._errors import TaskTimeout, WorkerDied, add_item_note
from aconcur.parallel._failing import raisable, unpack
from aconcur.parallel._intake import Intake
from aconcur.parallel._options import Failure, MapOptions, name_of
from aconcur.parallel._outlet import Lost, Outlet
from aconcur.parallel._pace import MOST, Pace
from aconcur.parallel._undone import Undone

# Deaths of its worker after which a chunk that nobody blames is taken apart.
_DEATHS: Final = 3
# Seconds between two calls of progress=.
_TOLD: Final = 0.1


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
        self.number: int = new_number()
        self.function: Callable[[Any], Any] = function
        self.name: str = name_of(function)
        self.timeout: float | None = options.timeout
        self.open: bool = True
        self.failures: list[Failure] = []
        self.keep_going: bool = options.on_error is not RAISE or bool(options.retries)
        self.pace: Pace = Pace(options.chunk, options.buffer)
        self._crew, self._options = crew, options
        self._flying = 0  # chunks that run
        self._doomed = False  # the consumer will get the error that ends it
        self._taken = self._held = self._delivered = 0
        self._told = 0.0
        self._attempts: dict[int, int] = {}
        self._undone = Undone()
        self._outlet = Outlet(options.ordered)
        self._intake = Intake(items, self._room, self._fed)
        if self._intake.needs_feeding:
            crew.spawn(self._intake.feed)

    def __repr__(self) -> str:
        total = "" if self._intake.total is None else f" of {self._intake.total}"
        return f"<Job {self.name}: {self._taken}{total} taken, {self._flying} chunks running>"

    # ----------------------------------------------------------------- input

    def _room(self) -> int:
        """Return how many more items may be drawn."""
        return self.pace.window(self._crew.size) - (self._intake.drawn - self._taken)

    def _fed(self) -> None:
        self._crew.pump()
        if self._intake.at_end:
            self._outlet.wake()

    def next_chunk(self, most: int = MOST) -> Chunk | None:
        """Return the next items to be worked on, at most so many, if there are and may be any."""
        if not self.open or self._doomed:
            return None
        if self._undone:
            chunk = self._undone.next(min(self._size_of_next(), most))
        else:
            items = self._draw(most)
            if not items:
                return None
            start = self._intake.drawn - len(items)
            chunk = Chunk(self, start, items, exact=self.timeout is not None)
        self._flying += 1
        return chunk

    def _draw(self, most: int) -> list[Any]:
        intake = self._intake
        if intake.at_end:
            return []
        items = intake.draw(min(self._size_of_next(), self._room(), most))
        if intake.at_end:
            error = intake.error
            if error is not None and not isinstance(error, Exception):
                self.fail(error)
            elif not items:
                self._outlet.wake()
        return items

    def _size_of_next(self) -> int:
        left = 0 if self._intake.at_end else self._intake.left
        if left is None:
            return self.pace.size
        return self.pace.share(left + self._undone.items, self._crew.size)

    @property
    def is_quick(self) -> bool:
        """Whether a chunk is short enough for another to wait behind it."""
        return self.pace.is_quick

    # --------------------------------------------------- what becomes of a chunk

    def fits(self, chunk: Chunk, size: int) -> bool:
        """Take note of a chunk's bytes; return False if it is too large and has been put back."""
        if self.pace.fits(len(chunk.items), size):
            return True
        self.put_back(chunk)
        return False

    def put_back(self, chunk: Chunk) -> None:
        """Do a chunk again that has not been worked on."""
        self._landed()
        self._again(chunk, 0, len(chunk.items))

    def take_back(self, chunk: Chunk, at: int) -> int:
        """Cut off the items from one on: its worker will not begin them.

        Returns:
            How many they are.
        """
        count = len(chunk.items)
        self._again(chunk, at, count)
        del chunk.items[at:]
        return count - len(chunk.items)

    def _landed(self) -> None:
        self._flying -= 1
        if not self._flying:
            # All of the chunk may have been taken back, and have been done by another since.
            self._outlet.wake()

    def _again(self, chunk: Chunk, first: int, end: int, *, exact: bool = False) -> None:
        if self.open:
            self._undone.add(chunk, first, end, exact=exact)

    def unreadable(self, chunk: Chunk, error: Exception) -> None:
        """Take back a chunk that cannot be sent or read, or whose results cannot be read."""
        self._landed()
        if not self.open:
            return
        if len(chunk.items) == 1:
            add_item_note(error, self.name, chunk.start, chunk.items[0])
            self._fail_one(chunk, 0, error)
        else:
            self._undone.all_apart(chunk)

    def finish(
        self,
        chunk: Chunk,
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
        seconds: float,
        size: int,
    ) -> int:
        """Take the results of a chunk's first items; the others are done again."""
        self._landed()
        done, items = len(results), len(chunk.items)
        if not self.open:
            return 0
        self._again(chunk, done, items)
        if done:
            self.pace.took(seconds, done, items, size)
        first = 0
        for at, packed in errors.items():
            self._outlet.put(chunk.start + first, results[first:at])
            error = unpack(packed, self.name, chunk.start + at, chunk.items[at])
            self._fail_one(chunk, at, error)
            first = at + 1
        self._outlet.put(chunk.start + first, results[first:] if first else results)
        return items - done

    # ---------------------------------------------------------- blame and retries

    def crashed(self, chunk: Chunk, first: int, end: int, death: Death) -> None:
        """Take back a chunk whose worker ended; it was at the items from ``first`` to ``end``.

        Items under suspicion are done again one by one.
        """
        self._landed()
        if not self.open:
            return
        count = len(chunk.items)
        # It may have looked at what has been cut off.
        first, end = min(first, count), min(end, count)
        if first == end:
            self._crashed_unseen(chunk, death)
            return
        certain = end - first == 1
        self._again(chunk, 0, first)
        self._again(chunk, end, count)
        if certain:
            self._blame(chunk, first, death)
        else:
            self._again(chunk, first, end, exact=True)

    def _crashed_unseen(self, chunk: Chunk, death: Death) -> None:
        chunk.deaths += 1
        if chunk.deaths < _DEATHS:
            self._again(chunk, 0, len(chunk.items))
        elif len(chunk.items) == 1:
            self._blame(chunk, 0, death)
        else:
            self._undone.all_apart(chunk)

    def _blame(self, chunk: Chunk, at: int, death: Death) -> None:
        index, item = chunk.start + at, chunk.items[at]
        error: Exception = WorkerDied(item, index, death.exit_code, death.signal)
        if death.timed_out and self.timeout is not None:
            error = TaskTimeout(item, index, self.timeout)
        self._fail_one(chunk, at, error)

    def _fail_one(self, chunk: Chunk, at: int, error: Exception) -> None:
        index, item = chunk.start + at, chunk.items[at]
        attempts = self._attempts.pop(index, 0) + 1
        if attempts <= self._options.retries:
            self._attempts[index] = attempts
            self._undone.apart(chunk, at)
            return
        on_error = self._options.on_error
        if on_error is not SKIP:
            self.failures.append(Failure(item, index, error, attempts))
        self._outlet.put(index, Lost(raisable(error) if on_error is RAISE else None))

    def fail(self, error: BaseException, *, at_once: bool = True) -> None:
        """End the map with an error that is no item's, at once or after what is ready."""
        if self.open and not self._doomed:
            self._doomed = True
            self._outlet.end(error, at_once=at_once)

    @property
    def safe(self) -> int:
        """How many results the consumer has had, or will have whatever happens."""
        return self._delivered + self._outlet.ready

    @property
    def postponed(self) -> tuple[Chunk, ...]:
        """What has been handed back, and is to be done again."""
        return self._undone.chunks

    # ---------------------------------------------------------------- output

    @property
    def finished(self) -> bool:
        """Whether nothing more will come than what is ready."""
        if not self._intake.at_end:
            return False
        return not (self._undone or self._flying or self._outlet.has_early)

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
            part = await self._next_part()
            if part is None:
                self._tell(last=True)
                if self._intake.error is not None:
                    raise self._intake.error
                return []
            if not isinstance(part, Lost):
                # Those who take them one by one have not taken them yet.
                self._held = len(part)
                self._delivered += len(part)
                return part
            if part.error is not None:
                raise part.error
            self._count(1)

    async def _next_part(self) -> list[Any] | Lost | None:
        while (part := self._outlet.take()) is None:
            self._crew.pump()
            if (part := self._outlet.take()) is not None:
                break
            if self.finished:
                return None
            await self._outlet.changed()
        return part

    def _count(self, taken: int) -> None:
        if taken:
            self._taken += taken
            self._intake.wake()
            self._tell()
            self._crew.pump()

    def _tell(self, *, last: bool = False) -> None:
        if (progress := self._options.progress) is None:
            return
        now = time.monotonic()
        if last or now - self._told >= _TOLD:
            self._told = now
            progress(self._taken, self._intake.total)

    async def settled(self) -> None:
        """Wait, after close(), until an async input is closed too, if nobody else will."""
        await self._crew.settled()

    def close(self) -> None:
        """Draw no more and start no more; what runs is stopped. Callable wherever the loop runs."""
        if self.open:
            self.open = False
            self._undone.clear()
            self._outlet.clear()
            self._intake.close()
            self._crew.dismiss(self)
