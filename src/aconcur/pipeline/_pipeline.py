"""Pipelines: values that describe stages, and the ways to run them."""

from __future__ import annotations

__all__ = ("Pipeline", "stage")

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, final, overload

import anyio

from aconcur._core.numbers import check_count, check_seconds
from aconcur.pipeline._calls import is_coroutine_function
from aconcur.pipeline._journal import Journal
from aconcur.pipeline._options import (
    THREADS,
    Fed,
    Kind,
    Options,
    Source,
    Spec,
    StageOptions,
    Via,
)
from aconcur.pipeline._progress import Shown
from aconcur.pipeline._report import PipelineReport
from aconcur.pipeline._run import Run, running
from aconcur.pipeline._sync import iterate
from aconcur.pipeline._through import Through
from aconcur.pipeline._ways import KeyOf, Ways, collect, run_to_the_end

if TYPE_CHECKING:
    from aconcur.process import Runnable

A = TypeVar("A")
B = TypeVar("B")
In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


@final
class Pipeline(Generic[In, Out]):
    """Stages that items pass, each with workers of its own: a value that describes them.

    Made by :func:`stage`, and longer by its methods, each of which returns another pipeline. It
    holds nothing that runs, and may run twice at once. ::

        thumbs = (
            stage(download, workers=32, timeout=30, retry=Retry(3, backoff=0.2))
            .map(resize, workers=2, via=THREADS)
            .map(upload, workers=16, on_error=COLLECT)
        )
        async with thumbs.open(urls) as run:
            async for path in run:
                print(path)
        print(run.report)

    Ahead of the consumer at most the sum of all buffers and workers, and one more, is drawn from
    the source; a stage in threads holds two items for each worker, and an async source is read 16
    items ahead. ``first | second`` joins two pipelines.

    Cost: with 8 workers a stage and ``buffer=64`` about 0.5 µs an item and stage on asyncio, 1 µs
    on trio; twice that with a buffer of 16, where the tasks switch more often. A timeout adds
    0.2 µs, a thread 10 µs. Measured on CPython 3.11, two cores, as all costs here.
    """

    __slots__ = ("_specs",)

    def __init__(self, specs: tuple[Spec, ...]) -> None:
        self._specs = specs

    def __repr__(self) -> str:
        return f"<Pipeline {' | '.join(map(_shown, self._specs))}>"

    def __or__(self, other: Pipeline[Out, B]) -> Pipeline[In, B]:
        if not isinstance(other, Pipeline):
            return NotImplemented
        return Pipeline(self._specs + other._specs)

    # ------------------------------------------------------------ describing

    @overload
    def map(
        self, function: Callable[[Out], Awaitable[B]], **options: Unpack[StageOptions]
    ) -> Pipeline[In, B]: ...
    @overload
    def map(
        self,
        function: Callable[[Out], B],
        *,
        via: Via | None = None,
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, B]: ...
    def map(
        self,
        function: Callable[[Any], Any],
        *,
        via: Via | None = None,
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, Any]:
        """Add a stage that turns each item into one result.

        Args:
            function: a coroutine function; or a plain one, called in the event loop, or where
                ``via`` says.
            via: where a blocking function runs: THREADS, an executor or a pool of
                :mod:`aconcur.parallel`, which stay open.
            options: see :class:`StageOptions`.

        Raises:
            ValueError: an option is out of its range, or a timeout is asked of what cannot be
                stopped: a thread, an executor.
            TypeError: the function cannot be called, or is a coroutine function with ``via``; or
                an option is none of what it may be.
        """
        return self._with(_spec("map", function, options, via))

    @overload
    def flat_map(
        self,
        function: Callable[[Out], AsyncIterable[B]],
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, B]: ...
    @overload
    def flat_map(
        self,
        function: Callable[[Out], Awaitable[Iterable[B]]],
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, B]: ...
    @overload
    def flat_map(
        self,
        function: Callable[[Out], Iterable[B]],
        *,
        via: Via | None = None,
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, B]: ...
    def flat_map(
        self,
        function: Callable[[Any], Any],
        *,
        via: Via | None = None,
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, Any]:
        """Add a stage that turns each item into any number of results.

        One worker, or ``ordered=False``: results are passed on one at a time, as there is room.
        Several workers in order: what one item becomes is gathered in a list first. A timeout is
        for the call, not for an iterator that it returns. An attempt that failed in the middle
        and is tried again passes on its first results again.

        Args:
            function: returns an iterable, or (as an async generator does) an async iterable.
            via: as for :meth:`map`.
            options: see :class:`StageOptions`.
        """
        return self._with(_spec("flat_map", function, options, via))

    def filter(
        self,
        function: Callable[[Out], Awaitable[object] | object],
        *,
        via: Via | None = None,
        **options: Unpack[StageOptions],
    ) -> Pipeline[In, Out]:
        """Add a stage that lets an item pass if the function returns what is true of it.

        Args:
            function: as for :meth:`map`.
            via: as for :meth:`map`.
            options: see :class:`StageOptions`.
        """
        return self._with(_spec("filter", function, options, via))

    def through(
        self: Pipeline[In, bytes], command: Runnable, **options: Unpack[StageOptions]
    ) -> Pipeline[In, bytes]:
        """Add a stage that sends each item through a command, or a pipe of commands.

        An item is what the first command reads, the result is what the last one writes. ::

            pages.through(Command("gzip", "-9") | Command("openssl", "sha256"), workers=4)

        A command is started for each item and has ended, with all that it started, when its item
        is done, failed or cancelled. What it wrote is held in memory.

        Args:
            command: a :class:`~aconcur.process.Command` or
                :class:`~aconcur.process.CommandPipe`.
            options: see :class:`StageOptions`; the name is the program's.

        An item fails with a :exc:`~aconcur.process.CommandError`: CommandFailed holds the status
        and the errors that the command wrote, CommandTimeout (when ``timeout`` is over) what it
        wrote so far. It fails with a TypeError if it is no bytes.

        Cost: that of starting a process, some 1 ms.
        """
        checked = Options(**options)
        function = Through(command, checked.timeout)
        spec = Spec("map", function, replace(checked, timeout=None), checked.name or function.name)
        return self._with(spec)

    def rate_limit(
        self, items: float, *, per: float = 1.0, burst: int = 1, name: str | None = None
    ) -> Pipeline[In, Out]:
        """Add a stage that lets items pass at most so often.

        In any ``t`` seconds the next stage takes at most ``burst + items * t / per`` of them. An
        item passes when the next stage takes it: those that wait for a free worker are not let
        loose at once. Attempts after the first are not counted. Each run has a limit of its own.

        With ``burst=1`` two items are never less than ``per / items`` seconds apart. As timers are
        late by up to a millisecond, some fewer pass than might; a larger burst makes up for it.

        Args:
            items: how many pass in ``per`` seconds, more than 0.
            per: seconds, more than 0.
            burst: how many pass at once after a pause, and at the start; at least 1.
            name: of the stage; ``"rate_limit"``.

        Raises:
            ValueError: a number is out of its range.

        Source: the generic cell rate algorithm, ITU-T I.371, 2004.
        """
        if not items > 0:
            raise ValueError(f"items must be more than 0, not {items}")
        check_seconds("per", per, above=True)
        check_count("burst", burst, 1)
        options = Options(buffer=1)
        name = name or "rate_limit"
        return self._with(Spec("rate_limit", list, options, name, size=burst, gap=per / items))

    def merge(
        self,
        *others: Source[B] | Fed[B],
        buffer: int | None = None,
        name: str | None = None,
    ) -> Pipeline[In, Out | B]:
        """Add a stage where items of other sources join in, as they come.

        ::

            pages = stage(download).merge(archive, stage(render).fed_by(drafts)).map(store)
            await pages.run(urls)

        Of one source they keep their order. They take turns where all have items. It ends when
        all have ended. What is given here is iterated over in every run: a queue or a generator
        has its items once.

        Args:
            others: iterables and async iterables, such as a :class:`Queue`; and pipelines with
                sources of their own, made by :meth:`fed_by`, whose stages run with these.
            buffer: items that may wait for the next stage.
            name: of the stage; ``"merge"``.

        Raises:
            ValueError: there is none.
            TypeError: one is a pipeline without a source.
        """
        if not others:
            raise ValueError("merge needs at least one other source, not 0")
        for other in others:
            if isinstance(other, Pipeline):
                raise TypeError(f"{other!r} has no source: give it one with fed_by()")
        return self._with(
            Spec("merge", list, Options(buffer=buffer), name or "merge", others=others)
        )

    def fed_by(self, source: Source[In]) -> Fed[Out]:
        """Return the pipeline with a source, for :meth:`merge`. It runs as part of the other."""
        return Fed(self._specs, source)

    def batch(
        self,
        size: int,
        *,
        max_wait: float | None = None,
        buffer: int | None = None,
        name: str | None = None,
    ) -> Pipeline[In, list[Out]]:
        """Add a stage that gathers items into lists.

        Args:
            size: items of a list, at least 1; the last one may have fewer.
            max_wait: seconds after which a list leaves with fewer; None: only at the end.
            buffer: lists that may wait for the next stage.
            name: of the stage; ``"batch"``.
        """
        check_count("size", size, 1)
        if max_wait is not None:
            check_seconds("max_wait", max_wait)
        options = Options(buffer=buffer)
        return self._with(
            Spec("batch", list, options, name or "batch", size=size, max_wait=max_wait)
        )

    def _with(self, spec: Spec) -> Pipeline[In, Any]:
        return Pipeline((*self._specs, spec))

    # --------------------------------------------------------------- running

    def open(
        self, source: Source[In], *, unwrap: bool = False
    ) -> AbstractAsyncContextManager[Run[Out]]:
        """Return a block in which the pipeline runs; iterate over what it gives.

        When the block is left, however, nothing of the run is left: tasks are cancelled, calls in
        threads are waited for. Errors of stages come out of it as one ExceptionGroup, each the
        original object with a note of its stage and item.

        Args:
            source: an iterable, which the workers of the first stage draw from in the loop's
                thread; or an async iterable, such as a :class:`Queue`.
            unwrap: raise a single error bare, not in a group.

        No journal here: what the consumer did with a result, none can know. Make it a stage, and
        use :meth:`run`.

        **Cancelled**: so are all stages; ``run.report`` counts what they held as cancelled.
        """
        return running(self._specs, source, unwrap=unwrap)

    async def collect(
        self,
        source: Source[In],
        *,
        unwrap: bool = False,
        journal: Journal | None = None,
        key: KeyOf[In] | None = None,
        progress: Shown = False,
    ) -> list[Out]:
        """Run, and return all results.

        Args:
            source: as for :meth:`open`.
            unwrap: as for :meth:`open`.
            journal: as for :meth:`run`. Results are kept in it; those that are recorded are
                returned with the new ones, in the order of the source.
            key: as for :meth:`run`.
            progress: as for :meth:`run`.

        **Cancelled**: nothing of the run is left; its results are lost, but for what a journal has.

        Raises:
            ExceptionGroup: what stages raised.
            JournalError: as for :meth:`run`, or a result cannot be recorded.
            ValueError: there are a journal and a :meth:`batch`.
        """
        return await collect(self._specs, source, Ways(unwrap, journal, key, progress))

    async def run(
        self,
        source: Source[In],
        *,
        unwrap: bool = False,
        journal: Journal | None = None,
        key: KeyOf[In] | None = None,
        progress: Shown = False,
    ) -> PipelineReport:
        """Run to the end, forget the results, and return the account.

        Args:
            source: as for :meth:`open`.
            unwrap: as for :meth:`open`.
            journal: notes what is done. The same call resumes a run that was cancelled or killed,
                or that an error ended.
            key: tells items apart in the journal: returns a str, an int or bytes. None: the items
                are such themselves.
            progress: show on stderr how far it has come: in a terminal a bar and a line for each
                stage, if rich is there (extra ``cli``), else a line every five seconds. Or a
                function, called with a :class:`PipelineReport` ten times a second and at the end;
                or a :class:`Progress`.

        **Cancelled**: nothing of the run is left.

        Raises:
            ExceptionGroup: what stages raised.
            JournalError: the journal is another pipeline's or in use, or cannot be read or
                written; or two items have one key, or one has none.
        """
        return await run_to_the_end(self._specs, source, Ways(unwrap, journal, key, progress))

    def run_sync(
        self,
        source: Source[In],
        *,
        backend: str = "asyncio",
        unwrap: bool = False,
        journal: Journal | None = None,
        key: KeyOf[In] | None = None,
        progress: Shown = False,
    ) -> PipelineReport:
        """:meth:`run` in an event loop of its own, from code that has none.

        Args:
            source: as for :meth:`open`.
            backend: ``"asyncio"`` or ``"trio"``.
            unwrap: as for :meth:`open`.
            journal: as for :meth:`run`.
            key: as for :meth:`run`.
            progress: as for :meth:`run`.
        """
        ways = Ways(unwrap, journal, key, progress)
        return anyio.run(run_to_the_end, self._specs, source, ways, backend=backend)

    def iter_sync(
        self, source: Source[In], *, backend: str = "asyncio", unwrap: bool = False
    ) -> Iterator[Out]:
        """Yield the results in plain code: the pipeline runs in an event loop in a thread.

        It runs as far ahead as its buffers reach, and 128 results. Close the generator, or use it
        up, to end the run.

        Args:
            source: as for :meth:`open`; it is drawn from in that thread.
            backend: ``"asyncio"`` or ``"trio"``.
            unwrap: as for :meth:`open`.

        Cost: about 5 µs a result.
        """
        return iterate(partial(self.open, source, unwrap=unwrap), backend)


@overload
def stage(
    function: Callable[[A], Awaitable[B]], **options: Unpack[StageOptions]
) -> Pipeline[A, B]: ...
@overload
def stage(
    function: Callable[[A], B], *, via: Via | None = None, **options: Unpack[StageOptions]
) -> Pipeline[A, B]: ...
def stage(
    function: Callable[[Any], Any], *, via: Via | None = None, **options: Unpack[StageOptions]
) -> Pipeline[Any, Any]:
    """Return a pipeline of one stage: see :meth:`Pipeline.map`."""
    return Pipeline((_spec("map", function, options, via),))


def _spec(
    kind: Kind, function: Callable[[Any], Any], options: StageOptions, via: Via | None
) -> Spec:
    checked = Options(**options)
    if not callable(function):
        raise TypeError(f"a stage needs a function, not {function!r}")
    if via is not None:
        _check_via(function, via)
    if checked.timeout is not None and (via is THREADS or isinstance(via, Executor)):
        raise ValueError(
            "timeout= cannot stop a blocking function: limit it inside, or run it via= a pool"
        )
    return Spec(kind, function, checked, checked.name or _name(function), via)


def _check_via(function: Callable[[Any], Any], via: object) -> None:
    if via is not THREADS and not isinstance(via, Executor) and not hasattr(via, "run"):
        raise TypeError(f"via must be THREADS, an executor or a pool, not {via!r}")
    if is_coroutine_function(function):
        raise TypeError(
            f"{_name(function)} is a coroutine function, and via= is for blocking ones: leave it"
        )


def _name(function: object) -> str:
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    return str(name)


def _shown(spec: Spec) -> str:
    workers = spec.options.workers
    return f"{spec.name} ×{workers}" if workers > 1 else spec.name
