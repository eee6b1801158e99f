"""Where a pipeline's items come from: an iterator, an async iterable, or a queue.

A stage takes its items from one of three kinds of input:

* a plain iterator, drawn from by the workers themselves, in the loop's thread;
* a ``QueueSource``: workers wait in the queue's own line, so an item leaves the queue only when a
  worker begins it;
* the buffer of an ``AsyncFeed``: one task iterates, because an async generator must be advanced
  and closed in the task that started it.

Rule 1: a source is asked for an item when a worker asks, or at most ``ahead`` items earlier.
Rule 2: what this module or a stage started to iterate over is closed before the run has ended,
under a shield, so that a generator may await in its ``finally``.
"""

from __future__ import annotations

__all__ = ("AHEAD", "Admit", "AsyncFeed", "Input", "QueueSource", "TimedIterator")

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from operator import itemgetter
from time import perf_counter
from typing import Any, Final, Self, TypeAlias, final

import anyio

from aconcur._core.generators import close_iterator
from aconcur._core.wait_queue import Waiter, yield_to_others
from aconcur.pipeline._buffer import DROPPED, Buffer, HandoverBuffer
from aconcur.pipeline._errors import QueueClosed, forget_frames, own_cancellation
from aconcur.pipeline._queue.queue import Queue
from aconcur.pipeline._queue.state import QueueClient, QueueState

AHEAD: Final = 16
"""Items drawn ahead from an async source, unless it is said otherwise.

Measured: each time that the feeding task and the workers alternate costs about 2 µs.
"""
# Items of an iterator that are measured before it is known to be quick.
_FIRST: Final = 32
# Seconds from which on the 0.3 µs of a measurement do not count.
_LONG: Final = 50e-6
# Items between two yields of a feed that never has to wait.
_STRIDE: Final = 127

Admit: TypeAlias = Callable[[Any], Any]
"""Makes of an item what the stages pass on; DROPPED: the item is to be left out."""


@final
class QueueSource:
    """A queue from which the workers of a stage take directly.

    Args:
        queue: the queue.
        admit: of a run with a journal.
    """

    def __init__(self, queue: Queue[Any], admit: Admit | None) -> None:
        self._admit = admit
        self._state: QueueState[Any] = queue._state  # noqa: SLF001 - the same package
        self._client = QueueClient()
        self._unbegun: list[tuple[float, Any]] = []

    def may_run_out(self) -> bool:
        """Return whether :meth:`until_item` must be called before the next item is taken."""
        return len(self._state.items) <= self._state.low or self._client.stopped

    async def until_item(self) -> bool:
        """Return whether the caller may take one item in this step; False: none will come."""
        if self._client.stopped:
            return False
        try:
            await self._state.until_item("get", self._client)
        except QueueClosed:
            return False
        return True

    def take(self) -> Any:  # noqa: ANN401
        """Take the item that :meth:`until_item` has found; DROPPED if it is to be left out."""
        state = self._state
        item = state.take_and_wake() if state.putters else state.items.popleft()
        return item if self._admit is None else self._admit(item)

    def pass_on(self) -> None:
        """Leave the item that :meth:`until_item` has found to another getter."""
        self._state.reserve_items()

    def stop(self) -> None:
        """Let the workers find no more items."""
        self._client.stop()

    def keep_unbegun(self, item: object, since: float) -> None:
        """Keep an item that was taken and not begun; ``since`` says which was taken first."""
        self._unbegun.append((since, item))

    def return_unbegun(self) -> None:
        """Put the items that were not begun back to the front of the queue: the run has ended."""
        self._unbegun.sort(key=itemgetter(0), reverse=True)
        self._state.give_back([item for _, item in self._unbegun])
        self._unbegun.clear()


@final
class AsyncFeed:
    """Iterates over an async source in one task.

    Args:
        source: what it iterates over.
        ahead: items that it draws before a worker asks for them.
        admit: of a run with a journal.
        failed: called with an error of the source, after which its items come to an end.
        make_waiter: as for its buffer.
        choose: says how to draw items, each time that it has waited: ``anext``, measured or not.
    """

    def __init__(
        self,
        source: AsyncIterable[Any],
        ahead: int,
        admit: Admit | None,
        failed: Callable[[Exception], None],
        make_waiter: Callable[[], Waiter],
        choose: Callable[[], Callable[[Any], Awaitable[Any]]],
    ) -> None:
        self._source, self._admit, self._failed, self._choose = source, admit, failed, choose
        self.buffer, self._scope = HandoverBuffer(ahead, 1, make_waiter), anyio.CancelScope()

    async def run(self) -> None:
        """Pass on all items, then close the source's iterator.

        **Cancelled**: the buffer stays open: the items so far are not all there are.
        """
        try:
            iterator = aiter(self._source)
            try:
                with self._scope:
                    await self._pass_on(iterator)
            finally:
                await close_iterator(iterator)  # noqa: ASYNC102 - shielded there
        except asyncio.CancelledError as error:  # noqa: ASYNC103 - keeps the source's own only
            if (problem := own_cancellation(error)) is None:
                forget_frames(error)
                raise
            self._failed(problem)
        except anyio.get_cancelled_exc_class() as error:
            forget_frames(error)
            raise
        except Exception as error:  # noqa: BLE001 - raised after the items before it
            self._failed(error)
        self.buffer.writer_left()

    def stop(self) -> None:
        """Draw no more."""
        self._scope.cancel()

    async def _pass_on(self, iterator: AsyncIterator[Any]) -> None:
        buffer, admit, drawn = self.buffer, self._admit, 0
        draw = self._choose()
        while True:
            if not buffer.has_room():
                await buffer.until_room()
                draw = self._choose()
            try:
                item = await draw(iterator)
            except StopAsyncIteration:
                return
            if admit is None or (item := admit(item)) is not DROPPED:
                buffer.items.append(item)
                buffer.wake_getter()
            drawn += 1
            if not drawn & _STRIDE:
                await yield_to_others()


@final
class TimedIterator:
    """Measures how long a plain iterator holds the event loop.

    It measures the first items, and goes on if they are slow: a quick iterator takes its place.

    Args:
        items: the iterator.
        took: told the seconds that an item took.
    """

    __slots__ = ("_items", "_measured", "_place", "_took", "_total")

    def __init__(self, items: Iterator[Any], took: Callable[[float], object]) -> None:
        self._items, self._took = items, took
        self._measured, self._total = 0, 0.0
        self._place: tuple[list[Any], int] | None = None

    def stand_in(self, inputs: list[Any], number: int) -> None:
        """Note where it stands in place of the iterator."""
        self._place = (inputs, number)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:  # noqa: ANN401
        began = perf_counter()
        try:
            return next(self._items)
        finally:
            seconds = perf_counter() - began
            self._took(seconds)
            self._measured += 1
            self._total += seconds
            if self._measured == _FIRST and self._total < _FIRST * _LONG and self._place:
                inputs, number = self._place
                if inputs[number] is self:
                    inputs[number] = self._items


Input: TypeAlias = Buffer | QueueSource | Iterator[Any]
"""Where a stage takes its items from."""
