"""Pipelines: immutable descriptions of stages, and the ways to run them."""

from __future__ import annotations

__all__ = ("KeyOf", "Pipeline", "flow", "stage")

import warnings
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, Unpack, final, overload

import anyio

from aconcur._core.loops import current_loop
from aconcur._core.validation import check_count, check_number, check_plain_function, check_seconds
from aconcur.pipeline._journal.journal import Journal, Key, open_journal
from aconcur.pipeline._journal.tracking import JournalTracker
from aconcur.pipeline._limiter import AnyLimiter, Limiter, RateLimit, Weight
from aconcur.pipeline._report import PipelineReport
from aconcur.pipeline._resource import OpenResource
from aconcur.pipeline._retry import Retry
from aconcur.pipeline._run import Background, Run, forget_failures, open_run
from aconcur.pipeline._service import Service, check_service, open_service
from aconcur.pipeline._shown.progress import Shown, display, showing
from aconcur.pipeline._sources.thread import InThread, ReadVia, read_via
from aconcur.pipeline._spec import (
    COLLECT,
    RAISE,
    Fed,
    ItemContext,
    Options,
    Reaction,
    SerialKey,
    Source,
    Spec,
    StageOptions,
    Via,
    check_source,
    function_spec,
)
from aconcur.pipeline._sync import iterate

if TYPE_CHECKING:
    from aconcur.process import Runnable

A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")
T = TypeVar("T")
In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)
KeyOf: TypeAlias = Callable[[T], Key]
"""Returns the key that tells an item from the others in a journal."""


@final
class Pipeline(Generic[In, Out]):
    """Stages that items pass one after the other, each with its own workers.

    A pipeline only describes the stages: :func:`stage` makes one, and each method returns a longer
    one. ``open()``, ``run()`` and ``collect()`` start the tasks; a pipeline may run several times,
    also at once. ::

        thumbs = (
            stage(download, workers=32, timeout=30, retry=Retry(3, backoff=0.2))
            .map(resize, workers=2, via=THREADS)
            .map(upload, workers=16, on_error=COLLECT)
        )
        async with thumbs.open(urls) as run:
            async for path in run:
                print(path)
        print(run.report)

    Back-pressure: a worker takes an item only if there is room for its result. So at most the sum
    of all buffers and workers, and one more, is drawn from the source before the consumer takes
    something; a stage in threads holds two items for each worker, and an async source is read up to
    16 items ahead (``ahead=``). A :class:`Queue` is not read ahead. ``first | second`` joins two
    pipelines.

    Cost: with 8 workers a stage and ``buffer=64`` about 0.5 µs an item and stage, a tenth more on
    trio; twice that with a buffer of 16, where the tasks switch more often. A timeout adds 0.2 µs,
    a thread 8 µs. Measured on CPython 3.11, two cores, as all costs here: see
    ``python -m benchmarks.pipeline``.
    """

    __slots__ = ("_specs",)

    def __init__(self, specs: tuple[Spec, ...]) -> None:
        self._specs = specs

    def __repr__(self) -> str:
        return f"<Pipeline {' | '.join(map(_shown, self._specs)) or 'without stages'}>"

    def __or__(self, other: Pipeline[Out, B]) -> Pipeline[In, B]:
        if not isinstance(other, Pipeline):
            return NotImplemented
        return Pipeline(self._specs + other._specs)

    # --------------------------------------------------------------- stages

    @overload
    def map(
        self,
        function: Callable[[Out], Awaitable[B]],
        *,
        workers: int = ...,
        ordered: bool = ...,
        buffer: int | None = ...,
        timeout: float | None = ...,
        retry: Retry | None = ...,
        on_error: Reaction = ...,
        name: str | None = ...,
        context: ItemContext | None = ...,
        limiter: AnyLimiter | None = ...,
        weight: Weight | None = ...,
        key: SerialKey | None = ...,
    ) -> Pipeline[In, B]: ...
    @overload
    def map(
        self,
        function: Callable[[Out], B],
        *,
        via: Via | None = ...,
        workers: int = ...,
        ordered: bool = ...,
        buffer: int | None = ...,
        timeout: float | None = ...,
        retry: Retry | None = ...,
        on_error: Reaction = ...,
        name: str | None = ...,
        context: ItemContext | None = ...,
        limiter: AnyLimiter | None = ...,
        weight: Weight | None = ...,
        key: SerialKey | None = ...,
    ) -> Pipeline[In, B]: ...
    @overload
    def map(
        self,
        function: Callable[[R, Out], Awaitable[B]],
        *,
        resource: OpenResource[R],
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, B]: ...
    @overload
    def map(
        self,
        function: Callable[[R, Out], B],
        *,
        resource: OpenResource[R],
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, B]: ...
    def map(
        self,
        function: Callable[..., Any],
        *,
        via: Via | None = None,
        workers: int = 1,
        ordered: bool = True,
        buffer: int | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        on_error: Reaction = RAISE,
        name: str | None = None,
        context: ItemContext | None = None,
        limiter: AnyLimiter | None = None,
        weight: Weight | None = None,
        key: SerialKey | None = None,
        resource: OpenResource[Any] | None = None,
    ) -> Pipeline[In, Any]:
        """Add a stage that turns each item into one result.

        Args:
            function: a coroutine function; or a plain one, called in the event loop, or where
                ``via`` says.
            via: where a blocking function runs: THREADS, a :class:`concurrent.futures.Executor` or
                a :class:`aconcur.parallel.Pool`. An executor or pool stays open. If it is broken
                or closed, or no thread can be started, the run ends with that error: no item has
                failed.
            workers: items that the stage works on at once; with THREADS its threads. 1.
            ordered: whether results leave in the order in which their items came. True; False
                passes each result on as soon as it is there.
            buffer: results that may wait for the next stage, at least 1. None: 2 for each worker,
                and at least 16. ``buffer=1`` on the first stage also stops an async source from
                being read ahead.
            timeout: seconds that one attempt at an item may take, more than 0. None: any. It is a
                cancel scope: what the function shields is not cut short, and then takes longer. A
                thread or an executor cannot be stopped, so it is refused there; a pool kills and
                replaces the worker.
            retry: a :class:`Retry` that says which failed items are tried again, when and how
                often. None: none.
            on_error: what becomes of an item that failed at its last attempt. RAISE: the run ends
                with the error. SKIP: it is counted and dropped. COLLECT: it is added to the
                failures of the run and its report. A function: called with the :class:`Failure`,
                and awaited if it returns an awaitable. A :class:`Queue`: the failure is put into
                it; if that is full, the stage waits, so a bounded one must be read during the run.
            name: of the stage, in reports and errors. None: the function's.
            context: ``"item"``: each item has its own copy of the context in which the run was
                opened, so that a context variable that one call sets is not seen by the next.
                ``"worker"``: the calls of a worker share a copy. None: ``"item"`` in threads and
                thread pools, and ``"worker"`` in the event loop, where a copy for each item costs
                about 1 µs. With an executor, ``"worker"`` leaves its threads the contexts that
                they have. Other processes have no such context.
            limiter: a :class:`Limiter` or a :class:`KeyedLimiter` that admits each attempt at an
                item. The wait counts neither for ``timeout`` nor as busy. None: unlimited.
            weight: a plain function of the item: how much it counts for the limiter. None: 1.
            key: a plain function of the item. Items whose keys are equal are worked on one at a
                time, in their order, retries included; others in parallel. With ``ordered=False``
                others pass while up to 7 × ``workers`` items wait for their key. From a
                :class:`Queue` at most ``workers`` items are taken. None: items have no keys.
            resource: a function that returns an async context manager, such as
                ``open_session``. Each worker opens one when the run starts, and the function is
                called with it and the item: ``function(session, item)``. It is closed in the
                worker's task when the worker ends, for whatever reason, under a shield. An error
                of opening or closing it ends the run. It cannot be used with ``via`` or ``key``.
                None: the function takes the item alone.

        Raises:
            TypeError: the function cannot be called, is a generator function, or is a coroutine
                function with ``via``; or an option has the wrong type.
            ValueError: an option is out of its range, or a timeout cannot stop the function.
        """
        options = Options(
            workers,
            ordered,
            buffer,
            timeout,
            retry,
            on_error,
            name,
            context,
            limiter,
            weight,
            key,
            resource,
        )
        spec = function_spec("map", function, options, via)
        return Pipeline((*self._specs, spec))

    @overload
    def flat_map(
        self,
        function: Callable[[Out], AsyncIterable[B]],
        *,
        workers: int = ...,
        ordered: bool = ...,
        buffer: int | None = ...,
        timeout: float | None = ...,
        retry: Retry | None = ...,
        on_error: Reaction = ...,
        name: str | None = ...,
        context: ItemContext | None = ...,
        limiter: AnyLimiter | None = ...,
        weight: Weight | None = ...,
        key: SerialKey | None = ...,
    ) -> Pipeline[In, B]: ...
    @overload
    def flat_map(
        self,
        function: Callable[[Out], Awaitable[Iterable[B]]],
        *,
        workers: int = ...,
        ordered: bool = ...,
        buffer: int | None = ...,
        timeout: float | None = ...,
        retry: Retry | None = ...,
        on_error: Reaction = ...,
        name: str | None = ...,
        context: ItemContext | None = ...,
        limiter: AnyLimiter | None = ...,
        weight: Weight | None = ...,
        key: SerialKey | None = ...,
    ) -> Pipeline[In, B]: ...
    @overload
    def flat_map(
        self,
        function: Callable[[Out], Iterable[B]],
        *,
        via: Via | None = ...,
        workers: int = ...,
        ordered: bool = ...,
        buffer: int | None = ...,
        timeout: float | None = ...,
        retry: Retry | None = ...,
        on_error: Reaction = ...,
        name: str | None = ...,
        context: ItemContext | None = ...,
        limiter: AnyLimiter | None = ...,
        weight: Weight | None = ...,
        key: SerialKey | None = ...,
    ) -> Pipeline[In, B]: ...
    @overload
    def flat_map(
        self,
        function: Callable[[R, Out], AsyncIterable[B]],
        *,
        resource: OpenResource[R],
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, B]: ...
    @overload
    def flat_map(
        self,
        function: Callable[[R, Out], Awaitable[Iterable[B]]],
        *,
        resource: OpenResource[R],
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, B]: ...
    @overload
    def flat_map(
        self,
        function: Callable[[R, Out], Iterable[B]],
        *,
        resource: OpenResource[R],
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, B]: ...
    def flat_map(
        self,
        function: Callable[..., Any],
        *,
        via: Via | None = None,
        workers: int = 1,
        ordered: bool = True,
        buffer: int | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        on_error: Reaction = RAISE,
        name: str | None = None,
        context: ItemContext | None = None,
        limiter: AnyLimiter | None = None,
        weight: Weight | None = None,
        key: SerialKey | None = None,
        resource: OpenResource[Any] | None = None,
    ) -> Pipeline[In, Any]:
        """Add a stage that turns each item into any number of results.

        With one worker, or ``ordered=False``, results are passed on one at a time, as there is
        room. Several workers in order gather the results of an item in a list first. So does a
        thread (``via``), which also iterates over a generator. A generator is closed when its item
        is done and when the run ends, under a shield: it may await in its ``finally``, but nothing
        else bounds how long. An attempt that failed half-way and is tried again passes its first
        results on again.

        Args:
            function: returns an iterable or an awaitable of one; or, as an async generator
                function does, an async iterable.
            via: as for :meth:`map`.
            workers: as for :meth:`map`.
            ordered: as for :meth:`map`.
            buffer: as for :meth:`map`.
            timeout: as for :meth:`map`. It limits the call, not the iteration over its result.
            retry: as for :meth:`map`.
            on_error: as for :meth:`map`.
            name: as for :meth:`map`.
            context: as for :meth:`map`.
            limiter: as for :meth:`map`.
            weight: as for :meth:`map`.
            key: as for :meth:`map`.
            resource: as for :meth:`map`.

        Raises:
            TypeError: as for :meth:`map`.
            ValueError: as for :meth:`map`.
        """
        options = Options(
            workers,
            ordered,
            buffer,
            timeout,
            retry,
            on_error,
            name,
            context,
            limiter,
            weight,
            key,
            resource,
        )
        spec = function_spec("flat_map", function, options, via)
        return Pipeline((*self._specs, spec))

    @overload
    def filter(
        self,
        function: Callable[[Out], Awaitable[object] | object],
        *,
        via: Via | None = ...,
        workers: int = ...,
        ordered: bool = ...,
        buffer: int | None = ...,
        timeout: float | None = ...,
        retry: Retry | None = ...,
        on_error: Reaction = ...,
        name: str | None = ...,
        context: ItemContext | None = ...,
        limiter: AnyLimiter | None = ...,
        weight: Weight | None = ...,
        key: SerialKey | None = ...,
    ) -> Pipeline[In, Out]: ...
    @overload
    def filter(
        self,
        function: Callable[[R, Out], Awaitable[object] | object],
        *,
        resource: OpenResource[R],
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, Out]: ...
    def filter(
        self,
        function: Callable[..., Any],
        *,
        via: Via | None = None,
        workers: int = 1,
        ordered: bool = True,
        buffer: int | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        on_error: Reaction = RAISE,
        name: str | None = None,
        context: ItemContext | None = None,
        limiter: AnyLimiter | None = None,
        weight: Weight | None = None,
        key: SerialKey | None = None,
        resource: OpenResource[Any] | None = None,
    ) -> Pipeline[In, Out]:
        """Add a stage that keeps the items for which the function returns a true value.

        Args:
            function: as for :meth:`map`.
            via: as for :meth:`map`.
            workers: as for :meth:`map`.
            ordered: as for :meth:`map`.
            buffer: as for :meth:`map`.
            timeout: as for :meth:`map`.
            retry: as for :meth:`map`.
            on_error: as for :meth:`map`.
            name: as for :meth:`map`.
            context: as for :meth:`map`.
            limiter: as for :meth:`map`.
            weight: as for :meth:`map`.
            key: as for :meth:`map`.
            resource: as for :meth:`map`.

        Raises:
            TypeError: as for :meth:`map`.
            ValueError: as for :meth:`map`.
        """
        options = Options(
            workers,
            ordered,
            buffer,
            timeout,
            retry,
            on_error,
            name,
            context,
            limiter,
            weight,
            key,
            resource,
        )
        spec = function_spec("filter", function, options, via)
        return Pipeline((*self._specs, spec))

    def through(
        self: Pipeline[In, bytes],
        command: Runnable,
        *,
        workers: int = 1,
        ordered: bool = True,
        buffer: int | None = None,
        timeout: float | None = None,
        retry: Retry | None = None,
        on_error: Reaction = RAISE,
        name: str | None = None,
        context: ItemContext | None = None,
        limiter: AnyLimiter | None = None,
        weight: Weight | None = None,
        key: SerialKey | None = None,
    ) -> Pipeline[In, bytes]:
        """Add a stage that sends each item through a command, or a pipe of commands.

        The item is the input of the first command, the result is the output of the last one. ::

            pages.through(Command("gzip", "-9") | Command("openssl", "sha256"), workers=4)

        A command is started for each item. When its item is done, failed or cancelled it has ended,
        with all processes that it started. Its output is held in memory.

        Args:
            command: a :class:`~aconcur.process.Command` or
                :class:`~aconcur.process.CommandPipe`.
            workers: as for :meth:`map`.
            ordered: as for :meth:`map`.
            buffer: as for :meth:`map`.
            timeout: seconds that the command may run; None: any.
            retry: as for :meth:`map`.
            on_error: as for :meth:`map`.
            name: as for :meth:`map`; None: the program's.
            context: as for :meth:`map`.
            limiter: as for :meth:`map`.
            weight: as for :meth:`map`.
            key: as for :meth:`map`.

        An item fails with a :exc:`~aconcur.process.CommandError`: CommandFailed has the status and
        the stderr of the command, CommandTimeout the output before the timeout. An item that is not
        bytes fails with a TypeError.

        Raises:
            TypeError: ``command`` is not a command; or as for :meth:`map`.
            ValueError: as for :meth:`map`.

        Cost: that of starting a process, about 1 ms.
        """
        from aconcur.pipeline._callers import Through

        options = Options(
            workers, ordered, buffer, timeout, retry, on_error, name, context, limiter, weight, key
        )
        function = Through(command, options.timeout)
        spec = function_spec("map", function, replace(options, timeout=None), None)
        # A name that was given speaks for itself; the program's name alone does not.
        detail = "" if name else str(command)
        return Pipeline((*self._specs, replace(spec, detail=detail)))

    def rate_limit(
        self,
        items: float,
        *,
        per: float = 1.0,
        burst: float | None = None,
        weight: Weight | None = None,
        name: str | None = None,
    ) -> Pipeline[In, Out]:
        """Add a stage that limits the rate of the calls of the next stage.

        In any ``t`` seconds the next stage begins at most ``burst + items * t / per`` calls. Every
        attempt counts, so what is tried again passes the limit again. If the next stage calls no
        function, or there is none, an item counts when it is taken. All runs of a pipeline in one
        event loop share the limit, one after the other and at once. For a limit that other
        pipelines and plain code share, give the stages a :class:`Limiter`.

        With ``burst=1`` two calls are never less than ``per / items`` seconds apart. Timers are
        late by up to a millisecond, so the actual rate is a little lower; a larger burst makes up
        for it.

        Args:
            items: how many pass in ``per`` seconds, more than 0.
            per: seconds, more than 0.
            burst: how many pass at once after a pause, and at the start; at least 1. None: 1, or
                with ``weight`` as much as ``items``.
            weight: a plain function of the item: how much it counts, at most ``burst``; such as
                tokens or bytes. None: 1.
            name: of the stage; ``"rate_limit"``.

        Raises:
            TypeError: a number is none, or ``weight`` is not a plain function.
            ValueError: a number is out of its range.
        """
        check_number("items", items, above=True)
        if weight is not None:
            check_plain_function("weight", weight)
        if burst is None:
            burst = 1.0 if weight is None else max(1.0, items)
        limit = RateLimit(partial(Limiter, items, per, burst=burst), weight)
        options = Options(buffer=1, name=name)
        spec = Spec("rate_limit", list, options, name or "rate_limit", limit=limit)
        return Pipeline((*self._specs, spec))

    def merge(
        self,
        *others: Source[B] | Fed[B],
        buffer: int | None = None,
        name: str | None = None,
    ) -> Pipeline[In, Out | B]:
        """Add a stage that lets the items of other sources join, as they come.

        ::

            pages = stage(download).merge(archive, stage(render).fed_by(drafts)).map(store)
            await pages.run(urls)

        The items of one source keep their order. Sources that all have items take turns. The stage
        ends when all have ended. Each run iterates over the sources given here, so a queue or a
        generator serves one run only.

        Args:
            others: iterables and async iterables, such as a :class:`Queue`; and pipelines with
                their own source, made by :meth:`fed_by`, whose stages run with these.
            buffer: items that may wait for the next stage. None: 16; none with a :class:`Queue`
                among the sources, which would miss them when the run ends.
            name: of the stage; ``"merge"``.

        Raises:
            TypeError: one is a pipeline without a source, or cannot be iterated over.
            ValueError: no source is given.
        """
        if not others:
            raise ValueError("merge needs at least one other source, not 0")
        for other in others:
            if isinstance(other, Pipeline):
                raise TypeError(f"{other!r} has no source: give it one with fed_by()")
            if not isinstance(other, Fed):
                check_source(other)
        options = Options(buffer=buffer, name=name)
        return Pipeline(
            (*self._specs, Spec("merge", list, options, name or "merge", others=others))
        )

    def fed_by(
        self, source: Source[In], *, via: ReadVia | None = None, ahead: int | None = None
    ) -> Fed[Out]:
        """Return the pipeline with a source, for :meth:`merge`: it runs as part of the other.

        Args:
            source: as for :meth:`open`.
            via: as for :meth:`open`.
            ahead: as for :meth:`open`.
        """
        if ahead is not None:
            check_count("ahead", ahead, 0)
        return Fed(self._specs, read_via(source, via), ahead)

    @overload
    def batch(
        self,
        size: int,
        *,
        max_wait: float | None = ...,
        buffer: int | None = ...,
        name: str | None = ...,
    ) -> Pipeline[In, list[Out]]: ...
    @overload
    def batch(
        self,
        size: float,
        *,
        max_wait: float | None = ...,
        buffer: int | None = ...,
        name: str | None = ...,
        weight: Weight,
    ) -> Pipeline[In, list[Out]]: ...
    def batch(
        self,
        size: float,
        *,
        max_wait: float | None = None,
        buffer: int | None = None,
        name: str | None = None,
        weight: Weight | None = None,
    ) -> Pipeline[In, list[Out]]:
        """Add a stage that gathers items into lists.

        Args:
            size: items of a list, at least 1; the last list may have fewer. With ``weight`` the
                most that the items of a list weigh together, more than 0.
            max_wait: seconds from its first item after which a list leaves with fewer; None: a
                list leaves when it is full, or at the end.
            buffer: lists that may wait for the next stage.
            name: of the stage; ``"batch"``.
            weight: a plain function of the item: how much it counts, such as tokens or bytes. A
                list leaves when the next item would exceed ``size``, which then begins the next
                one; an item that alone exceeds it has a list of its own. (Pekko Streams:
                ``groupedWeighted``.) None: 1.

        Raises:
            TypeError: a number is none, or ``weight`` is not a plain function.
            ValueError: a number is out of its range.
        """
        if weight is None:
            check_count("size", size, 1)
        else:
            check_number("size", size, above=True)
            check_plain_function("weight", weight)
        if max_wait is not None:
            check_seconds("max_wait", max_wait)
        options = Options(buffer=buffer, name=name)
        spec = Spec("batch", list, options, name or "batch", size=size, max_wait=max_wait)
        return Pipeline((*self._specs, replace(spec, weigh=weight)))

    # -------------------------------------------------------------- running

    def open(
        self,
        source: Source[In],
        *,
        via: ReadVia | None = None,
        ahead: int | None = None,
        unwrap: bool = False,
        progress: Shown = False,
        total: int | None = None,
    ) -> AbstractAsyncContextManager[Run[Out]]:
        """Return a block in which the pipeline runs; iterate over the :class:`Run` for the results.

        When the block is left, for whatever reason, nothing of the run is left: tasks are
        cancelled, calls in threads are waited for, generators are closed. Errors of stages come
        out of it as one ExceptionGroup, each the original object with a note that names its stage
        and item. An error of the source comes after all results of the items before it.

        Journals are not supported here: we cannot tell whether the consumer processed a result.
        Make the consumer a stage, and use :meth:`run`.

        Args:
            source: an iterable, which the workers of the first stage draw from in the loop's
                thread; an async iterable, which a task of its own reads; or a :class:`Queue`, from
                which a worker takes an item when it begins it. An item whose function was not
                called yet when the run ends goes back to the queue's front: one that waits for a
                limiter, its key or a thread. The run is a consumer of the queue
                (:meth:`Queue.consumer`).
            via: THREADS: a plain iterable is iterated over in a thread of its own, such as a
                database cursor, a file or a csv reader, so that it does not hold up the event
                loop. ``iter()``, ``next()`` and a generator's ``close()`` are all called there:
                open in the generator what belongs to one thread, such as an sqlite3 connection. A
                ``next()`` that is under way when the run ends is waited for. It adds about 5 µs an
                item, half of that with ``ahead=1000``.
                None: in the event loop.
            ahead: how many items to draw from an async iterable, or in a thread, before a worker
                asks for them. Items that were drawn and not begun are lost when the run ends
                early: use 0 for a source of leases (SQS, Kafka). None: 16, or 0 if the first
                stage has ``buffer=1``.
            unwrap: raise a single error bare, not in a group.
            progress: as for :meth:`run`.
            total: as for :meth:`run`.

        **Cancelled**: all stages are cancelled too; ``run.report`` counts the items that they held
        as cancelled. A source that is waiting for its next item is cancelled there, so it must
        shield what it awaits while it cleans up.

        Raises:
            TypeError: ``ahead`` or ``total`` is not a whole number, ``via`` is something else, or
                the source is an async iterable and ``via`` is given.
            ValueError: ``ahead`` or ``total`` is negative.
        """
        how = _How(unwrap, None, None, progress, ahead, total)
        return _open_shown(self._specs, read_via(source, via), how)

    def serve(self, *, unwrap: bool = False) -> AbstractAsyncContextManager[Service[In, Out]]:
        """Return a block in which any task submits items, and awaits the result of each.

        ::

            async with stage(fetch, workers=8, retry=retry).map(parse).serve() as service:
                page = await service.submit(url)    # from any request handler

        All callers share the workers, buffers, limiters and retries. Results come as they are
        ready, also with ``ordered=True``: callers have no order among each other. An error of a
        stage with ``on_error=RAISE`` is raised by ``submit()`` and the run goes on; with another
        ``on_error`` that is done too. Leaving the block cancels what is under work; await
        :meth:`Service.drain` before to let it finish.

        Args:
            unwrap: as for :meth:`open`, for errors that end the run, such as a broken executor.

        Raises:
            ValueError: a stage does not make one result of each item: ``filter``, ``flat_map``,
                ``batch``, ``merge``, or a ``rate_limit`` at the end.
        """
        check_service(self._specs)
        return open_service(self._specs, unwrap=unwrap)

    async def collect(
        self,
        source: Source[In],
        *,
        via: ReadVia | None = None,
        ahead: int | None = None,
        unwrap: bool = False,
        journal: Journal | None = None,
        key: KeyOf[In] | None = None,
        progress: Shown = False,
        total: int | None = None,
    ) -> list[Out]:
        """Run, and return all results.

        A stage with ``on_error=COLLECT`` makes this warn: the failures are only in the
        :class:`PipelineReport` of :meth:`run` and the :class:`Run` of :meth:`open`.

        Args:
            source: as for :meth:`open`.
            via: as for :meth:`open`.
            ahead: as for :meth:`open`.
            unwrap: as for :meth:`open`.
            journal: as for :meth:`run`. Results are kept in it; those recorded by earlier runs are
                returned with the new ones, in the order of the source.
            key: as for :meth:`run`.
            progress: as for :meth:`run`.
            total: as for :meth:`run`.

        **Cancelled**: nothing of the run is left; its results are lost, except those in a journal.

        Raises:
            ExceptionGroup: the errors of the stages.
            JournalError: as for :meth:`run`, or a result cannot be recorded.
            ValueError: a journal is given and there is a :meth:`batch`.
        """
        _warn_of_collect(self._specs, "collect")
        results: list[Out] = []
        how = _How(unwrap, journal, key, progress, ahead, total)
        async with _open(self._specs, read_via(source, via), how, gather=True) as (run, tracker):
            while taken := await run.take():
                if tracker is None:
                    results += taken
        return results if tracker is None else tracker.results()

    async def run(
        self,
        source: Source[In],
        *,
        via: ReadVia | None = None,
        ahead: int | None = None,
        unwrap: bool = False,
        journal: Journal | None = None,
        key: KeyOf[In] | None = None,
        progress: Shown = False,
        total: int | None = None,
    ) -> PipelineReport:
        """Run to the end, discard the results, and return the account.

        Args:
            source: as for :meth:`open`.
            via: as for :meth:`open`.
            ahead: as for :meth:`open`.
            unwrap: as for :meth:`open`.
            journal: records which items are done. The same call resumes a run that was cancelled,
                killed or ended by an error.
            key: a function that returns the key by which the journal knows an item: a str, an int
                or bytes. None: the items themselves are keys.
            progress: True shows on stderr how far the run is: in a terminal a bar and a line for
                each stage, if rich is installed (extra ``cli``), else a line every five seconds. A
                function is called with a :class:`PipelineReport` ten times a second and at the
                end; or give a :class:`ProgressDisplay`.
            total: how many items the source has, for progress and ``report.total``. None: its
                length, if it has one.

        **Cancelled**: nothing of the run is left.

        Raises:
            ExceptionGroup: the errors of the stages.
            JournalError: the journal belongs to another pipeline or is in use, or cannot be read
                or written; two items have the same key, or one has none, or ``key`` raised an
                error; or a stage of a run with a journal has no name of its own. It comes bare,
                not in a group.
        """
        how = _How(unwrap, journal, key, progress, ahead, total)
        return await _run_to_end(self._specs, read_via(source, via), how)

    def run_sync(
        self,
        source: Source[In],
        *,
        via: ReadVia | None = None,
        backend: str = "asyncio",
        ahead: int | None = None,
        unwrap: bool = False,
        journal: Journal | None = None,
        key: KeyOf[In] | None = None,
        progress: Shown = False,
        total: int | None = None,
    ) -> PipelineReport:
        """Call :meth:`run` in a new event loop, from code that has none.

        Args:
            source: as for :meth:`open`.
            via: as for :meth:`open`.
            backend: ``"asyncio"`` or ``"trio"``.
            ahead: as for :meth:`open`.
            unwrap: as for :meth:`open`.
            journal: as for :meth:`run`.
            key: as for :meth:`run`.
            progress: as for :meth:`run`.
            total: as for :meth:`run`.

        Raises:
            RuntimeError: an event loop runs in this thread.
            ExceptionGroup: as for :meth:`run`.
            JournalError: as for :meth:`run`.
        """
        if current_loop() is not None:
            raise RuntimeError("run_sync() would block the event loop here: await run()")
        how = _How(unwrap, journal, key, progress, ahead, total)
        return anyio.run(_run_to_end, self._specs, read_via(source, via), how, backend=backend)

    def iter_sync(
        self,
        source: Source[In],
        *,
        via: ReadVia | None = None,
        backend: str = "asyncio",
        ahead: int | None = None,
        unwrap: bool = False,
    ) -> Iterator[Out]:
        """Yield the results in plain code: the pipeline runs in an event loop in a thread.

        It runs ahead by what its buffers hold, and 128 results. Close the generator, or use it up,
        to end the run. Journals are not supported, as in :meth:`open`: use :meth:`run_sync`. A
        stage with ``on_error=COLLECT`` makes this warn, as in :meth:`collect`.

        Args:
            source: as for :meth:`open`; it is iterated over in that thread.
            via: as for :meth:`open`.
            backend: ``"asyncio"`` or ``"trio"``.
            ahead: as for :meth:`open`.
            unwrap: as for :meth:`open`.

        Raises:
            RuntimeError: an event loop runs in this thread.
            ExceptionGroup: as for :meth:`open`.

        Cost: about 5 µs a result.
        """
        _warn_of_collect(self._specs, "iter_sync")
        opened = partial(self.open, source, via=via, ahead=ahead, unwrap=unwrap)
        return iterate(opened, backend)


@overload
def stage(
    function: Callable[[A], Awaitable[B]],
    *,
    workers: int = ...,
    ordered: bool = ...,
    buffer: int | None = ...,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    on_error: Reaction = ...,
    name: str | None = ...,
    context: ItemContext | None = ...,
    limiter: AnyLimiter | None = ...,
    weight: Weight | None = ...,
    key: SerialKey | None = ...,
) -> Pipeline[A, B]: ...
@overload
def stage(
    function: Callable[[A], B],
    *,
    via: Via | None = ...,
    workers: int = ...,
    ordered: bool = ...,
    buffer: int | None = ...,
    timeout: float | None = ...,
    retry: Retry | None = ...,
    on_error: Reaction = ...,
    name: str | None = ...,
    context: ItemContext | None = ...,
    limiter: AnyLimiter | None = ...,
    weight: Weight | None = ...,
    key: SerialKey | None = ...,
) -> Pipeline[A, B]: ...
@overload
def stage(
    function: Callable[[R, A], Awaitable[B]],
    *,
    resource: OpenResource[R],
    **options: Unpack[StageOptions],
) -> Pipeline[A, B]: ...
@overload
def stage(
    function: Callable[[R, A], B],
    *,
    resource: OpenResource[R],
    **options: Unpack[StageOptions],
) -> Pipeline[A, B]: ...
def stage(
    function: Callable[..., Any],
    *,
    via: Via | None = None,
    workers: int = 1,
    ordered: bool = True,
    buffer: int | None = None,
    timeout: float | None = None,
    retry: Retry | None = None,
    on_error: Reaction = RAISE,
    name: str | None = None,
    context: ItemContext | None = None,
    limiter: AnyLimiter | None = None,
    weight: Weight | None = None,
    key: SerialKey | None = None,
    resource: OpenResource[Any] | None = None,
) -> Pipeline[Any, Any]:
    """Return a pipeline of one stage, to which :meth:`Pipeline.map` and others add more.

    Args:
        function: a coroutine function; or a plain one, called in the event loop, or where ``via``
            says.
        via: where a blocking function runs: THREADS, a :class:`concurrent.futures.Executor` or a
            :class:`aconcur.parallel.Pool`. An executor or pool stays open. If it is broken or
            closed, or no thread can be started, the run ends with that error: no item has failed.
        workers: items that the stage works on at once; with THREADS its threads. 1.
        ordered: whether results leave in the order in which their items came. True; False
            passes each result on as soon as it is there.
        buffer: results that may wait for the next stage, at least 1. None: 2 for each worker,
            and at least 16. ``buffer=1`` on the first stage also stops an async source from
            being read ahead.
        timeout: seconds that one attempt at an item may take, more than 0. None: any. It is a
            cancel scope: what the function shields is not cut short, and then takes longer. A
            thread or an executor cannot be stopped, so it is refused there; a pool kills and
            replaces the worker.
        retry: a :class:`Retry` that says which failed items are tried again, when and how
            often. None: none.
        on_error: what becomes of an item that failed at its last attempt. RAISE: the run ends
            with the error. SKIP: it is counted and dropped. COLLECT: it is added to the
            failures of the run and its report. A function: called with the :class:`Failure`,
            and awaited if it returns an awaitable. A :class:`Queue`: the failure is put into
            it; if that is full, the stage waits, so a bounded one must be read during the run.
        name: of the stage, in reports and errors. None: the function's.
        context: ``"item"``: each item has its own copy of the context in which the run was opened,
            so that a context variable that one call sets is not seen by the next. ``"worker"``: the
            calls of a worker share a copy. None: ``"item"`` in threads and thread pools, and
            ``"worker"`` in the event loop, where a copy for each item costs about 1 µs. With an
            executor, ``"worker"`` leaves its threads the contexts that they have. Other processes
            have no such context.
        limiter: a :class:`Limiter` or a :class:`KeyedLimiter` that admits each attempt at an item.
            The wait counts neither for ``timeout`` nor as busy. None: unlimited.
        weight: a plain function of the item: how much it counts for the limiter. None: 1.
        key: a plain function of the item. Items whose keys are equal are worked on one at a
            time, in their order, retries included; others in parallel. With ``ordered=False``
            others pass while up to 7 × ``workers`` items wait for their key. From a
            :class:`Queue` at most ``workers`` items are taken. None: items have no keys.
        resource: a function that returns an async context manager, such as ``open_session``. Each
            worker opens one when the run starts, and the function is called with it and the item:
            ``function(session, item)``. It is closed in the worker's task when the worker ends, for
            whatever reason, under a shield. An error of opening or closing it ends the run. It
            cannot be used with ``via`` or ``key``. None: the function takes the item alone.

    Raises:
        TypeError: the function cannot be called, is a generator function, or is a coroutine
            function with ``via``; or an option has the wrong type.
        ValueError: an option is out of its range, or a timeout cannot stop the function.
    """
    options = Options(
        workers,
        ordered,
        buffer,
        timeout,
        retry,
        on_error,
        name,
        context,
        limiter,
        weight,
        key,
        resource,
    )
    return Pipeline((function_spec("map", function, options, via),))


@overload
def flow() -> Pipeline[Any, Any]: ...
@overload
def flow(of: type[T], /) -> Pipeline[T, T]: ...
def flow(of: type[Any] | None = None, /) -> Pipeline[Any, Any]:  # noqa: ARG001 - for type checkers
    """Return a pipeline without stages, to begin with any operator: ``flow(str).batch(100)``.

    Args:
        of: the type of the items, for type checkers. None: any.
    """
    return Pipeline(())


# ----------------------------------------------------------------- how it runs


@dataclass(frozen=True, slots=True)
class _How:
    """How a pipeline is to be run: see :meth:`Pipeline.run`."""

    unwrap: bool
    journal: Journal | None
    key: KeyOf[Any] | None
    progress: Shown
    ahead: int | None
    total: int | None

    def __post_init__(self) -> None:
        if self.total is not None:
            check_count("total", self.total, 0)
        if self.ahead is not None:
            check_count("ahead", self.ahead, 0)
        if self.journal is not None and not isinstance(self.journal, Journal):
            raise TypeError(f"journal must be a Journal: Journal({self.journal!r})")
        if self.key is not None and self.journal is None:
            raise ValueError("key= is for a journal: give journal= too, or omit it")
        if self.key is not None and not callable(self.key):
            raise TypeError(f"key must be a function that returns an item's key, not {self.key!r}")


@asynccontextmanager
async def _open(
    specs: tuple[Spec, ...], source: Source[Any] | InThread, how: _How, *, gather: bool
) -> AsyncIterator[tuple[Run[Any], JournalTracker | None]]:
    journal: AbstractAsyncContextManager[JournalTracker | None] = nullcontext()
    if how.journal is not None:
        journal = open_journal(how.journal, specs, how.key, collect=gather)
    shown: AbstractAsyncContextManager[Background | None] = nullcontext()
    if (progress := display(how.progress)) is not None:
        shown = showing(progress)
    run: Run[Any] | None = None
    try:
        # An AsyncExitStack would keep an error that comes out of it in a cycle.
        async with (
            journal as tracker,
            shown as background,
            open_run(
                specs,
                source,
                how.ahead,
                unwrap=how.unwrap,
                total=how.total,
                tracker=tracker,
                background=background,
            ) as run,
        ):
            yield run, tracker
    except BaseException:
        if run is not None:
            forget_failures(run)
        raise
    finally:
        del run


def _open_shown(
    specs: tuple[Spec, ...], source: Source[Any] | InThread, how: _How
) -> AbstractAsyncContextManager[Run[Any]]:
    opened = partial(open_run, specs, source, how.ahead, unwrap=how.unwrap, total=how.total)
    if (progress := display(how.progress)) is None:
        return opened()

    @asynccontextmanager
    async def shown() -> AsyncGenerator[Run[Any]]:
        async with showing(progress) as background, opened(background=background) as run:
            yield run

    return shown()


async def _run_to_end(
    specs: tuple[Spec, ...], source: Source[Any] | InThread, how: _How
) -> PipelineReport:
    async with _open(specs, source, how, gather=False) as (run, _):
        while await run.take():
            pass
    return run.report


def _warn_of_collect(specs: tuple[Spec, ...], operation: str) -> None:
    for spec in specs:
        if spec.options.on_error is COLLECT:
            warnings.warn(
                f"{operation}() does not return the failures of stage {spec.name!r}, which has "
                "on_error=COLLECT: use run(), whose report has them, or open(), or SKIP",
                stacklevel=3,
            )


def _shown(spec: Spec) -> str:
    workers = spec.options.workers
    return f"{spec.name} ×{workers}" if workers > 1 else spec.name
