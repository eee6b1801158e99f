"""The ways to run a pipeline."""

from __future__ import annotations

__all__ = ("Runs",)

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Generic, TypeVar

import anyio

from aconcur._core.loops import current_loop
from aconcur.pipeline._journal import Journal
from aconcur.pipeline._options import Source, Spec
from aconcur.pipeline._progress import Shown
from aconcur.pipeline._report import PipelineReport
from aconcur.pipeline._run import Run, running
from aconcur.pipeline._sync import iterate
from aconcur.pipeline._ways import KeyOf, Ways, collect, run_to_the_end

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Runs(Generic[In, Out]):
    """What runs: the half of a pipeline that has nothing to do with how it is described."""

    __slots__ = ("_specs",)

    def __init__(self, specs: tuple[Spec, ...]) -> None:
        self._specs = specs

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

        Raises:
            RuntimeError: an event loop runs in this thread.
        """
        if current_loop() is not None:
            raise RuntimeError("run_sync() would block the event loop here: await run()")
        ways = Ways(unwrap, journal, key, progress)
        return anyio.run(run_to_the_end, self._specs, source, ways, backend=backend)

    def iter_sync(
        self, source: Source[In], *, backend: str = "asyncio", unwrap: bool = False
    ) -> Iterator[Out]:
        """Yield the results in plain code: the pipeline runs in an event loop in a thread.

        It runs as far ahead as its buffers reach, and 128 results. Close the generator, or use it
        up, to end the run. There is no journal here, as in :meth:`open`: use :meth:`run_sync`.

        Args:
            source: as for :meth:`open`; it is drawn from in that thread.
            backend: ``"asyncio"`` or ``"trio"``.
            unwrap: as for :meth:`open`.

        Cost: about 5 µs a result.
        """
        return iterate(partial(self.open, source, unwrap=unwrap), backend)
