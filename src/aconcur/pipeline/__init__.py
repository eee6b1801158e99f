"""Queues that can be closed, and pipelines of stages, on asyncio and trio.

:class:`Queue` has asyncio.Queue's names, can be closed at either end, and lets threads take part.
:class:`Pipeline`, made by :func:`stage`, sends items through stages of workers: coroutines, threads
or any executor, with bounded buffers and an account of every item. A :class:`Journal` makes a run
resumable.
"""

from __future__ import annotations

__all__ = (
    "COLLECT",
    "RAISE",
    "SKIP",
    "THREADS",
    "Consumer",
    "Failure",
    "Fed",
    "ItemCancelledError",
    "ItemContext",
    "Journal",
    "JournalError",
    "JournalFailure",
    "JournalStatistics",
    "KeyedLimiter",
    "Latency",
    "Limiter",
    "LimiterStatistics",
    "OnError",
    "Pipeline",
    "PipelineReport",
    "Producer",
    "ProgressDisplay",
    "ProgressLines",
    "Queue",
    "QueueClosed",
    "QueueEmpty",
    "QueueFull",
    "QueueStatistics",
    "Retry",
    "Run",
    "Runner",
    "Service",
    "ServiceClosed",
    "StageOptions",
    "StageReport",
    "ThreadEnd",
    "Threads",
    "Via",
    "flow",
    "retry_after",
    "stage",
)

from aconcur.pipeline._errors import Failure as Failure
from aconcur.pipeline._errors import ItemCancelledError as ItemCancelledError
from aconcur.pipeline._errors import JournalError as JournalError
from aconcur.pipeline._errors import QueueClosed as QueueClosed
from aconcur.pipeline._errors import QueueEmpty as QueueEmpty
from aconcur.pipeline._errors import QueueFull as QueueFull
from aconcur.pipeline._errors import ServiceClosed as ServiceClosed
from aconcur.pipeline._journal.journal import Journal as Journal
from aconcur.pipeline._journal.journal import JournalFailure as JournalFailure
from aconcur.pipeline._journal.journal import JournalStatistics as JournalStatistics
from aconcur.pipeline._limiter import KeyedLimiter as KeyedLimiter
from aconcur.pipeline._limiter import Limiter as Limiter
from aconcur.pipeline._limiter import LimiterStatistics as LimiterStatistics
from aconcur.pipeline._pipeline import Pipeline as Pipeline
from aconcur.pipeline._pipeline import flow as flow
from aconcur.pipeline._pipeline import stage as stage
from aconcur.pipeline._queue.queue import Consumer as Consumer
from aconcur.pipeline._queue.queue import Producer as Producer
from aconcur.pipeline._queue.queue import Queue as Queue
from aconcur.pipeline._queue.queue import QueueStatistics as QueueStatistics
from aconcur.pipeline._queue.thread_end import ThreadEnd as ThreadEnd
from aconcur.pipeline._report import Latency as Latency
from aconcur.pipeline._report import PipelineReport as PipelineReport
from aconcur.pipeline._report import StageReport as StageReport
from aconcur.pipeline._retry import Retry as Retry
from aconcur.pipeline._retry import retry_after as retry_after
from aconcur.pipeline._run import Run as Run
from aconcur.pipeline._service import Service as Service
from aconcur.pipeline._shown.progress import ProgressDisplay as ProgressDisplay
from aconcur.pipeline._shown.progress import ProgressLines as ProgressLines
from aconcur.pipeline._spec import COLLECT as COLLECT
from aconcur.pipeline._spec import RAISE as RAISE
from aconcur.pipeline._spec import SKIP as SKIP
from aconcur.pipeline._spec import THREADS as THREADS
from aconcur.pipeline._spec import Fed as Fed
from aconcur.pipeline._spec import ItemContext as ItemContext
from aconcur.pipeline._spec import OnError as OnError
from aconcur.pipeline._spec import Runner as Runner
from aconcur.pipeline._spec import StageOptions as StageOptions
from aconcur.pipeline._spec import Threads as Threads
from aconcur.pipeline._spec import Via as Via
