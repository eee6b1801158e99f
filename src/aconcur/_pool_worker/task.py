"""The task that runs in this worker, and how a cancellation reaches it.

The pool writes the number of the cancelled job on the page and sends SIGTERM. The signal's handler
raises TaskCancelled in the task and notes on the page that the task has heard it.

One signal is not enough. Python calls handlers between two bytecodes: a signal that arrives just
before a system call that blocks is handled when that has returned. And an exception that is raised
in a ``__del__`` or in the callback of a weak reference goes to ``sys.unraisablehook`` instead of
ending the task; the hook that is installed here takes the note back. So the pool sends the signal
again until the note is there, and the task hears it once.
"""

from __future__ import annotations

__all__ = (
    "CANCELLED",
    "CELLS",
    "CHUNK",
    "FROM",
    "HEARD",
    "INTERRUPTED",
    "SINCE",
    "UNTIL",
    "Page",
    "Task",
    "TaskCancelled",
    "call_uninterrupted",
    "coroutine_s_chunk",
    "heed_interrupts",
    "position",
)

import _signal as signal  # type: ignore[import-not-found]
import os
import sys
from _thread import get_ident
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, TypeAlias

Page: TypeAlias = memoryview
"""64-bit integers, shared with the pool. Each side writes its own cells."""

# The pool writes the first two cells.
CANCELLED: Final = 0  # the number of the job whose chunk is to be given up
INTERRUPTED: Final = 1  # the number of the job whose task SIGTERM interrupts
CHUNK: Final = 2  # the number of the chunk in work
FROM: Final = 3  # the first of its items in work
UNTIL: Final = 4  # the item after the last one in work
SINCE: Final = 5  # when work on them began, in ns of the monotonic clock; 0: not measured
HEARD: Final = 6  # the number of the chunk whose task was interrupted
CELLS: Final = 7


class TaskCancelled(BaseException):
    """Raised inside a task that is cancelled or exceeds its timeout, if it has a grace period.

    The task may clean up in ``finally`` blocks. Its worker is killed when the grace period ends.
    """


class Task:
    """The work on a chunk, in a worker of a pool or in an executor's thread or process.

    Args:
        page: the shared page.
        job: the number of the map or call.
        chunk: the number of the chunk.
    """

    __slots__ = ("chunk", "hears", "job", "page", "results")

    def __init__(self, page: Page, job: int, chunk: int) -> None:
        self.page: Page = page
        self.job: int = job
        self.chunk: int = chunk
        self.results: list[Any] = []
        """Of its items, from the first on."""
        self.hears: bool = False
        """Whether TaskCancelled may be raised at this moment."""

    def begin(self) -> None:
        """Let a cancellation of the pool interrupt it. Called in the main thread."""
        global _running
        _running = self

    def end(self) -> None:
        """Let no cancellation interrupt it any more."""
        global _running
        _running = None

    @property
    def is_interrupted(self) -> bool:
        """Whether the pool wants it to end."""
        return bool(self.page[INTERRUPTED] == self.job)

    def interrupt(self) -> None:
        """Raise TaskCancelled, for the only time."""
        self.hears = False
        self.page[HEARD] = self.chunk
        raise TaskCancelled


coroutine_s_chunk: Final = ContextVar("coroutine_s_chunk", default=0)
"""The number of the chunk whose coroutine runs in this context; 0: none."""

_running: Task | None = None
_main = 0


def position() -> tuple[int, int]:
    """Return the number of the chunk whose function runs here, and the position of its item."""
    if number := coroutine_s_chunk.get():
        return number, 0
    task = _running
    return (0, 0) if task is None else (task.chunk, len(task.results))


def heed_interrupts(page: Page) -> None:
    """Handle SIGTERM, and exceptions of its handler that are lost. Called in the main thread."""
    global _main, _running
    _main, _running = get_ident(), None  # in a fork that a task has made

    def on_signal(number: int, _frame: object) -> None:
        task = _running
        if task is not None and task.is_interrupted:
            if task.hears:
                task.interrupt()
        elif not page[INTERRUPTED]:  # another program has sent the signal
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        # Otherwise the task has just ended.

    def on_unraisable(lost: Any) -> None:  # noqa: ANN401 - sys.UnraisableHookArgs
        task = _running
        if task is None or lost.exc_type is not TaskCancelled:
            before(lost)
            return
        task.hears = True
        page[HEARD] = 0

    before, sys.unraisablehook = sys.unraisablehook, on_unraisable
    signal.signal(signal.SIGTERM, on_signal)


def call_uninterrupted(function: Callable[[], None]) -> None:
    """Call a function that must not stop half-way. It may be called in other threads as well."""
    task = _running
    if task is None or not task.hears or get_ident() != _main:  # no handler runs in other threads
        function()
        return
    task.hears = False
    try:
        function()
    finally:
        task.hears = True
    if task.is_interrupted:
        task.interrupt()
