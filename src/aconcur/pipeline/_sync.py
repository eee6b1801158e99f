"""The results of a run as a plain iterator: the run has a loop and a thread of its own."""

from __future__ import annotations

__all__ = ("iterate",)

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeAlias, TypeVar

import anyio

from aconcur._core.loops import current_loop, thread_context
from aconcur._core.wait_queue import get_call_soon_threadsafe
from aconcur.pipeline._queue.queue import Queue
from aconcur.pipeline._queue.thread_end import BATCH, ThreadEnd
from aconcur.pipeline._run import Run

T = TypeVar("T")
Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Run[T]]]


def iterate(opened: Opened[T], backend: str) -> Iterator[T]:
    """Yield the results of a run that is opened in a new thread."""
    if current_loop() is not None:
        raise RuntimeError("iter_sync() would block the event loop here: use open() and async for")
    side = _LoopSide(opened)
    loop = Thread(
        target=thread_context().run, args=(side.run, backend), name="iter_sync", daemon=True
    )
    loop.start()
    stop: Callable[[], object] | None = None
    try:
        begun = side.begun.get()
        if begun is not None:
            end, stop = begun
            yield from end
    finally:
        if stop is not None:
            stop()
        loop.join()
    if side.error is not None:
        raise side.error


class _LoopSide(Generic[T]):
    """The half in the thread: it ends when it is told to, however the run ended."""

    def __init__(self, opened: Opened[T]) -> None:
        self._opened = opened
        self.begun = SimpleQueue[tuple[ThreadEnd[T], Callable[[], object]] | None]()
        self.error: BaseException | None = None

    def run(self, backend: str) -> None:
        try:
            anyio.run(self._main, backend=backend)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - raised in the other thread
            self.error = error
        self.begun.put(None)

    async def _main(self) -> None:
        queue = Queue[T](BATCH)
        soon = get_call_soon_threadsafe()
        with anyio.CancelScope() as scope, queue.from_thread() as end:
            self.begun.put((end, partial(soon, scope.cancel)))
            try:
                await self._pass_on(queue)
            except Exception as error:  # noqa: BLE001 - raised when the results before it are used
                self.error = error
            await anyio.sleep_forever()

    async def _pass_on(self, queue: Queue[T]) -> None:
        with queue.producer():
            async with self._opened() as run:
                while taken := await run.take():
                    await queue.put_many(taken)
