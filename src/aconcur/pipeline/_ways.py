"""Ways to run a pipeline to its end: with a journal or without, shown or not."""

from __future__ import annotations

__all__ = ("KeyOf", "Ways", "collect", "run_to_the_end")

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from aconcur.pipeline._journal import Journal, journaled
from aconcur.pipeline._journal_file import Key
from aconcur.pipeline._journal_trace import Book
from aconcur.pipeline._options import Source, Spec
from aconcur.pipeline._progress import Shown, display, showing
from aconcur.pipeline._report import PipelineReport
from aconcur.pipeline._run import Run, running

T = TypeVar("T")
KeyOf: TypeAlias = Callable[[T], Key]
"""Tells items apart in a journal."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How a pipeline is to be run: see :meth:`Pipeline.run`."""

    unwrap: bool = False
    journal: Journal | None = None
    key: KeyOf[Any] | None = None
    progress: Shown = False

    def __post_init__(self) -> None:
        if self.journal is not None and not isinstance(self.journal, Journal):
            raise TypeError(f"journal must be a Journal: Journal({self.journal!r})")
        if self.key is not None and self.journal is None:
            raise ValueError("key= is for a journal: give journal= too, or leave it")
        if self.key is not None and not callable(self.key):
            raise TypeError(f"key must be a function that returns an item's key, not {self.key!r}")


@asynccontextmanager
async def _running(
    specs: Sequence[Spec], source: Source[Any], ways: Ways, *, gather: bool
) -> AsyncIterator[tuple[Run[Any], Book | None]]:
    async with AsyncExitStack() as stack:
        book = beside = None
        if ways.journal is not None:
            journal = journaled(ways.journal, specs, ways.key, collect=gather)
            book = await stack.enter_async_context(journal)
        if (progress := display(ways.progress)) is not None:
            beside = await stack.enter_async_context(showing(progress))
        run = running(specs, source, unwrap=ways.unwrap, book=book, beside=beside)
        yield await stack.enter_async_context(run), book


async def collect(specs: Sequence[Spec], source: Source[Any], ways: Ways) -> list[Any]:
    """Return all results."""
    results: list[Any] = []
    async with _running(specs, source, ways, gather=True) as (run, book):
        while taken := await run.take():
            if book is None:
                results += taken
    return results if book is None else book.results()


async def run_to_the_end(specs: Sequence[Spec], source: Source[Any], ways: Ways) -> PipelineReport:
    """Forget the results; return the account."""
    async with _running(specs, source, ways, gather=False) as (run, _):
        while await run.take():
            pass
    return run.report
