"""A lesson as its lesson.toml states it: words, pairs of code, cases and tables to measure.

Rule: this file reads and checks; it runs nothing and draws nothing.
"""

from __future__ import annotations

__all__ = (
    "Arrow",
    "Case",
    "Lesson",
    "LessonError",
    "Pair",
    "Table",
    "UnknownItemError",
    "find_lessons",
    "load_lesson",
    "load_lessons",
)

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aconcur import lessons
from aconcur.compare.excerpt import excerpt, normalized_digest
from aconcur.compare.measured import definitions_digest, shared_sources
from aconcur.errors import AconcurError
from aconcur.lessons.needs import Needs, read_needs


class LessonError(AconcurError):
    """Raised when a lesson.toml and the files beside it do not agree."""


class UnknownItemError(AconcurError):
    """Raised when no lesson goes by the name or number that was asked for."""

    def __init__(self, asked: str, lessons: Sequence[Lesson]) -> None:
        there = ", ".join(f"{lesson.item} ({lesson.name})" for lesson in lessons)
        super().__init__(f"no item {asked!r}: choose from {there}")


@dataclass(frozen=True, slots=True)
class Arrow:
    """One construct of the original and what became of it."""

    what: str
    original: str
    rebuilt: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pieces of source that do the same: ``file.py::name`` each."""

    note: str
    original: str
    rebuilt: str


@dataclass(frozen=True, slots=True)
class Case:
    """Versions of one system, run on one input; their answers must be equal."""

    id: str
    what: str
    input: str
    """The context manager in work.py that makes the input."""
    size: int
    quick: int
    rounds: int
    versions: Mapping[str, str]
    """Label to ``file.py::function [@backend]``; the first is the baseline."""


@dataclass(frozen=True, slots=True)
class Table:
    """Figures that one function measures by itself."""

    id: str
    what: str
    call: str
    size: int
    quick: int
    rounds: int
    columns: tuple[str, ...]
    plot: str = ""
    """What the figures are, if they are to be drawn as curves over the rows; 1 is marked."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One item of the chapter: a system, its original and its rebuilt form."""

    folder: Path
    package: str
    """The name under which the folder is imported."""
    item: int
    name: str
    title: str
    change: str
    verdict: str
    arrows: tuple[Arrow, ...]
    pairs: tuple[Pair, ...]
    cases: tuple[Case, ...]
    tables: tuple[Table, ...]
    repairs: tuple[str, ...]
    needs: Needs

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the lesson's source files, in reading order."""
        found = {file.name for file in self.folder.glob("*.py")} - {"__init__.py"}
        return tuple(sorted(found, key=lambda name: (_reading_order(name), name)))

    @property
    def record(self) -> Path:
        """Where the recorded figures stand."""
        return self.folder / "record.json"

    def code(self, reference: str) -> tuple[str, ...]:
        """Return the definitions that a pair's reference names, as they stand in the file."""
        return excerpt(self.folder, reference)

    def digests(self) -> dict[str, str]:
        """Return what identifies all that was measured, by the names of files.

        These are the lesson's own sources, those beside its folder that they import (``../``), and
        in lesson.toml the definitions of cases and tables. Comments and blank lines do not count.
        """
        shared = shared_sources(self.folder, self.package, self.files)
        return {
            **{name: normalized_digest(self.folder / name) for name in self.files},
            **{f"../{path.name}": normalized_digest(path) for path in shared},
            "lesson.toml": definitions_digest([*self.cases, *self.tables]),
        }


def _reading_order(name: str) -> int:
    kinds = ("work", "original", "rebuilt", "toolkit")
    return next((i for i, kind in enumerate(kinds) if name.startswith(kind)), len(kinds))


def load_lessons() -> tuple[Lesson, ...]:
    """Return every lesson of this installation, in the order of the chapter."""
    folders = sorted(file.parent for file in Path(lessons.__file__).parent.glob("*/lesson.toml"))
    return tuple(load_lesson(folder, f"{lessons.__name__}.{folder.name}") for folder in folders)


def find_lessons(asked: Sequence[str]) -> tuple[Lesson, ...]:
    """Return the lessons of these numbers or names, in the order asked; all when none is asked.

    Raises:
        UnknownItemError: names the one that does not exist, and those that do.
    """
    every = load_lessons()
    by_name = {key: lesson for lesson in every for key in (str(lesson.item), lesson.name)}
    if not asked:
        return every
    for name in asked:
        if name not in by_name:
            raise UnknownItemError(name, every)
    return tuple({by_name[name].item: by_name[name] for name in asked}.values())


def load_lesson(folder: Path, package: str) -> Lesson:
    """Read and check the lesson in ``folder``, which is imported as ``package``.

    Raises:
        LessonError: a key is missing, a name in it is not in the sources, an id is given twice, or
            a baseline may be absent.
    """
    path = folder / "lesson.toml"
    with path.open("rb") as file:
        said = tomllib.load(file)
    try:
        lesson = _build(folder, package, said)
    except KeyError as missing:
        raise LessonError(f"{path.parent.name}/lesson.toml has no {missing.args[0]!r}") from None
    _check(lesson, said)
    return lesson


def _build(folder: Path, package: str, said: Mapping[str, Any]) -> Lesson:
    return Lesson(
        folder=folder,
        package=package,
        item=said["item"],
        name=said["name"],
        title=said["title"],
        change=said["change"].strip(),
        verdict=said["verdict"].strip(),
        arrows=tuple(Arrow(a["what"], a["original"], a["rebuilt"]) for a in said["becomes"]),
        pairs=tuple(Pair(p["note"].strip(), p["original"], p["rebuilt"]) for p in said["pair"]),
        cases=tuple(map(_case, said.get("case", ()))),
        tables=tuple(map(_table, said.get("table", ()))),
        repairs=tuple(said["repairs"]),
        needs=read_needs(said),
    )


def _case(said: Mapping[str, Any]) -> Case:
    return Case(
        id=said["id"],
        what=said["what"],
        input=said["input"],
        size=said["size"],
        quick=said["quick"],
        rounds=said["rounds"],
        versions=dict(said["versions"]),
    )


def _table(said: Mapping[str, Any]) -> Table:
    return Table(
        id=said["id"],
        what=said["what"],
        call=said["call"],
        size=said["size"],
        quick=said["quick"],
        rounds=said["rounds"],
        columns=tuple(said["columns"]),
        plot=said.get("plot", ""),
    )


def _check(lesson: Lesson, said: Mapping[str, Any]) -> None:
    for arrow, raw in zip(lesson.arrows, said["becomes"], strict=True):
        for side in ("original", "rebuilt"):
            file = raw.get(f"{side}_file", f"{side}.py")
            if getattr(arrow, side) not in (lesson.folder / file).read_text(encoding="utf-8"):
                raise LessonError(
                    f"{lesson.folder.name}/{file} does not say {getattr(arrow, side)!r}: "
                    "mend the arrow in lesson.toml"
                )
    for pair in lesson.pairs:
        lesson.code(pair.original)
        lesson.code(pair.rebuilt)
    ids = [case.id for case in lesson.cases] + [table.id for table in lesson.tables]
    if twice := {one for one in ids if ids.count(one) > 1}:
        raise LessonError(f"{lesson.folder.name}/lesson.toml uses an id twice: {sorted(twice)}")
    for case in lesson.cases:
        label, reference = next(iter(case.versions.items()))
        if " @" in reference:
            raise LessonError(
                f"{lesson.folder.name}/lesson.toml measures {case.id!r} against {label!r}, which "
                "needs an extra: put a version first that runs everywhere"
            )
