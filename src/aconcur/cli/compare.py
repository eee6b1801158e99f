"""``aconcur compare``: the main job."""

from __future__ import annotations

__all__ = ("add_arguments", "run")

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio

import aconcur
from aconcur.cli.command_line import UsageError
from aconcur.cli.output import page_width, rich_draws_on
from aconcur.compare import plain
from aconcur.compare.document import Block, describe
from aconcur.compare.faults import run_faults
from aconcur.compare.fit import refuse_missing_versions, refuse_unsteady
from aconcur.compare.lesson import Lesson, UnknownItemError, find_lessons, load_lessons
from aconcur.compare.machine import refuse_busy_machine
from aconcur.compare.markdown import check_page, write_page
from aconcur.compare.record import Record, as_json, write_fault_record, write_record
from aconcur.compare.rounds import MeasurementStep, measure
from aconcur.errors import AconcurError

if TYPE_CHECKING:  # rich is an extra, and takes longer to import than all the rest
    import rich.progress

PAGE = "COMPARISON.md"


class NoCheckoutError(AconcurError):
    """Raised when there is no COMPARISON.md to work on, or no sources to record beside."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Run every version of a lesson on the same real input, check that the answers agree, "
        "measure the versions in turn, and show code and figures side by side."
    )
    add = parser.add_argument
    add("items", nargs="*", metavar="ITEM", help="number or name: 39 or queue (default: all)")
    add("--all", action="store_true", help="show all pairs of code and all tables")
    add("--quick", action="store_true", help="small inputs, two rounds: checks answers only")
    add("--faults", action="store_true", help="run the fault table too: about a minute an item")
    add("--json", action="store_true", help="raw figures as JSON instead of pages")
    page = parser.add_argument_group("maintaining COMPARISON.md (in a checkout)")
    add = page.add_argument
    add(
        "--record",
        action="store_true",
        help="measure, run the faults, and write both beside the lesson",
    )
    add("--write", action="store_true", help="write COMPARISON.md from sources and records")
    add("--check", action="store_true", help="fail if COMPARISON.md differs; measures nothing")


def run(chosen: argparse.Namespace) -> None:
    """Run the command."""
    _check_usage(chosen)
    if chosen.check:
        path = _find_page()
        check_page(path, load_lessons())
        print(f"{path.name} matches the lessons", file=sys.stderr)
        return
    if chosen.record:
        _record(chosen.items)
    if chosen.write:
        path = _find_page()
        write_page(path, load_lessons())
        print(f"{path.name} written", file=sys.stderr)
    if not (chosen.record or chosen.write):
        _show(_lessons(chosen.items), chosen)


def _check_usage(chosen: argparse.Namespace) -> None:
    upkeep = [name for name in ("record", "write", "check") if getattr(chosen, name)]
    if chosen.check and len(upkeep) > 1:
        raise UsageError("--check measures and writes nothing: give it alone")
    showing = [name for name in ("all", "quick", "faults", "json") if getattr(chosen, name)]
    if upkeep and showing:
        raise UsageError(f"--{upkeep[0]} does not go with --{showing[0]}")
    if chosen.json and (chosen.all or chosen.faults):
        raise UsageError("--json prints the measured figures: it takes neither --all nor --faults")
    if chosen.items and upkeep and not chosen.record:
        raise UsageError(f"--{upkeep[0]} is for the whole page: name no item")


def _lessons(asked: Sequence[str]) -> tuple[Lesson, ...]:
    try:
        return find_lessons(asked)
    except UnknownItemError as error:
        raise UsageError(str(error)) from None


def _find_page() -> Path:
    beside = Path(aconcur.__file__).parents[2]
    for folder in (Path.cwd(), beside):
        if _is_ours(folder) and (folder / PAGE).is_file():
            return folder / PAGE
    raise NoCheckoutError(f"{PAGE} was not found here: run this in a checkout of aconcur")


def _is_ours(folder: Path) -> bool:
    """Return whether the project in a folder is aconcur, whose files we may write."""
    try:
        said = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    project = said.get("project")
    return isinstance(project, dict) and project.get("name") == "aconcur"


def _show(lessons: Sequence[Lesson], chosen: argparse.Namespace) -> None:
    """Measure lessons and show each as soon as it is done; a lesson that fails stops no other."""
    data: dict[str, object] = {}
    failed = False
    with open_screen() as screen:
        for lesson in lessons:
            try:
                page_only = not (chosen.all or chosen.json)
                record = _measure(lesson, screen, quick=chosen.quick, page_only=page_only)
                if chosen.json:
                    data[lesson.name] = as_json(record)
                else:
                    faults = run_faults(lesson, screen.note) if chosen.faults else None
                    show_all = chosen.all
                    screen.show(
                        describe(lesson, record, faults, hearts_only=not show_all, full=show_all)
                    )
            except AconcurError as error:
                failed = True
                screen.error(f"item {lesson.item} ({lesson.name}): {error}")
    if chosen.json:
        print(json.dumps(data, indent=1, ensure_ascii=False))
    if failed:
        sys.stdout.flush()
        sys.exit(1)


def _measure(
    lesson: Lesson, screen: Screen, *, quick: bool = False, page_only: bool = False
) -> Record:
    measuring = partial(measure, lesson, quick=quick, page_only=page_only, on_step=screen.step)
    return anyio.run(measuring)


def _record(asked: Sequence[str]) -> None:
    """Measure lessons and keep each record; one that is not fit stops no other."""
    if not _is_ours(Path(aconcur.__file__).parents[2]):
        raise NoCheckoutError(
            "records are written beside the sources: install a checkout with pip install -e ."
        )
    lessons = _lessons(asked)
    refuse_missing_versions(lessons)
    refuse_busy_machine()
    failed = False
    with open_screen() as screen:
        for lesson in lessons:
            try:
                record = _measure(lesson, screen)
                refuse_unsteady(lesson, record)
                faults = run_faults(lesson, screen.note)
            except AconcurError as error:
                failed = True
                screen.error(f"item {lesson.item} ({lesson.name}): {error}")
            else:
                write_record(lesson.record, record)
                if faults is not None:
                    write_fault_record(lesson.fault_record, faults)
                screen.note(f"item {lesson.item}: recorded")
    if failed:
        sys.exit(1)


class Screen:
    """Pages on stdout; progress, notes and errors on stderr.

    Nothing is drawn while a version is measured: the bar moves only between runs.
    """

    def __init__(self, pages: Pages, progress: Progress) -> None:
        self._pages, self._progress = pages, progress

    def show(self, blocks: Sequence[Block]) -> None:
        """Print a page."""
        self._progress.clear()
        self._pages.show(blocks)

    def step(self, step: MeasurementStep) -> None:
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
    pages = RichPages() if rich_draws_on(sys.stdout) else PlainPages()
    progress = Bar() if rich_draws_on(sys.stderr) else Lines()
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
        """Print a page as wide as the terminal, or of 100 columns without one."""
        texts = (plain.draw(block, page_width()) for block in blocks)
        print("\n\n".join(texts), end="\n\n\n", flush=True)


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

    def step(self, step: MeasurementStep) -> None:
        """Show the run that begins."""

    def clear(self) -> None:
        """Make room for other lines."""


class Lines:
    """One line a lesson."""

    def step(self, step: MeasurementStep) -> None:
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

    def step(self, step: MeasurementStep) -> None:
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
