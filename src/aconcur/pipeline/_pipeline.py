"""Pipelines: values that describe stages."""

from __future__ import annotations

__all__ = ("Pipeline", "stage")

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, final, overload

from aconcur._core.validation import check_count, check_number, check_seconds
from aconcur.pipeline._calls import is_coroutine_function
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
from aconcur.pipeline._runs import Runs
from aconcur.pipeline._through import Through

if TYPE_CHECKING:
    from aconcur.process import Runnable

A = TypeVar("A")
B = TypeVar("B")
In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


@final
class Pipeline(Runs[In, Out]):
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

    Cost: with 8 workers a stage and ``buffer=64`` about 0.5 µs an item and stage, a tenth more on
    trio; twice that with a buffer of 16, where the tasks switch more often. A timeout adds 0.2 µs,
    a thread 8 µs. Measured on CPython 3.11, two cores, as all costs here: see
    ``python -m benchmarks.pipeline``.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Pipeline {' | '.join(map(_shown, self._specs))}>"

    def __or__(self, other: Pipeline[Out, B]) -> Pipeline[In, B]:
        if not isinstance(other, Pipeline):
            return NotImplemented
        return Pipeline(self._specs + other._specs)

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
        checked = Options.given(options)
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
        check_number("items", items, above=True)
        check_seconds("per", per, above=True)
        check_count("burst", burst, 1)
        options = Options(buffer=1, name=name)
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
            Spec("merge", list, Options(buffer=buffer, name=name), name or "merge", others=others)
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
        options = Options(buffer=buffer, name=name)
        return self._with(
            Spec("batch", list, options, name or "batch", size=size, max_wait=max_wait)
        )

    def _with(self, spec: Spec) -> Pipeline[In, Any]:
        return Pipeline((*self._specs, spec))


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
    checked = Options.given(options)
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
