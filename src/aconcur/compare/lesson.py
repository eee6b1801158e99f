"""A lesson as its lesson.toml describes it.

This module reads the file, checks that it agrees with the sources beside it, and finds lessons by
number or name. It runs nothing and draws nothing. The parts of a lesson are plain data in
:mod:`aconcur.compare.model`.
"""

from __future__ import annotations

__all__ = (
    "Lesson",
    "LessonError",
    "UnknownItemError",
    "find_lessons",
    "load_lesson",
    "load_lessons",
)

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aconcur import lessons
from aconcur.compare.excerpt import excerpt, normalized_digest
from aconcur.compare.measured import definitions_digest, is_measured, shared_sources
from aconcur.compare.model import (
    Arrow,
    Bullet,
    Case,
    Finding,
    Growth,
    Listing,
    Pair,
    Table,
)
from aconcur.errors import AconcurError
from aconcur.lessons.needs import Needs, read_needs

# A name in backticks that says where in the lesson something is shown.
QUOTED = re.compile(r"`([\w./]+\.py::[\w.]+)`")


# A measured figure: a number with its unit.
FIGURE = re.compile(r"\d\s?(?:×|%|(?:µs|ms|s|MiB|KiB)\b)")


class LessonError(AconcurError):
    """Raised when a lesson.toml and the files beside it do not agree."""


class UnknownItemError(AconcurError):
    """Raised when no lesson has the number or name that was asked for."""

    def __init__(self, asked: str, lessons: Sequence[Lesson]) -> None:
        there = ", ".join(f"{lesson.item} ({lesson.name})" for lesson in lessons)
        super().__init__(f"no item {asked!r}: choose from {there}")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One item of the chapter: a system in its original and its rebuilt form."""

    folder: Path
    package: str
    """The name under which the folder is imported."""
    item: int
    """Its number in the first edition."""
    later: tuple[int, ...]
    """Its numbers in later editions; the command line takes them too."""
    name: str
    title: str
    change: str
    use: str
    """When to use the rebuilt form."""
    stay: str
    """When to stay with threads or generators."""
    arrows: tuple[Arrow, ...]
    pairs: tuple[Pair, ...]
    listings: tuple[Listing, ...]
    cases: tuple[Case, ...]
    growth: Growth | None
    tables: tuple[Table, ...]
    findings: tuple[Finding, ...]
    bullets: tuple[Bullet, ...]
    repairs: tuple[str, ...]
    needs: Needs

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the lesson's source files, in reading order."""
        found = {file.name for file in self.folder.glob("*.py")} - {"__init__.py"}
        return tuple(sorted(found, key=lambda name: (_reading_order(name), name)))

    @property
    def record(self) -> Path:
        """The file of the recorded figures."""
        return self.folder / "record.json"

    @property
    def fault_record(self) -> Path:
        """The file of the recorded fault table."""
        return self.folder / "faults.json"

    @property
    def has_faults(self) -> bool:
        """Whether the lesson has a fault table."""
        return (self.folder / "faults.py").exists()

    @property
    def page_pairs(self) -> tuple[Pair, ...]:
        """The pairs that COMPARISON.md shows: those marked so, or else the first."""
        return tuple(pair for pair in self.pairs if pair.on_page) or self.pairs[:1]

    def code(self, reference: str, *, bare: bool = False) -> tuple[str, ...]:
        """Return the definitions that a reference names, as they stand in the file."""
        return excerpt(self.folder, reference, bare=bare)

    def digests(self) -> dict[str, str]:
        """Return the identity of everything that was measured, by the names of files.

        These are the lesson's own timed sources, those beside its folder that they import
        (``../``), and the cases and tables of lesson.toml. Docstrings, comments and blank lines
        do not count.
        """
        files = tuple(filter(is_measured, self.files))
        shared = shared_sources(self.folder, self.package, files)
        grown = [self.growth] if self.growth else []
        return {
            **{name: normalized_digest(self.folder / name) for name in files},
            **{f"../{path.name}": normalized_digest(path) for path in shared},
            "lesson.toml": definitions_digest([*self.cases, *self.tables, *grown]),
        }

    def fault_digests(self) -> dict[str, str]:
        """Return the identity of the sources that the fault table runs."""
        shared = self.folder.parent / "under_fault.py"
        return {
            **{name: normalized_digest(self.folder / name) for name in self.files},
            f"../{shared.name}": normalized_digest(shared) if shared.exists() else "",
        }


def _reading_order(name: str) -> int:
    kinds = ("work", "original", "rebuilt", "toolkit", "notes")
    return next((i for i, kind in enumerate(kinds) if name.startswith(kind)), len(kinds))


def load_lessons() -> tuple[Lesson, ...]:
    """Return every lesson of this installation, in the order of the chapter."""
    folders = sorted(file.parent for file in Path(lessons.__file__).parent.glob("*/lesson.toml"))
    return tuple(load_lesson(folder, f"{lessons.__name__}.{folder.name}") for folder in folders)


def find_lessons(asked: Sequence[str]) -> tuple[Lesson, ...]:
    """Return the lessons of these numbers or names, in the order asked, or all without a name.

    A number may be that of any edition: 39 and 70 name the same lesson.

    Raises:
        UnknownItemError: names the one that does not exist, and those that do.
    """
    every = load_lessons()
    if not asked:
        return every
    by_name = {
        key: lesson
        for lesson in every
        for key in (str(lesson.item), lesson.name, *map(str, lesson.later))
    }
    for name in asked:
        if name not in by_name:
            raise UnknownItemError(name, every)
    return tuple({by_name[name].item: by_name[name] for name in asked}.values())


def load_lesson(folder: Path, package: str) -> Lesson:
    """Read and check the lesson in ``folder``, which is imported as ``package``.

    Raises:
        LessonError: a key is missing, a text names code that the sources or the shown pairs do not
            contain, an id is used twice, or a baseline needs an extra.
    """
    path = folder / "lesson.toml"
    with path.open("rb") as file:
        said = tomllib.load(file)
    try:
        lesson = _build(folder, package, said)
    except KeyError as missing:
        raise LessonError(f"{path.parent.name}/lesson.toml has no {missing.args[0]!r}") from None
    for wrong in _disagreements(lesson):
        raise LessonError(f"{folder.name}/lesson.toml {wrong}")
    return lesson


def _build(folder: Path, package: str, said: Mapping[str, Any]) -> Lesson:
    growth = said.get("growth")
    return Lesson(
        folder=folder,
        package=package,
        item=said["item"],
        later=tuple(said.get("later", ())),
        name=said["name"],
        title=said["title"],
        change=said["change"].strip(),
        use=said["use"].strip(),
        stay=said["stay"].strip(),
        arrows=tuple(Arrow(a["what"], a["original"], a["rebuilt"]) for a in said["becomes"]),
        pairs=tuple(map(_pair, said["pair"])),
        listings=tuple(Listing(b["title"], b["code"]) for b in said.get("listing", ())),
        cases=tuple(map(_case, said.get("case", ()))),
        growth=_growth(growth) if growth else None,
        tables=tuple(map(_table, said.get("table", ()))),
        findings=tuple(map(_finding, said.get("finding", ()))),
        bullets=tuple(Bullet(b["id"], b["says"], b["shown"]) for b in said.get("bullet", ())),
        repairs=tuple(said["repairs"]),
        needs=read_needs(said),
    )


def _pair(said: Mapping[str, Any]) -> Pair:
    return Pair(said["note"].strip(), said["original"], said["rebuilt"], said.get("page", False))


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


def _growth(said: Mapping[str, Any]) -> Growth:
    return Growth(
        title=said["title"],
        unit=said["unit"],
        input=said["input"],
        sizes=tuple(said["sizes"]),
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
        on_page=said.get("page", False),
    )


def _finding(said: Mapping[str, Any]) -> Finding:
    return Finding(
        case=said["case"],
        version=said["version"],
        baseline=said.get("against", ""),
        faster=said["faster"],
        slower=said["slower"],
        unclear=said["unclear"],
    )


def _disagreements(lesson: Lesson) -> Iterator[str]:
    """Yield everything in lesson.toml that does not agree with the sources or with itself."""
    yield from _dangling_arrows(lesson)
    for reference in (
        *(side for pair in lesson.pairs for side in (pair.original, pair.rebuilt)),
        *(listing.code for listing in lesson.listings),
        *(found for bullet in lesson.bullets for found in QUOTED.findall(bullet.shown)),
    ):
        lesson.code(reference)
    ids = [case.id for case in lesson.cases] + [table.id for table in lesson.tables]
    if twice := {one for one in ids if ids.count(one) > 1}:
        yield f"uses an id twice: {sorted(twice)}"
    measured = {case.id: case.versions for case in lesson.cases}
    if lesson.growth is not None:
        measured["growth"] = lesson.growth.versions
    for name, versions in measured.items():
        label, reference = next(iter(versions.items()))
        if " @" in reference:
            yield (
                f"measures {name!r} against {label!r}, which needs an extra: put a version first "
                "that runs everywhere"
            )
    for finding in lesson.findings:
        named = [case.versions for case in lesson.cases if case.id == finding.case]
        labels = {finding.version, finding.baseline} - {""}
        if not named or labels - named[0].keys():
            yield f"compares {sorted(labels)} in {finding.case!r}, which does not measure them"
        elif words := [text for text in _wordings(finding) if FIGURE.search(text)]:
            yield f"has a figure in fixed words: {words[0]!r}"


def _wordings(finding: Finding) -> tuple[str, ...]:
    return finding.faster, finding.slower, finding.unclear


def _dangling_arrows(lesson: Lesson) -> Iterator[str]:
    """Yield the arrows with an end that no shown pair contains."""
    for side in ("original", "rebuilt"):
        shown = "\n".join(
            "\n".join(lesson.code(getattr(pair, side), bare=True)) for pair in lesson.page_pairs
        )
        for arrow in lesson.arrows:
            if getattr(arrow, side) not in shown:
                yield (
                    f"has an arrow with {getattr(arrow, side)!r}, which no {side} half of a shown "
                    "pair contains: mend the arrow or the pair"
                )
