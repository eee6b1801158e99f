"""A run of a pipeline: its stages, joined and started, and what comes out."""

# ruff: noqa: SLF001 - running() is the maker of Run, whose parts are nobody else's

from __future__ import annotations

__all__ = ("Beside", "Run", "running")

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Sequence, Sized
from concurrent.futures import Executor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar, final

import anyio

from aconcur._core.wait_queue import CallSoon, get_call_soon_threadsafe, yield_to_others
from aconcur.pipeline._calls import Call, ThreadTeam, awaiting, in_executor
from aconcur.pipeline._journal_trace import Book
from aconcur.pipeline._link import GONE, Inlet, Link
from aconcur.pipeline._options import CALLING, THREADS, Failure, Fed, Source, Spec
from aconcur.pipeline._report import PipelineReport
from aconcur.pipeline._stage import Stage
from aconcur.pipeline._watch import Watch
from aconcur.pipeline._working import work

Out = TypeVar("Out")
Beside: TypeAlias = "Callable[[Run[Any]], Coroutine[Any, Any, None]]"
_FEED: Final = 16
_ONE_FOR_ONE: Final = ("map", "filter", "rate_limit")


@final
class Run(Generic[Out]):
    """A run of a :class:`Pipeline`, made by its ``open()``: iterate over it for the results.

    Several tasks may iterate at once; each result goes to one of them.
    """

    def __init__(self) -> None:
        self._stages: list[Stage] = []
        self._book: Book | None = None
        self._total: int | None = None
        self._one_for_one = True
        self._failures: list[Failure] = []
        self._feeds: list[_Feed] = []
        self._started = time.monotonic()
        self._ended: float | None = None
        self._results = Link(1, 1)

    @property
    def failures(self) -> Sequence[Failure]:
        """The failed items of stages with ``on_error=COLLECT``, and that which ended the run."""
        return tuple(self._failures)

    @property
    def report(self) -> PipelineReport:
        """The account of now; after the block, of all.

        Cost: about 10 µs a stage.
        """
        stages = tuple(stage.report() for stage in self._stages)
        recorded = self._book.skipped if self._book else 0
        counted = stages if self._one_for_one else stages[:1]
        return PipelineReport(
            stages,
            seconds=(self._ended or time.monotonic()) - self._started,
            recorded=recorded,
            finished=recorded + counted[-1].out + sum(one.filtered + one.failed for one in counted),
            total=self._total,
            ended=self._ended is not None,
        )

    def drain(self) -> None:
        """Draw no more from the source; what was drawn goes on to the end, as iteration does."""
        for feed in self._feeds:
            feed.scope.cancel()
        for stage in self._stages:
            stage.draw_no_more()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Out:
        """Return the next result.

        **Cancelled**: no result was taken.
        """
        results = self._results
        if not results.items and not await results.until_item():
            raise StopAsyncIteration
        item: Out = results.items.popleft()
        if results.putters and not results.putter_woken:
            results.wake_putter()
        return item

    async def take(self) -> list[Out]:
        """Return all results that are there, at least one; none at the end.

        **Cancelled**: no result was taken.
        """
        results = self._results
        if not results.items:
            await results.until_item()
        taken = list(results.items)
        results.items.clear()
        if results.putters:
            results.wake_putter()
        return taken

    def __repr__(self) -> str:
        stages = " | ".join(map(_status, self._stages))
        ended = ", ended" if self._ended else ""
        return f"<Run {stages} → {len(self._results.items)}{ended}>"

    # Called by running(): the life of a run is its block.

    def _assemble(
        self,
        specs: Sequence[Spec],
        source: Source[Any],
        soon: CallSoon,
        stack: ExitStack,
        book: Book | None,
        *,
        merged: bool = False,
    ) -> Link:
        """Make the stages, those of merged pipelines too; return the last one's output."""
        sources = [self._inlet(source, book)]
        for number, spec in enumerate(specs, 1):
            for other in spec.others:
                if isinstance(other, Fed):
                    fed = self._assemble(other.specs, other.source, soon, stack, book, merged=True)
                    sources.append(fed)
                else:
                    sources.append(self._inlet(other, book))
            stage = Stage(spec, sources, _hands(spec), self._failures.append)
            if book is not None:
                stage.trace = book.trace(stage, last=number == len(specs) and not merged)
            if spec.kind in CALLING:
                _set_call(stage, _reached(spec, soon, stack))
            self._stages.append(stage)
            sources = [stage.output]
        self._results = stage.output
        return stage.output

    def _inlet(self, given: Source[Any], book: Book | None) -> Inlet:
        source = given if book is None else book.drawn(given)
        if not isinstance(source, AsyncIterable):
            return iter(source)
        feed = _Feed(source)
        self._feeds.append(feed)
        return feed.link

    def _end(self) -> None:
        self._ended = time.monotonic()
        for stage in self._stages:
            stage.give_up()
        # For tasks outside of the block, if there are any.
        self._results.closed = True
        self._results.getters.wake_all()


def _status(stage: Stage) -> str:
    options = stage.spec.options
    working = min(options.workers, stage.hands - stage.idle)
    queued = f", {stage.depth} queued" if stage.depth else ""
    failed = f", {stage.failed} failed" if stage.failed else ""
    return f"{stage.spec.name} {working}/{options.workers} busy{queued}{failed}"


def _reached(spec: Spec, soon: CallSoon, stack: ExitStack) -> Call:
    """Return the stage's function as one to await, wherever it runs."""
    if spec.via is None:
        return awaiting(spec.function)
    if spec.via is THREADS:
        team = ThreadTeam(spec.function, spec.options.workers, soon, spec.name)
        stack.callback(team.close)
        return team.call
    if isinstance(spec.via, Executor):
        return in_executor(spec.via, spec.function, soon)
    return partial(spec.via.run, spec.function)


def _set_call(stage: Stage, call: Call) -> None:
    """Give the stage what its workers call."""
    seconds, kind, trace = stage.spec.options.timeout, stage.spec.kind, stage.trace
    if seconds is not None:
        stage.watch = Watch(seconds)
    if trace is not None:
        stage.make_call = lambda hand: trace.call(hand.around(call))
    elif kind == "filter":
        stage.make_call = lambda hand: partial(_filtered, stage, hand.around(call))
    elif kind == "flat_map":
        how = _listed if stage.in_order else _emitted
        stage.make_call = lambda hand: partial(how, stage, hand.around(call))
    else:
        stage.make_call = lambda hand: hand.before(call)


async def _filtered(stage: Stage, call: Call, item: object) -> object:
    if await call(item):
        return item
    stage.filtered += 1
    return GONE


async def _emitted(stage: Stage, call: Call, item: object) -> object:
    await stage.emit_all(await call(item))
    return GONE


async def _listed(_: Stage, call: Call, item: object) -> list[Any]:
    results = await call(item)
    if isinstance(results, AsyncIterable):
        return [result async for result in results]
    return list(results)


def _hands(spec: Spec) -> int:
    """Return how many tasks work in the stage."""
    if spec.kind == "merge":
        return 1 + len(spec.others)
    return spec.options.workers * (2 if spec.via is THREADS else 1)


@final
class _Feed:
    """Iterates over an async source; one task does it all, and closes what it iterated over."""

    def __init__(self, source: AsyncIterable[Any]) -> None:
        self._source, self.link, self.scope = source, Link(_FEED, 1), anyio.CancelScope()

    async def run(self) -> None:
        iterator = aiter(self._source)
        async with AsyncExitStack() as stack:
            if hasattr(iterator, "aclose"):
                stack.push_async_callback(iterator.aclose)
            with self.scope:
                await self._pass_on(iterator)
        # Not when cancelled: what came so far is not all there is.
        self.link.writer_left()

    async def _pass_on(self, iterator: AsyncIterator[Any]) -> None:
        link, fed = self.link, 0
        while True:
            if not link.has_room():
                await link.until_room()
            try:
                link.items.append(await anext(iterator))
            except StopAsyncIteration:
                return
            link.wake_getter()
            fed += 1
            if not fed & 127:
                await yield_to_others()


@asynccontextmanager
async def running(
    specs: Sequence[Spec],
    source: Source[Any],
    *,
    unwrap: bool,
    book: Book | None = None,
    beside: Beside | None = None,
) -> AsyncIterator[Run[Any]]:
    """Start a run; end it with the block.

    Args:
        specs: its stages.
        source: of its items.
        unwrap: raise a single error bare.
        book: its journal.
        beside: runs in a task beside the stages, and is cancelled at the end.
    """
    run = Run[Any]()
    run._book, run._total = book, _size(source)
    run._one_for_one = all(spec.kind in _ONE_FOR_ONE for spec in specs)
    inner: BaseException | None = None
    with ExitStack() as stack:
        run._assemble(specs, source, get_call_soon_threadsafe(), stack, book)
        stack.callback(run._end)
        try:
            async with anyio.create_task_group() as group:
                for feed in run._feeds:
                    group.start_soon(feed.run)
                if beside is not None:
                    group.start_soon(beside, run)
                for stage in run._stages:
                    if stage.watch is not None:
                        group.start_soon(stage.watch.watch)
                    for hand in range(stage.hands):
                        group.start_soon(work, stage, hand, name=stage.spec.name)
                try:
                    yield run
                except BaseException as error:
                    inner = error
                    raise
                finally:
                    group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            leaf = _only(errors)
            if leaf is not None and (unwrap or leaf is inner):
                raise leaf from leaf.__cause__
            raise


def _size(source: Source[Any]) -> int | None:
    """Return how many items it has; what a queue holds is not all."""
    if isinstance(source, Sized) and not isinstance(source, AsyncIterable):
        return len(source)
    return None


def _only(errors: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the error in the group, if it is a single one."""
    if len(errors.exceptions) > 1:
        return None
    error = errors.exceptions[0]
    return _only(error) if isinstance(error, BaseExceptionGroup) else error
