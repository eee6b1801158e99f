"""The errors of queues, pipelines and journals: each is a fact and a remedy."""

from __future__ import annotations

__all__ = ("ItemCancelledError", "JournalError", "QueueClosed", "QueueEmpty", "QueueFull")

import asyncio
import sys

from aconcur.errors import AconcurError

if sys.version_info >= (3, 13):
    _ShutDown = asyncio.QueueShutDown
else:
    _ShutDown = Exception


class QueueClosed(AconcurError, _ShutDown):  # noqa: N818 - as QueueShutDown
    """Raised by put after close, and by get when a closed queue is empty.

    From Python 3.13 on it is an ``asyncio.QueueShutDown`` too.
    """

    def __init__(self, operation: str) -> None:
        why = "after close()" if operation.startswith("put") else "and nothing is left"
        super().__init__(f"queue is closed: {operation}() {why}")


class QueueEmpty(AconcurError, asyncio.QueueEmpty):  # noqa: N818 - as asyncio's
    """Raised by get_nowait when there is nothing to get yet."""

    def __init__(self) -> None:
        super().__init__("nothing to get now: await get(), or try again later")


class QueueFull(AconcurError, asyncio.QueueFull):  # noqa: N818 - as asyncio's
    """Raised by put_nowait when there is no room now."""

    def __init__(self, maxsize: int) -> None:
        super().__init__(f"all {maxsize} places are taken: await put(), or try again later")


class ItemCancelledError(AconcurError):
    """Raised for an item whose function met a cancellation that nobody asked of the pipeline.

    What the function waited for was cancelled, not the function. The cancellation is the cause.
    """

    def __init__(self) -> None:
        super().__init__("what the function waited for was cancelled: catch CancelledError there")


class JournalError(AconcurError):
    """Raised when a run cannot go by its journal: its file, or a key, or a result is at fault.

    What was recorded before stays.
    """
