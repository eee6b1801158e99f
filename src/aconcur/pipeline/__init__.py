"""Work that passes from task to task: a queue that can be closed.

:class:`Queue` has asyncio.Queue's names, can be closed, and runs on asyncio and trio.
"""

from __future__ import annotations

__all__ = (
    "Producer",
    "Queue",
    "QueueClosed",
    "QueueEmpty",
    "QueueFull",
    "QueueStatistics",
    "ThreadEnd",
)

from aconcur.pipeline._errors import QueueClosed as QueueClosed
from aconcur.pipeline._errors import QueueEmpty as QueueEmpty
from aconcur.pipeline._errors import QueueFull as QueueFull
from aconcur.pipeline._queue import Producer as Producer
from aconcur.pipeline._queue import Queue as Queue
from aconcur.pipeline._queue import QueueStatistics as QueueStatistics
from aconcur.pipeline._thread_end import ThreadEnd as ThreadEnd
