"""The errors of queues, pipelines and journals, and the record of an item that failed.

Each error states what is wrong and what to do.
"""

from __future__ import annotations

__all__ = (
    "Failure",
    "ItemCancelledError",
    "JournalError",
    "QueueClosed",
    "QueueEmpty",
    "QueueFull",
    "ServiceClosed",
    "forget_frames",
    "own_cancellation",
)

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from aconcur._core.wait_queue import in_trio
from aconcur.errors import AconcurError

if sys.version_info >= (3, 13):
    _ShutDown = asyncio.QueueShutDown
else:
    _ShutDown = Exception


@dataclass(frozen=True, slots=True)
class Failure:
    """An item on which a stage failed."""

    item: Any
    """The item as the stage received it."""
    stage: str
    """The stage's name."""
    error: BaseException
    """The exception of the last attempt. Its traceback has all lines, but once the run has handled
    the failure no local variables: those would keep every failed item's data in memory."""
    attempts: int
    """How often it was tried, at least once."""


class QueueClosed(AconcurError, _ShutDown):  # noqa: N818 - as QueueShutDown
    """Raised by put() after close() or without a consumer, and by get() on a closed, empty queue.

    From Python 3.13 on it is an ``asyncio.QueueShutDown`` too.

    Args:
        operation: the method that was called.
        abandoned: whether it is refused because the last consumer has left.
    """

    def __init__(self, operation: str, *, abandoned: bool = False) -> None:
        if abandoned:
            text = f"{operation}() after the last consumer left: the item would never be taken"
        elif operation.startswith("put"):
            text = f"queue is closed: {operation}() after close()"
        else:
            text = f"queue is closed: {operation}() and nothing is left"
        super().__init__(text)


class QueueEmpty(AconcurError, asyncio.QueueEmpty):  # noqa: N818 - as asyncio's
    """Raised by get_nowait, or get with a timeout, when no item is there."""

    def __init__(self) -> None:
        super().__init__("the queue is empty now: await get(), or try again later")


class QueueFull(AconcurError, asyncio.QueueFull):  # noqa: N818 - as asyncio's
    """Raised by put_nowait, or put with a timeout, when there is no room."""

    def __init__(self, maxsize: int) -> None:
        super().__init__(f"all {maxsize} slots are taken: await put(), or try again later")


class ServiceClosed(AconcurError):  # noqa: N818 - as QueueClosed
    """Raised by :meth:`Service.submit` when the item cannot be worked on, or not any more.

    The item may have passed some of the stages.
    """


class ItemCancelledError(AconcurError):
    """The error of an item whose function raised CancelledError although the run goes on.

    Something that the function awaited was cancelled, such as a task or a future. The cancellation
    is the cause. :class:`Retry` does not try such an item again, unless ``on`` names this error.
    """

    def __init__(self) -> None:
        super().__init__(
            "the function raised CancelledError, but its run was not cancelled: catch it where "
            "the function awaits what was cancelled"
        )


def own_cancellation(error: BaseException) -> ItemCancelledError | None:
    """Return the error of a function that raised CancelledError itself; None if it is cancelled.

    On asyncio a task that is cancelled, by a scope or natively, says so in ``cancelling()``. On
    trio ``asyncio.CancelledError`` never cancels a task.
    """
    if not isinstance(error, asyncio.CancelledError):
        return None
    task = None if in_trio() else asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        return None
    problem = ItemCancelledError()
    problem.__cause__ = error
    return problem


def forget_frames(error: BaseException) -> None:
    """Free what a cancellation refers to: the frames of a call, and the error that it came after.

    Task groups keep a cancellation in a cycle, and with it every item under work.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None


class JournalError(AconcurError):
    """Raised when a run cannot use its journal, because of the file, a key or a result.

    Earlier records stay.
    """
