"""Where a command shows its pages and its progress: a terminal with colours, or plain lines.

Rule: nothing is drawn while a version is measured; the bar moves only between runs.
"""

from __future__ import annotations

__all__ = ("Screen", "open_screen")

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from aconcur.compare import plain
from aconcur.compare.document import Block
from aconcur.compare.rounds import Step

if TYPE_CHECKING:  # rich is an extra, and takes longer to import than everything else
    import rich.progress

PLAIN_WIDTH = 100


class Screen:
    """What a command can show: pages on stdout; progress, notes and errors on stderr."""

    def __init__(self, pages: Pages, progress: Progress) -> None:
        self._pages, self._progress = pages, progress

    def show(self, blocks: Sequence[Block]) -> None:
        """Print a page."""
        self._progress.clear()
        self._pages.show(blocks)

    def step(self, step: Step) -> None:
        """Show how far a measurement has come."""
        self._progress.step(step)

    def note(self, text: str) -> None:
        """Print a line to stderr."""
        self._progress.clear()
        print(text, file=sys.stderr, flush=True)

    def error(self, text: str) -> None:
        """Print what went wrong to stderr."""
        self.note(f"aconcur: {text}")


@contextmanager
def open_screen() -> Iterator[Screen]:
    """Yield the screen that suits stdout and stderr as they are."""
    with_rich = find_spec("rich") is not None and os.environ.get("TERM") != "dumb"
    pages = RichPages() if with_rich and sys.stdout.isatty() else PlainPages()
    progress = Bar() if with_rich and sys.stderr.isatty() else Lines()
    try:
        yield Screen(pages, progress)
    finally:
        progress.clear()


class Pages(Protocol):
    """Something that prints pages to stdout."""

    def show(self, blocks: Sequence[Block]) -> None:
        """Print a page."""


class PlainPages:
    """Pages as plain text."""

    def show(self, blocks: Sequence[Block]) -> None:
        """Print a page as wide as the terminal, or 100 columns where there is none."""
        width = shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns
        print("\n\n".join(plain.draw(block, width) for block in blocks), end="\n\n\n", flush=True)


class RichPages:
    """Pages in colours."""

    def show(self, blocks: Sequence[Block]) -> None:
        """Print a page as wide as the terminal."""
        from rich.console import Console

        from aconcur.compare import colour

        console = Console(highlight=False)
        for block in blocks:
            console.print(colour.draw(block, console.width))
            console.print()


class Progress(Protocol):
    """Something that shows on stderr how far a measurement has come."""

    def step(self, step: Step) -> None:
        """Show the run that begins."""

    def clear(self) -> None:
        """Make room for other lines."""


class Lines:
    """One line a lesson."""

    def step(self, step: Step) -> None:
        """Say once that a lesson is being measured."""
        if step.done == 0:
            item = f"item {step.lesson.item} ({step.lesson.name})"
            print(f"measuring {item}: {step.total} runs", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Do nothing: lines stay."""


class Bar:
    """A bar that moves between runs and goes when it is done."""

    def __init__(self) -> None:
        self._bar: rich.progress.Progress | None = None

    def step(self, step: Step) -> None:
        """Move the bar to this run."""
        if self._bar is None:
            self._bar = _new_bar()
            self._bar.start()
        self._bar.update(
            self._bar.task_ids[0],
            description=f"item {step.lesson.item} · {step.running}",
            completed=step.done,
            total=step.total,
            refresh=True,
        )

    def clear(self) -> None:
        """Take the bar away until the next step."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _new_bar() -> rich.progress.Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )
    bar.add_task("")
    return bar
