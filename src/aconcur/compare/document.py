"""What is said about a lesson, as blocks that any renderer can draw.

Rule: every word comes from lesson.toml, every piece of code from the sources, every figure from a
record; this file only puts them in order.
"""

from __future__ import annotations

__all__ = (
    "Arrows",
    "Block",
    "Bullets",
    "Code",
    "CodePair",
    "Figures",
    "Files",
    "Footnote",
    "Heading",
    "Paragraph",
    "Plot",
    "at_a_glance",
    "describe",
)

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aconcur.compare.figures import (
    bytes_text,
    number_text,
    ratios,
    seconds_text,
    speed_text,
    spread,
)
from aconcur.compare.lesson import Case, Lesson, LessonError, Table
from aconcur.compare.machine import LIBRARIES
from aconcur.compare.plot import plot
from aconcur.compare.record import CaseRecord, Record, TableRecord, VersionRecord

NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a lesson."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; backticks mark code, two asterisks mark weight."""

    text: str


@dataclass(frozen=True, slots=True)
class Arrows:
    """What each construct became: (what, original, rebuilt)."""

    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Definitions quoted from one source file."""

    reference: str
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """All parts, with a blank line between them."""
        return "\n\n".join(self.parts)

    @property
    def width(self) -> int:
        """Columns of the longest line."""
        return max(map(len, self.text.splitlines()), default=0)


@dataclass(frozen=True, slots=True)
class CodePair:
    """Two pieces of source that do the same."""

    note: str
    original: Code
    rebuilt: Code

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """What stands side by side: part by part where both have as many, else the whole."""
        left, right = self.original, self.rebuilt
        if len(left.parts) == len(right.parts):
            return tuple(zip(left.parts, right.parts, strict=True))
        return ((left.text, right.text),)


@dataclass(frozen=True, slots=True)
class Bullets:
    """A short list under a line of its own."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """A table of measured figures; the first column is text, the rest are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves, as lines of text."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Files:
    """The whole sources of a lesson."""

    folder: str
    """Its folder in the project, with forward slashes."""
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Footnote:
    """Where and when the figures were measured."""

    text: str


Block: TypeAlias = (
    Heading | Paragraph | Arrows | CodePair | Bullets | Figures | Plot | Files | Footnote
)


def describe(lesson: Lesson, record: Record | None, *, hearts_only: bool = False) -> list[Block]:
    """Return what there is to say about a lesson.

    Args:
        lesson: the words and the code.
        record: the figures; without them figures are left out and the verdict says so.
        hearts_only: show the first pair of code instead of all.
    """
    pairs = lesson.pairs[:1] if hearts_only else lesson.pairs
    blocks: list[Block] = [
        Heading(f"Item {lesson.item} · {lesson.title}"),
        Paragraph(_fill(lesson.change, lesson, record)),
        Arrows(tuple((a.what, a.original, a.rebuilt) for a in lesson.arrows)),
        *(_pair(lesson, pair.note, pair.original, pair.rebuilt) for pair in pairs),
    ]
    if record is not None:
        blocks += (_case(case, record.case(case.id)) for case in lesson.cases)
        for table in lesson.tables:
            blocks.append(_table(table, record.table(table.id)))
            if table.plot:
                blocks.append(_plot(table, record.table(table.id)))
    blocks += [
        Paragraph(f"**Verdict.** {_fill(lesson.verdict, lesson, record)}"),
        Bullets("Repaired on the way from a reader's notes on the chapter:", lesson.repairs),
        Files(f"src/aconcur/lessons/{lesson.folder.name}", lesson.files),
        Bullets("Run it alone:", tuple(f"`{command}`" for command in _commands(lesson))),
    ]
    if record is not None:
        blocks.append(Footnote(_machine(record.machine)))
    return blocks


def _machine(said: Mapping[str, str]) -> str:
    tools = ", ".join(f"{name} {said[name]}" for name in (*LIBRARIES, "openssl") if name in said)
    return (
        f"Measured {said['date']}: {said['processor']}, {said['cores']} cores, {said['kernel']}, "
        f"{said['python']}, {tools}; load {said['load']} at the start."
    )


def _commands(lesson: Lesson) -> Iterator[str]:
    yield f"aconcur compare {lesson.item}"
    for file in lesson.files:
        version = file.removesuffix(".py")
        if version.partition("_")[0] in {"original", "rebuilt", "toolkit"}:
            yield f"python -m {lesson.package}.{version}"


def _pair(lesson: Lesson, note: str, original: str, rebuilt: str) -> CodePair:
    left, right = (Code(ref, lesson.code(ref)) for ref in (original, rebuilt))
    return CodePair(note, left, right)


def _case(case: Case, measured: CaseRecord) -> Figures:
    present = [version for version in measured.versions if not version.absent]
    baseline, *_ = measured.versions
    every = "Both versions" if len(present) == 2 else f"All {len(present)} versions"
    agreed = f"{every} gave the same answer in every run: `{measured.answer}`."
    absent = [f"{v.label} did not run: {v.absent}." for v in measured.versions if v.absent]
    rounds = f"{len(baseline.wall)} rounds, versions in turn."
    return Figures(
        title=case.what.format(size=measured.size),
        columns=(
            "version",
            "median",
            "middle half of speeds",
            f"against {baseline.label}",
            "CPU",
            "memory",
            "threads",
            "children",
        ),
        rows=tuple(_version(version, baseline) for version in present),
        foot=" ".join([agreed, rounds, *absent]),
    )


def _version(version: VersionRecord, baseline: VersionRecord) -> tuple[str, ...]:
    speed = ratios(baseline.wall, version.wall)
    is_baseline = version.label == baseline.label
    return (
        version.label,
        seconds_text(spread(version.wall).middle),
        "" if is_baseline else f"{speed.low:.2f} – {speed.high:.2f}",
        "baseline" if is_baseline else speed_text(speed),
        seconds_text(spread(version.cpu).middle),
        f"+{bytes_text(version.memory)}",
        str(version.threads),
        str(version.children),
    )


def at_a_glance(case: Case, measured: CaseRecord) -> tuple[str, str, str]:
    """Return a case in three words: the work, the baseline with its time, the others' speeds."""
    baseline, *others = measured.versions
    return (
        case.what.format(size=measured.size),
        f"{baseline.label}, {seconds_text(spread(baseline.wall).middle)}",
        ", ".join(
            f"{other.label}: {speed_text(ratios(baseline.wall, other.wall))}"
            for other in others
            if not other.absent
        ),
    )


def _table(table: Table, measured: TableRecord) -> Figures:
    numbers = {
        row: [_cell(columns[column]) for column in table.columns]
        for row, columns in measured.rows.items()
    }
    rounds = len(next(iter(next(iter(measured.rows.values())).values())))
    return Figures(
        title=table.what.format(size=measured.size),
        columns=("", *table.columns),
        rows=tuple((row, *cells) for row, cells in numbers.items()),
        foot="One round, in a fresh process."
        if rounds == 1
        else f"Medians of {rounds} rounds, each in a fresh process; in brackets the middle half.",
    )


def _plot(table: Table, measured: TableRecord) -> Plot:
    medians = {
        row: {column: spread(columns[column]).middle for column in table.columns}
        for row, columns in measured.rows.items()
    }
    return Plot(table.plot, plot(medians, table.columns, level=1))


def _cell(numbers: tuple[float, ...]) -> str:
    s = spread(numbers)
    low, middle, high = map(number_text, (s.low, s.middle, s.high))
    return middle if low == high else f"{middle} ({low} – {high})"


PLACEHOLDER = re.compile(r"\{(time|speed|memory|value):([^{}]+)\}")


def _fill(text: str, lesson: Lesson, record: Record | None) -> str:
    """Put figures where a text of lesson.toml names them."""

    def figure(found: re.Match[str]) -> str:
        kind, keys = found[1], found[2].split(":")
        try:
            _named(lesson, kind, keys)
            return NOT_MEASURED if record is None else _figure(record, kind, keys)
        except (ValueError, LookupError, StopIteration):
            raise LessonError(
                f"{lesson.folder.name}/lesson.toml names no figure {found[0]}"
            ) from None

    return PLACEHOLDER.sub(figure, text)


def _named(lesson: Lesson, kind: str, keys: list[str]) -> None:
    """Raise LookupError unless lesson.toml measures what a placeholder names."""
    if kind == "value":
        table = next(table for table in lesson.tables if table.id == keys[0])
        table.columns.index(keys[2])
    else:
        case = next(case for case in lesson.cases if case.id == keys[0])
        case.versions[keys[1]]


def _figure(record: Record, kind: str, keys: list[str]) -> str:
    if kind == "value":
        table, row, column = keys
        return number_text(spread(record.table(table).rows[row][column]).middle)
    case = record.case(keys[0])
    version = next(version for version in case.versions if version.label == keys[1])
    if version.absent:
        return NOT_MEASURED
    if kind == "time":
        return seconds_text(spread(version.wall).middle)
    if kind == "memory":
        return bytes_text(version.memory)
    return speed_text(ratios(case.versions[0].wall, version.wall))
