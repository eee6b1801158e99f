"""Work that passes from task to task: a queue that can be closed, and pipelines of stages.

:class:`Queue` has asyncio.Queue's names, can be closed, and lets threads take part.
:class:`Pipeline`, made by :func:`stage`, sends items through stages of workers: coroutines,
threads or any executor, bounded everywhere, every item accounted for. A :class:`Journal` makes a
run resumable. All run on asyncio and trio.
"""

from __future__ import annotations

__all__ = (
    "COLLECT",
    "RAISE",
    "SKIP",
    "THREADS",
    "Failure",
    "Fed",
    "ItemCancelledError",
    "Journal",
    "JournalError",
    "JournalFailure",
    "JournalStatistics",
    "Latency",
    "OnError",
    "Pipeline",
    "PipelineReport",
    "Producer",
    "Progress",
    "ProgressLines",
    "Queue",
    "QueueClosed",
    "QueueEmpty",
    "QueueFull",
    "QueueStatistics",
    "Retry",
    "Run",
    "StageOptions",
    "StageReport",
    "ThreadEnd",
    "Threads",
    "Via",
    "stage",
)

from aconcur.pipeline._errors import ItemCancelledError as ItemCancelledError
from aconcur.pipeline._errors import JournalError as JournalError
from aconcur.pipeline._errors import QueueClosed as QueueClosed
from aconcur.pipeline._errors import QueueEmpty as QueueEmpty
from aconcur.pipeline._errors import QueueFull as QueueFull
from aconcur.pipeline._journal import Journal as Journal
from aconcur.pipeline._journal import JournalFailure as JournalFailure
from aconcur.pipeline._journal import JournalStatistics as JournalStatistics
from aconcur.pipeline._latency import Latency as Latency
from aconcur.pipeline._options import COLLECT as COLLECT
from aconcur.pipeline._options import RAISE as RAISE
from aconcur.pipeline._options import SKIP as SKIP
from aconcur.pipeline._options import THREADS as THREADS
from aconcur.pipeline._options import Failure as Failure
from aconcur.pipeline._options import Fed as Fed
from aconcur.pipeline._options import OnError as OnError
from aconcur.pipeline._options import Retry as Retry
from aconcur.pipeline._options import StageOptions as StageOptions
from aconcur.pipeline._options import Threads as Threads
from aconcur.pipeline._options import Via as Via
from aconcur.pipeline._pipeline import Pipeline as Pipeline
from aconcur.pipeline._pipeline import stage as stage
from aconcur.pipeline._progress import Progress as Progress
from aconcur.pipeline._progress import ProgressLines as ProgressLines
from aconcur.pipeline._queue import Queue as Queue
from aconcur.pipeline._queue_parts import Producer as Producer
from aconcur.pipeline._queue_parts import QueueStatistics as QueueStatistics
from aconcur.pipeline._report import PipelineReport as PipelineReport
from aconcur.pipeline._report import StageReport as StageReport
from aconcur.pipeline._run import Run as Run
from aconcur.pipeline._thread_end import ThreadEnd as ThreadEnd
