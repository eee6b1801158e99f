"""The content of a lesson's page, as blocks that every renderer draws in its own way.

Words come from lesson.toml, code from the sources, figures from a record. This module puts them in
order and never adds a figure to a sentence: figures stand in tables and plots, and a sentence that
depends on one is chosen by it (:func:`verdict`).

Three views of one lesson
    *short*: the page with only its first pair of code, for a terminal (``hearts_only=True``).
    *page*: the section of COMPARISON.md.
    *full*: everything, with all pairs, tables and repairs (``full=True``, ``--all``).
"""

from __future__ import annotations

__all__ = (
    "Arrows",
    "Block",
    "Bullets",
    "Change",
    "Code",
    "CodeBlock",
    "CodePair",
    "Figures",
    "Files",
    "Footnote",
    "Heading",
    "Paragraph",
    "Plot",
    "TextTable",
    "at_a_glance",
    "describe",
    "verdict",
)

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aconcur.compare.figures import (
    MIN_ROUNDS,
    NO_DIFFERENCE,
    bytes_text,
    interval_text,
    number_text,
    ratios,
    seconds_text,
    speed_text,
    spread,
)
from aconcur.compare.lesson import Lesson
from aconcur.compare.machine import LIBRARIES
from aconcur.compare.model import Case, Finding, Growth, Pair, Table
from aconcur.compare.plot import plot
from aconcur.compare.record import (
    CaseRecord,
    FaultRecord,
    Observation,
    Record,
    TableRecord,
    VersionRecord,
)


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a lesson."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; backticks mark code, two asterisks mark emphasis."""

    text: str


@dataclass(frozen=True, slots=True)
class Arrows:
    """The constructs and their replacements: (purpose, original, rebuilt)."""

    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Definitions quoted from one source file."""

    reference: str
    parts: tuple[str, ...]

    @property
    def file(self) -> str:
        """The file of the first definition."""
        return self.reference.partition("::")[0]

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
        """The halves part by part if both have as many parts, else as a whole."""
        left, right = self.original, self.rebuilt
        if len(left.parts) == len(right.parts):
            return tuple(zip(left.parts, right.parts, strict=True))
        return ((left.text, right.text),)


@dataclass(frozen=True, slots=True)
class Change:
    """Two pieces of source that differ in a few lines, as one text with both."""

    note: str
    original: Code
    rebuilt: Code

    @property
    def lines(self) -> Iterator[str]:
        """The common lines after a space, the original's own after ``-``, the new after ``+``."""
        for line in difflib.ndiff(self.original.text.splitlines(), self.rebuilt.text.splitlines()):
            if line[0] != "?":
                yield (line[0] + line[2:]).rstrip() or " "


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One piece of source with a title."""

    title: str
    code: Code


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
class TextTable:
    """A table of words."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """Time over size: all rounds of every version."""

    title: str
    unit: str
    series: Mapping[str, Mapping[int, tuple[float, ...]]]
    """Version, size, and the seconds of each round."""
    image: str
    """The picture's path in the project."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The medians as a drawing of characters: sizes evenly spaced, times from 0 upwards."""
        sizes = next(iter(self.series.values()))
        return plot(
            {
                f"{size}": {name: spread(row[size]).middle for name, row in self.series.items()}
                for size in sizes
            },
            list(self.series),
        )


@dataclass(frozen=True, slots=True)
class Files:
    """The source files of a lesson."""

    folder: str
    """The folder in the project, with forward slashes."""
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Footnote:
    """Where and when the figures were measured, or how to see more."""

    text: str


Block: TypeAlias = (
    Heading
    | Paragraph
    | Arrows
    | CodePair
    | Change
    | CodeBlock
    | Bullets
    | Figures
    | TextTable
    | Plot
    | Files
    | Footnote
)


def describe(
    lesson: Lesson,
    record: Record | None,
    faults: FaultRecord | None = None,
    *,
    hearts_only: bool = False,
    full: bool = False,
) -> list[Block]:
    """Return the blocks of a lesson's page, in order.

    Args:
        lesson: the words and the code.
        record: the figures; without them no figure and no verdict is shown.
        faults: the fault table; without it that table is left out.
        hearts_only: show the first pair of code only, and say how to see the rest.
        full: show everything that there is.
    """
    pairs = lesson.pairs if full else lesson.page_pairs[: 1 if hearts_only else None]
    blocks: list[Block] = [
        Heading(_title(lesson)),
        Paragraph(lesson.change),
        *(_code(lesson, pair, as_change=at > 0 and not full) for at, pair in enumerate(pairs)),
        Arrows(tuple((a.what, a.original, a.rebuilt) for a in lesson.arrows)),
        *(
            CodeBlock(listing.title, Code(listing.code, lesson.code(listing.code, bare=True)))
            for listing in lesson.listings
        ),
    ]
    if record is not None:
        blocks += _measured(lesson, record, full=full)
    if faults is not None:
        blocks.append(_faults(lesson, faults))
    use, stay = lesson.use, lesson.stay
    blocks.append(Paragraph(f"**Use it when** {use} **Stay with the original when** {stay}"))
    if lesson.bullets and not hearts_only:
        rows = tuple((bullet.id, bullet.says, bullet.shown) for bullet in lesson.bullets)
        blocks.append(TextTable("The notes, point by point", ("", "they say", "shown by"), rows))
    if full:
        blocks += [
            Bullets("Repaired in the notes:", lesson.repairs),
            Files(f"src/aconcur/lessons/{lesson.folder.name}", lesson.files),
            Bullets("Run it alone:", tuple(f"`{command}`" for command in _commands(lesson))),
        ]
    if record is not None:
        blocks.append(Footnote(_machine(record.machine)))
    if hearts_only and len(lesson.pairs) > 1:
        blocks.append(
            Footnote(
                f"This is the first of {len(lesson.pairs)} pairs of code. The rest: "
                f"aconcur compare {lesson.item} --all"
            )
        )
    return blocks


def _title(lesson: Lesson) -> str:
    later = " and ".join(map(str, lesson.later))
    numbers = f"Item {lesson.item}" + (f" (later editions: {later})" if later else "")
    return f"{numbers} · {lesson.title}"


def _measured(lesson: Lesson, record: Record, *, full: bool) -> Iterator[Block]:
    cases = lesson.cases if full else lesson.cases[:1]
    yield from (_case(case, record.case(case.id)) for case in cases)
    for table in lesson.tables:
        if full or table.on_page:
            yield _table(table, record.table(table.id))
    if lesson.growth is not None and record.growth:
        yield _growth(lesson, lesson.growth, record.growth)
    if found := verdict(lesson, record):
        yield Bullets("These figures say:", found)


def _machine(said: Mapping[str, str]) -> str:
    tools = ", ".join(f"{name} {said[name]}" for name in (*LIBRARIES, "openssl") if name in said)
    return (
        f"Measured {said['date']}: {said['processor']}, {said['cores']} cores, {said['kernel']}, "
        f"{said['python']}, {tools}. Just before, other programs used {said['busy']} of the "
        "processors."
    )


def _commands(lesson: Lesson) -> Iterator[str]:
    yield f"aconcur compare {lesson.item}"
    for file in lesson.files:
        version = file.removesuffix(".py")
        if version.partition("_")[0] in {"original", "rebuilt", "toolkit"}:
            yield f"python -m {lesson.package}.{version}"
    if lesson.has_faults:
        yield f"python -m {lesson.package}.faults"


def _code(lesson: Lesson, pair: Pair, *, as_change: bool) -> CodePair | Change:
    """Return a pair side by side or, to save room, as one text with both."""
    halves = (pair.original, pair.rebuilt)
    left, right = (Code(reference, lesson.code(reference, bare=True)) for reference in halves)
    return (Change if as_change else CodePair)(pair.note, left, right)


def verdict(lesson: Lesson, record: Record) -> tuple[str, ...]:
    """Return the wording of each finding that the record's figures choose.

    A finding says nothing if its case was not measured in nine rounds, or its version did not run.
    """
    measured = {case.id: case for case in record.cases}
    chosen = (
        _wording(finding, measured[finding.case])
        for finding in lesson.findings
        if finding.case in measured
    )
    return tuple(filter(None, chosen))


def _wording(finding: Finding, case: CaseRecord) -> str:
    versions = {version.label: version for version in case.versions}
    base = versions[finding.baseline] if finding.baseline else case.versions[0]
    version = versions[finding.version]
    if base.absent or version.absent or len(version.wall) < MIN_ROUNDS:
        return ""
    speed = ratios(base.wall, version.wall)
    if speed_text(speed) == NO_DIFFERENCE:
        return finding.unclear
    return finding.faster if speed.low > 1 else finding.slower


def _case(case: Case, measured: CaseRecord) -> Figures:
    present = [version for version in measured.versions if not version.absent]
    baseline, *_ = measured.versions
    absent = [f"{v.label} did not run: {v.absent}." for v in measured.versions if v.absent]
    count = len(baseline.wall)
    rounds = f"{count} rounds, versions in turn; all answers were equal."
    if count < MIN_ROUNDS:
        rounds += f" Fewer than {MIN_ROUNDS} rounds: no difference is claimed."
    return Figures(
        title=case.what.format(size=measured.size),
        columns=(
            "version",
            "median",
            f"against {baseline.label}",
            "95 % interval",
            "CPU",
            "memory",
            "threads",
            "children",
        ),
        rows=tuple(_version(version, baseline) for version in present),
        foot=" ".join([rounds, *absent]),
    )


def _version(version: VersionRecord, baseline: VersionRecord) -> tuple[str, ...]:
    speed = ratios(baseline.wall, version.wall)
    is_baseline = version.label == baseline.label
    return (
        version.label,
        seconds_text(spread(version.wall).middle),
        "baseline" if is_baseline else speed_text(speed),
        "" if is_baseline else interval_text(speed),
        seconds_text(spread(version.cpu).middle),
        f"+{bytes_text(version.memory)}",
        str(version.threads),
        str(version.children),
    )


def at_a_glance(case: Case, measured: CaseRecord) -> tuple[str, str, str]:
    """Return a case in three cells: the work, the baseline with its time, the others' speeds."""
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
        else f"Medians of {rounds} rounds, each in a fresh process; in brackets the extremes.",
    )


def _cell(numbers: tuple[float, ...]) -> str:
    low, middle, high = map(number_text, (min(numbers), spread(numbers).middle, max(numbers)))
    return middle if low == high else f"{middle} ({low} – {high})"


def _growth(lesson: Lesson, growth: Growth, records: tuple[CaseRecord, ...]) -> Plot:
    series = {
        label: {
            case.size: version.wall
            for case in records
            for version in case.versions
            if version.label == label and not version.absent
        }
        for label in growth.versions
    }
    return Plot(
        growth.title,
        growth.unit,
        {label: row for label, row in series.items() if row},
        f"src/aconcur/lessons/{lesson.folder.name}/growth.svg",
    )


def _faults(lesson: Lesson, record: FaultRecord) -> TextTable:
    versions = list(dict.fromkeys(version for row in record.rows.values() for version in row))
    rows = tuple(
        (fault, *(_observed(fault, row.get(version)) for version in versions))
        for fault, row in record.rows.items()
    )
    return TextTable(
        "Under faults: the outcome, the time until the process has ended, and everything it left",
        ("", *versions),
        rows,
        f'One cell: `python -m {lesson.package}.faults "{versions[-1]}" "Ctrl-C"`.',
    )


def _observed(fault: str, seen: Observation | None) -> str:
    if seen is None:
        return "–"
    return f"{seen}, peak {seen.peak // 1024} MiB" if fault == "a slow stage" else str(seen)
