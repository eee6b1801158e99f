"""A run of a pipeline: its stages, joined and started, and its results.

Calls
    ``Pipeline.open`` describes; ``open_run`` makes a ``Run``, which builds its ``Stage``
    objects from the source to the last one, and starts a task for each worker
    (``_workers.work``). A worker takes from an input (``_sources``, or the ``Buffer`` of the
    stage before), calls the function (``_callers``) within its limit (``_timeouts``), asks
    ``_failures`` what becomes of an error, and appends the result to its own stage's
    ``Buffer``, where it wakes one worker of the next stage. The consumer takes from the last
    buffer. A journal follows the items through protocols that ``Run`` and ``Stage`` declare;
    neither imports it.

States of an item
    in the source → *inside* a stage (waits in front of it, is held or worked on by a worker, or
    waits for its turn in an ordered stage) → *out* (its result is inside the next stage, or
    buffered for the consumer), *filtered*, *failed* or *cancelled*. These four are final for
    the stage.

Invariants
    1. entered = out + filtered + failed + cancelled + inside, wherever another task can look.
    2. Back-pressure: a worker looks for room before it takes an item, so every result has a
       place and nothing waits outside of a buffer.
    3. One task for a worker and for the whole run, none for an item: starting and
       ending a task costs several µs, an item here 0.3 to 0.5.
    4. Every task is in one task group, in the block. Everything that was opened for the run is
       closed in the block: threads, generators, the share in a queue.
    5. A worker that ends by an error or a cancel does not close its buffer: the results so far
       would look like all there are.

How a run ends
    * All workers have come to the end of their inputs, and the consumer takes the last result.
    * The consumer leaves the block: all tasks are cancelled.
    * A stage fails, or the machinery that calls its function, or the journal: a task raises,
      and the task group cancels the rest, the consumer included.
    * A source fails: its items come to an end there. When the consumer has taken all that came
      of them, the error is raised in the task group as above.

Why not the obvious way
    Queues of asyncio between workers cost three times as much for the same work, because each
    put and get may wake a task (``python -m benchmarks.pipeline``); and an error in one worker
    leaves the others waiting, unless each of them is told. A task for each item, limited by a
    semaphore, draws all items at once and keeps no order.
"""

# ruff: noqa: SLF001 - open_run() makes a Run and starts it

from __future__ import annotations

__all__ = ("Background", "Run", "forget_failures", "open_run")

import time
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Sequence,
    Sized,
)
from concurrent.futures import Executor
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeAlias, TypeVar, final

import anyio

from aconcur._core.wait_queue import (
    WaitQueue,
    get_call_soon_threadsafe,
    wait_in,
    waiter_factory,
)
from aconcur.pipeline._buffer import Buffer
from aconcur.pipeline._callers import (
    ThreadTeam,
    in_executor,
    in_pool,
    in_threads,
    list_results,
    size_of,
)
from aconcur.pipeline._errors import Failure, forget_frames
from aconcur.pipeline._queue.queue import Queue
from aconcur.pipeline._report import PipelineReport
from aconcur.pipeline._sources.source import (
    AHEAD,
    AsyncFeed,
    Input,
    QueueSource,
    TimedIterator,
)
from aconcur.pipeline._sources.thread import InThread, ThreadFeed
from aconcur.pipeline._spec import THREADS, Fed, Source, Spec
from aconcur.pipeline._stage import Call, Histogram, Limit, Sampled, Stage, StageTracker
from aconcur.pipeline._timeouts import Deadlines
from aconcur.pipeline._workers import awaiting, work

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

Out = TypeVar("Out")
Background: TypeAlias = "Callable[[Run[Any]], Coroutine[Any, Any, None]]"


class RunTracker(Protocol):
    """Follows the items of a run through its stages, for a journal."""

    @property
    def skipped(self) -> int:
        """Items of the source that were left out."""

    def admit(self, item: Any) -> Any:  # noqa: ANN401
        """Return what carries an item of the source; DROPPED if it is to be left out."""

    def admitted(self, items: Iterable[Any]) -> Generator[Any, None, None]:
        """Yield what carries each item."""

    def of_stage(self, stage: Stage, *, last: bool) -> StageTracker:
        """Return the tracker of a stage."""


@final
class Run(Generic[Out]):
    """A run of a :class:`Pipeline`, made by its ``open()``: iterate over it for the results.

    Several tasks may iterate at once; each result goes to one of them.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        source: Source[Any] | InThread,
        ahead: int | None,
        total: int | None,
        tracker: RunTracker | None,
        opened: ExitStack,
    ) -> None:
        self._stages: list[Stage] = []
        self._chain: list[Stage] = []  # without the stages of merged pipelines
        self._tracker = tracker
        # The length of a queue is not the number of its items to come.
        items = source.items if isinstance(source, InThread) else source
        sized = isinstance(items, Sized) and not isinstance(items, AsyncIterable)
        if total is None and sized:
            total = len(items)  # type: ignore[arg-type]
        self._total = total
        self._failures: list[Failure] = []
        self._feeds: list[AsyncFeed | ThreadFeed] = []
        self._group: TaskGroup | None = None
        self._source_errors: list[Exception] = []
        self._drawing = Histogram()  # how long sources hold the event loop
        self._until_end = WaitQueue()
        self._started = time.monotonic()
        self._ended: float | None = None
        self._cut_short = False
        self._make_waiter = waiter_factory()
        self._results = self._build(specs, source, ahead, opened)
        opened.callback(self._end)

    @property
    def failures(self) -> Sequence[Failure]:
        """The failed items of stages with ``on_error=COLLECT``, and the one that ended the run."""
        return tuple(self._failures)

    @property
    def report(self) -> PipelineReport:
        """The account of this moment; after the block, of the whole run.

        Cost: about 10 µs a stage.
        """
        seconds = (self._ended or time.monotonic()) - self._started
        return PipelineReport(
            tuple([stage.report() for stage in self._stages]),
            seconds=seconds,
            recorded=(recorded := self._tracker.skipped if self._tracker else 0),
            finished=recorded + _finished(self._chain),
            total=self._total,
            ended=self._ended is not None,
            failures=self.failures,
            source_held=min(1.0, self._drawing.held / seconds) if seconds > 0 else 0.0,
            source_longest_hold=self._drawing.longest_hold,
        )

    def drain(self) -> None:
        """Draw no more from the source; the items inside go on to the end, as iteration does."""
        for feed in self._feeds:
            feed.stop()
        for stage in self._stages:
            stage.stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Out:
        """Return the next result.

        **Cancelled**: no result was taken.

        Raises:
            RuntimeError: the block was left before all results were taken.
        """
        results = self._results
        if not results.items and (results.closed or not await results.until_item()):
            if self._source_errors:
                await self._raise_source_errors()
            self._check_complete()
            raise StopAsyncIteration
        item: Out = results.items.popleft()
        if results.putters and not results.putter_woken:
            results.wake_putter()
        return item

    async def take(self) -> list[Out]:
        """Return all results that are there, at least one; none at the end.

        **Cancelled**: no result was taken.

        Raises:
            RuntimeError: the block was left before all results were taken.
        """
        results = self._results
        if not results.items and (results.closed or not await results.until_item()):
            if self._source_errors:
                await self._raise_source_errors()
            self._check_complete()
            return []
        taken = list(results.items)
        results.items.clear()
        if results.putters:
            results.wake_putter()
        return taken

    async def _raise_source_errors(self) -> None:
        """Raise what the sources raised, after all results, as errors of the run."""
        if self._group is not None:
            while self._source_errors:
                self._group.start_soon(_raise_in_task, self._source_errors.pop(0))
            await wait_in(self._until_end)

    def _check_complete(self) -> None:
        if self._cut_short:
            raise RuntimeError(
                "the block of this run was left before all results were taken, and the rest was "
                "dropped: iterate inside the block"
            )

    def __repr__(self) -> str:
        stages = " | ".join([stage.status() for stage in self._stages])
        ended = ", ended" if self._ended else ""
        return f"<Run {stages} → {len(self._results.items)}{ended}>"

    # Called by open_run().

    def _build(
        self,
        specs: Sequence[Spec],
        source: Source[Any] | InThread,
        ahead: int | None,
        stack: ExitStack,
        *,
        merged: bool = False,
    ) -> Buffer:
        """Make the stages, those of merged pipelines too; return the last one's output."""
        if not specs:
            raise ValueError("the pipeline has no stages: add one to flow(), such as map()")
        inputs = [self._input(source, specs[0], 0, ahead, stack)]
        limits: list[Limit] = []
        for number, spec in enumerate(specs, 1):
            for place, other in enumerate(spec.others, 1):
                if isinstance(other, Fed):
                    fed = self._build(other.specs, other.source, other.ahead, stack, merged=True)
                    inputs.append(fed)
                else:
                    inputs.append(self._input(other, spec, place, ahead, stack))
            stage = Stage(spec, inputs, self._failures.append, self._make_waiter, limits)
            limits = self._limits(stage, specs[number:], limits, stack)
            stage.input_failed = partial(self._source_failed, spec)
            for place, one in enumerate(inputs):
                if isinstance(one, TimedIterator):
                    one.stand_in(inputs, place)
            if self._tracker is not None:
                last = number == len(specs) and not merged
                stage.tracker = self._tracker.of_stage(stage, last=last)
            if spec.calls:
                if spec.options.resource is None and (
                    not spec.is_async or spec.options.context == "item"
                ):
                    stage.call = _reachable(stage, stack)
                if spec.options.timeout is not None:
                    stage.deadlines = Deadlines(spec.options.timeout)
            self._stages.append(stage)
            if not merged:
                self._chain.append(stage)
            inputs = [stage.output]
        return stage.output

    def _limits(
        self, stage: Stage, following: Sequence[Spec], before: list[Limit], stack: ExitStack
    ) -> list[Limit]:
        """Return what admits the attempts of the next stage, because of the rate limits before."""
        limit = stage.spec.limit
        if limit is None:
            return []
        stage.limiter = stack.enter_context(limit.lent())
        if not _calls_first(following):
            if limit.weight is not None:
                stage.weigh = limit.weight
            return []
        stage.weigh = _weightless
        return [*before, Limit(stage.limiter, limit.weight, stage)]

    def _input(
        self,
        source: Source[Any] | InThread,
        spec: Spec,
        number: int,
        ahead: int | None,
        stack: ExitStack,
    ) -> Input:
        """Return what the workers of a stage take from; closed with the stack."""
        tracker = self._tracker
        admit = None if tracker is None else tracker.admit
        if isinstance(source, Queue):
            stack.enter_context(source.consumer())
            return QueueSource(source, admit)
        if isinstance(source, AsyncIterable | InThread):
            if ahead is None:
                # buffer=1 asks that nothing waits anywhere.
                ahead = 0 if spec.options.buffer == 1 else AHEAD
            failed, make_waiter = partial(self._source_failed, spec, number), self._make_waiter
            feed: AsyncFeed | ThreadFeed
            if isinstance(source, InThread):
                soon = get_call_soon_threadsafe()
                feed = ThreadFeed(source.items, ahead, admit, failed, make_waiter, soon)
            else:
                choose = Sampled(anext, self._drawing).choose
                feed = AsyncFeed(source, ahead, admit, failed, make_waiter, choose)
            self._feeds.append(feed)
            return feed.buffer
        try:
            items = iter(source)
        except Exception as error:  # noqa: BLE001 - raised as what its items raise
            items = iter(())
            self._source_failed(spec, number, error)
        if isinstance(items, Generator):
            stack.callback(items.close)
        if tracker is not None:
            items = tracker.admitted(items)
            stack.callback(items.close)
        return TimedIterator(items, self._drawing.add_hold)

    def _source_failed(self, spec: Spec, number: int, error: Exception) -> None:
        merged = spec.kind == "merge" and number
        name = f"source {number} of stage {spec.name!r}" if merged else "the pipeline's source"
        error.add_note(f"raised by {name}, after the items before it")
        self._source_errors.append(error)

    def _end(self) -> None:
        self._ended = time.monotonic()
        for stage in self._stages:
            stage.give_up()
        # Feeds and stages refer to this run: a cycle, which would keep the results.
        self._feeds.clear()
        # For tasks outside of the block that iterate, if there are any.
        self._cut_short = bool(self._results.items) or not self._results.closed
        self._results.closed = True
        self._chain[-1].drop_results()
        for waiting in (self._results.getters, self._until_end):
            if waiting:
                waiting.wake_all()


def forget_failures(run: Run[Any]) -> None:
    """Keep no failure: an error that ends a run refers to its frames, and those to the run."""
    run._failures.clear()


def _calls_first(specs: Sequence[Spec]) -> bool:
    """Return whether a function is called by the first of these stages, rate limits aside."""
    return next((spec.calls for spec in specs if spec.limit is None), False)


def _weightless(_: object) -> float:
    return 0.0


def _finished(chain: list[Stage]) -> int:
    """Return how many items of the source are finished, with all that they became.

    Where one item becomes several or several become one it is an estimate: of the items that left
    a stage, the share is finished that the next stages have finished of theirs.
    """
    received = finished = 0
    for stage in reversed(chain):
        left = stage.out * finished // received if received else stage.out
        finished = stage.filtered + stage.failed + left
        received = finished + stage.out - left + stage.cancelled + stage.inside
    return finished


async def _raise_in_task(error: Exception) -> None:  # noqa: ASYNC124 - a task group starts it
    raise error


def _reachable(stage: Stage, stack: ExitStack) -> Call:
    """Return the stage's function as one to await, wherever it runs."""
    spec = stage.spec
    if spec.via is None:
        return awaiting(spec)
    stage.executor_size = size_of(spec.via)
    function = spec.function
    if spec.kind == "flat_map" and in_threads(spec.via):
        function = partial(list_results, function)
    measures = stage.histogram.add, stage.queueing.add, stage.not_begun
    if spec.via is THREADS:
        soon, workers = get_call_soon_threadsafe(), spec.options.workers
        each = spec.options.context != "worker"
        team = ThreadTeam(function, workers, soon, spec.name, each, *measures)
        stack.callback(team.close)
        return team.call
    if isinstance(spec.via, Executor):
        each = spec.options.context != "worker"
        soon = get_call_soon_threadsafe()
        return in_executor(spec.via, function, soon, *measures, each=each)
    return in_pool(spec.via, function)


@asynccontextmanager
async def open_run(
    specs: Sequence[Spec],
    source: Source[Any] | InThread,
    ahead: int | None = None,
    *,
    unwrap: bool,
    total: int | None = None,
    tracker: RunTracker | None = None,
    background: Background | None = None,
) -> AsyncIterator[Run[Any]]:
    """Start a run; end it with the block.

    Args:
        specs: its stages.
        source: of its items.
        ahead: items that are drawn ahead from an async source; None: 16, or 0 with ``buffer=1``.
        unwrap: raise a single error bare.
        total: how many items the source has, if its length does not tell.
        tracker: of its journal.
        background: runs in a task beside the stages, and is cancelled at the end.
    """
    block_error: BaseException | None = None
    bare: BaseException | None = None
    run: Run[Any] | None = None
    try:
        with ExitStack() as opened:
            run = Run(specs, source, ahead, total, tracker, opened)
            async with anyio.create_task_group() as group:
                run._group = group
                _start(run, group, background)
                try:
                    yield run
                except anyio.get_cancelled_exc_class() as error:
                    forget_frames(error)
                    raise
                except BaseException as error:
                    block_error = error
                    raise
                finally:
                    run._group = None
                    group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        bare = _only(errors)
        if bare is None or not (unwrap or bare is block_error):
            bare = None
            raise
    finally:
        # This frame is in the error's traceback, and on Python 3.13 refers to its caller's frame,
        # which has the error: a cycle. It must not keep the items of the run.
        del block_error, run
    if bare is not None:
        # Not raised in the handler above, and with the context that it had: it would refer to the
        # group or the cancellation, and these to it.
        context = bare.__context__
        try:
            raise bare
        finally:
            bare.__context__ = context
            del bare, context


def _start(run: Run[Any], group: TaskGroup, background: Background | None) -> None:
    for feed in run._feeds:
        group.start_soon(feed.run)
    if background is not None:
        group.start_soon(background, run)
    for stage in run._stages:
        if stage.deadlines is not None:
            group.start_soon(stage.deadlines.watch)
        for number in range(stage.concurrency):
            group.start_soon(work, stage, number, name=stage.spec.name)


def _only(errors: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the error in the group, if it is a single one, even if several tasks raised it."""
    found: BaseException | None = None
    for error in errors.exceptions:
        leaf = _only(error) if isinstance(error, BaseExceptionGroup) else error
        if leaf is None or found not in (None, leaf):
            return None
        found = leaf
    return found
