"""A plain iterable that is iterated over in a thread: cursors, files, csv readers.

Rule 1: the iterator is made, advanced and closed in one thread, which has ended when the run has.
Rule 2: the thread asks for an item only when there is room for it: the task here grants it a
number, and what it draws travels to the task, which puts it into the buffer.
Rule 3: an item that was drawn before a ``drain()`` goes on; an error comes after the items before.
"""

from __future__ import annotations

__all__ = ("InThread", "ReadVia", "ThreadFeed", "read_via")

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Literal, TypeAlias, final

import anyio

from aconcur._core.loops import thread_context
from aconcur._core.wait_queue import CallSoon, Waiter
from aconcur.pipeline._buffer import DROPPED, HandoverBuffer
from aconcur.pipeline._errors import own_cancellation
from aconcur.pipeline._sources.source import Admit
from aconcur.pipeline._spec import THREADS, Threads, check_source

ReadVia: TypeAlias = Literal[Threads.THREADS]
"""Where a plain iterable is iterated over."""


@final
class InThread:
    """A source to be iterated over in a thread.

    Args:
        items: the source.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = items


def read_via(source: Any, via: ReadVia | None) -> Any:  # noqa: ANN401
    """Return the source as it is to be read.

    Raises:
        TypeError: ``via`` is something else, or the source is not an iterable of that kind.
    """
    check_source(source)
    if via is None:
        return source
    if via is not THREADS:
        raise TypeError(f"via must be THREADS or None for a source, not {via!r}")
    if isinstance(source, AsyncIterable):
        raise TypeError(
            f"via=THREADS iterates over a plain iterable, and {type(source).__name__} is an async "
            "one, which is read in the event loop: omit via="
        )
    return InThread(source)


@final
class ThreadFeed:
    """Iterates over a plain source in a thread of its own.

    Args:
        source: what it iterates over.
        ahead: items that it draws before a worker asks for them.
        admit: of a run with a journal.
        failed: called with an error of the source, after which its items come to an end.
        make_waiter: as for its buffer.
        soon: calls in the loop.
    """

    def __init__(
        self,
        source: Iterable[Any],
        ahead: int,
        admit: Admit | None,
        failed: Callable[[Exception], None],
        make_waiter: Callable[[], Waiter],
        soon: CallSoon,
    ) -> None:
        self._source, self._admit, self._failed = source, admit, failed
        self._make_waiter, self._soon = make_waiter, soon
        self.buffer, self._scope = HandoverBuffer(ahead, 1, make_waiter), anyio.CancelScope()
        self._waiter: Waiter | None = None
        # How many items the thread may draw; 0: none any more.
        self._grants = SimpleQueue[int]()
        self._granted = 0  # of these, not in the buffer yet
        self._arrived = deque[Any]()
        self._error: BaseException | None = None
        self._called = self._stopped = self._over = False

    async def run(self) -> None:
        """Pass on all items; the source's iterator is closed then.

        **Cancelled**: waits for the thread, so for the source's next item if it is under way. The
        buffer stays open: the items so far are not all there are.
        """
        thread = Thread(target=thread_context().run, args=(self._read,), name="source", daemon=True)
        try:
            try:
                thread.start()
                with self._scope:
                    await self._pass_on()
            finally:
                self._stopped = True
                self._grants.put(0)
                if thread.ident is not None:
                    await self._until_over()  # noqa: ASYNC102 - shielded there
                    thread.join()
            self._move()
            if (error := self._error) is not None:
                problem = error if isinstance(error, Exception) else own_cancellation(error)
                if problem is None:
                    raise error
                self._failed(problem)
        finally:
            # The error's traceback refers to this object: a cycle.
            self._error = error = problem = None
            self._arrived.clear()
        self.buffer.writer_left()

    def stop(self) -> None:
        """Draw no more. Items that are drawn already are passed on."""
        self._stopped = True
        self._grants.put(0)
        self._scope.cancel()

    async def _pass_on(self) -> None:
        buffer = self.buffer
        while True:
            room = buffer.capacity + len(buffer.getters) - len(buffer.items) - self._granted
            if room > 0:
                self._granted += room
                self._grants.put(room)
            if not self._granted:
                await buffer.until_room()
                continue
            over = self._over
            if not over and not self._arrived:
                await self._until_woken()
            self._move()
            if over:
                return

    def _move(self) -> None:
        """Put what the thread has drawn into the buffer."""
        arrived, buffer, admit = self._arrived, self.buffer, self._admit
        while arrived:
            item = arrived.popleft()
            self._granted -= 1
            if admit is None or (item := admit(item)) is not DROPPED:
                buffer.items.append(item)
                buffer.wake_getter()

    async def _until_woken(self) -> None:
        self._waiter = self._make_waiter()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _until_over(self) -> None:
        with anyio.CancelScope(shield=True):
            while not self._over:
                try:
                    await self._until_woken()
                except asyncio.CancelledError:  # noqa: ASYNC103 - the first is raised
                    continue  # noqa: ASYNC104

    def _wake(self) -> None:
        # First: a thread that draws an item from here on calls again.
        self._called = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def _end(self) -> None:
        self._over = True
        self._wake()

    # ------------------------------------------------------- in the thread

    def _read(self) -> None:
        iterator: Any = None
        try:
            try:
                iterator = iter(self._source)
                self._draw(iterator)
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()
        except BaseException as error:  # noqa: ASYNC103, BLE001 - raised in the task
            self._error = error
        self._soon(self._end)

    def _draw(self, iterator: Any) -> None:  # noqa: ANN401
        end = object()
        while granted := self._grants.get():
            for _ in range(granted):
                if self._stopped or (item := next(iterator, end)) is end:
                    return
                self._arrived.append(item)
                del item
                if not self._called:
                    self._called = True
                    self._soon(self._wake)
