"""The thread that writes a journal, and the way to it from the loop."""

from __future__ import annotations

__all__ = ("Writer", "writing")

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final, TypeAlias, TypeVar, final

import anyio

from aconcur._core.shielded import run_in_thread_to_end
from aconcur._core.wait_queue import WaitQueue, get_call_soon_threadsafe, wait_in
from aconcur.pipeline._errors import JournalError
from aconcur.pipeline._journal.store import (
    Done,
    Failed,
    JournalFile,
    Parts,
    claimed,
    opened,
    sqlite_errors,
)

T = TypeVar("T")
Record: TypeAlias = Done | Failed | Parts
# Seconds for which records are gathered for one commit, which costs about 0.1 ms. A guess at how
# much work a kill may waste.
_GATHER: Final = 0.02
# Records that may wait to be written. A guess: these are written in about 50 ms.
_WAITING: Final = 20_000


@final
class Writer:
    """Writes records in a thread; made by :func:`writing`."""

    def __init__(self, failed: Callable[[], object]) -> None:
        self._failed, self._soon = failed, get_call_soon_threadsafe()
        self._records = deque[Record]()
        self._added, self._stop = Event(), Event()
        self._waiting = WaitQueue()
        self.error: Exception | None = None

    def add(self, record: Record) -> None:
        """Take a record; it is written soon."""
        self._records.append(record)
        if not self._added.is_set():
            self._added.set()

    @property
    def behind(self) -> bool:
        """Whether so many records wait to be written that the run should wait."""
        return len(self._records) > _WAITING

    async def until_room(self) -> None:
        """Wait while too many records wait to be written.

        **Cancelled**: there may still be too many.
        """
        while self.behind and self.error is None:
            await wait_in(self._waiting)

    def serve(self, file: JournalFile) -> None:
        """Write, in the thread, until stop() was called and no record is left."""
        try:
            while not self._stop.is_set() or self._records:
                self._added.wait()
                self._stop.wait(_GATHER)
                # First: a record that is added from here on sets it again.
                self._added.clear()
                records = [self._records.popleft() for _ in range(len(self._records))]
                file.write(records)
                if self._waiting:
                    self._soon(self._waiting.wake_all)
        except Exception as error:  # noqa: BLE001 - raised where the block ends
            self.error = error
            self._soon(self._give_up)

    def _give_up(self) -> None:
        self._waiting.wake_all()
        self._failed()

    def stop(self) -> None:
        """Let the thread end when all records are written."""
        self._stop.set()
        self._added.set()


@asynccontextmanager
async def writing(
    path: Path, begin: Callable[[JournalFile], T], failed: Callable[[], object]
) -> AsyncIterator[tuple[Writer, T]]:
    """Open a journal to write to it.

    Args:
        path: of the file, which is created if it does not exist.
        begin: called with the open file, in a thread; its result is yielded.
        failed: called in the loop when a record could not be written.

    **Cancelled**: all records are written before the block is left.

    Raises:
        JournalError: the file could not be opened, or not all records written.
    """
    writer, limiter, stack = Writer(failed), anyio.CapacityLimiter(1), ExitStack()
    begun: list[T] = []

    def open_file() -> None:
        try:
            stack.enter_context(claimed(path))
            file = stack.enter_context(opened(path, make=True))
            with sqlite_errors(path):
                begun.append(begin(file))
            file.stay()
            thread = Thread(target=writer.serve, args=(file,), name="journal", daemon=True)
            stack.callback(thread.join)
            stack.callback(writer.stop)
            thread.start()
        except JournalError as error:
            writer.error = error

    try:
        await run_in_thread_to_end(open_file, limiter)
        if writer.error is None:
            yield writer, begun[0]
    except BaseException as error:
        await run_in_thread_to_end(stack.close, limiter)  # noqa: ASYNC102 - shields itself
        if writer.error is not None:
            error.add_note(f"besides, not all of it was recorded: {writer.error}")
        raise
    else:
        await run_in_thread_to_end(stack.close, limiter)
    if writer.error is not None:
        raise writer.error
