"""``aconcur compare``: the main job."""

from __future__ import annotations

__all__ = ("run",)

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

import aconcur
from aconcur.cli.command import UsageError
from aconcur.cli.screen import Screen, open_screen
from aconcur.compare.document import describe
from aconcur.compare.fit import refuse_missing_versions, refuse_unsteady
from aconcur.compare.lesson import Lesson, UnknownItemError, find_lessons, load_lessons
from aconcur.compare.machine import refuse_busy_machine
from aconcur.compare.markdown import check_page, page
from aconcur.compare.record import Record, as_json, write_record
from aconcur.compare.rounds import measure
from aconcur.errors import AconcurError

PAGE = "COMPARISON.md"


class NoCheckoutError(AconcurError):
    """Raised when there is no COMPARISON.md to work on, or no sources to record beside."""


def run(chosen: argparse.Namespace) -> None:
    """Obey the command line."""
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
        path.write_text(page(load_lessons()), encoding="utf-8")
        print(f"{path.name} written", file=sys.stderr)
    if not (chosen.record or chosen.write):
        _show(_lessons(chosen.items), quick=chosen.quick, as_data=chosen.json)


def _check_usage(chosen: argparse.Namespace) -> None:
    upkeep = [name for name in ("record", "write", "check") if getattr(chosen, name)]
    if chosen.check and len(upkeep) > 1:
        raise UsageError("--check measures and writes nothing: give it alone")
    if upkeep and (chosen.quick or chosen.json):
        raise UsageError(f"--{upkeep[0]} takes neither --quick nor --json")
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


def _show(lessons: Sequence[Lesson], *, quick: bool, as_data: bool) -> None:
    """Measure lessons and show each as soon as it is done; a lesson that fails stops no other."""
    data: dict[str, object] = {}
    failed = False
    with open_screen() as screen:
        for lesson in lessons:
            try:
                record = _measure(lesson, screen, quick=quick)
                if as_data:
                    data[lesson.name] = as_json(record)
                else:
                    screen.show(describe(lesson, record, hearts_only=True))
            except AconcurError as error:
                failed = True
                screen.error(f"item {lesson.item} ({lesson.name}): {error}")
    if as_data:
        print(json.dumps(data, indent=1, ensure_ascii=False))
    if failed:
        sys.stdout.flush()
        sys.exit(1)


def _measure(lesson: Lesson, screen: Screen, *, quick: bool) -> Record:
    return anyio.run(partial(measure, lesson, quick=quick, on_step=screen.step))


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
                record = _measure(lesson, screen, quick=False)
                refuse_unsteady(lesson, record)
            except AconcurError as error:
                failed = True
                screen.error(f"item {lesson.item} ({lesson.name}): {error}")
            else:
                write_record(lesson.record, record)
                screen.note(f"item {lesson.item}: {lesson.record.name} written")
    if failed:
        sys.exit(1)
