"""COMPARISON.md: the lessons' blocks as GitHub draws them, and the check that it is up to date."""

from __future__ import annotations

__all__ = ("OutdatedError", "StaleRecordError", "check_page", "page", "pictures", "write_page")

import difflib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from html import escape
from pathlib import Path

from aconcur._core.atomic_file import replace_file
from aconcur.compare.document import (
    Arrows,
    Block,
    Bullets,
    Change,
    Code,
    CodeBlock,
    CodePair,
    Figures,
    Files,
    Footnote,
    Heading,
    Paragraph,
    Plot,
    TextTable,
    at_a_glance,
    describe,
)
from aconcur.compare.lesson import Lesson
from aconcur.compare.lookup import lookup_tables
from aconcur.compare.picture import picture
from aconcur.compare.record import FaultRecord, Record, read_fault_record, read_record
from aconcur.errors import AconcurError

PREFACE = """\
<!-- Generated from the lessons by: aconcur compare --write. Edit them, not this page. -->

# Comparison

Six systems from a well-known chapter on concurrency in Python, each on threads, generators or
`Popen`, and beside it on `async`/`await`, on asyncio alone and with aconcur. The originals follow
one reader's notes on items 36 to 41. Three more systems (76 to 78) are what later editions add: a
server, a program that moves step by step, a responsive event loop. Every line of code is quoted
from a file that runs.

- **Times** are medians. A speed is the baseline's time divided by the version's: above 1 is faster.
  It is the median of the ratios of at least nine rounds, and it is shown only if the 95 % interval
  of that median excludes 1. Two equal versions get a figure in at most 5 % of comparisons.
- **CPU** includes children that have ended. **Memory** is how far the first run raised the peak of
  the process. **Threads** and **children** are those that one run starts.
- **Faults** are runs: a command beside each table shows one cell. "runs on" means that the process
  still ran after 8 seconds; everything left was then killed. A helper process that a library keeps
  for the life of the program, such as aconcur's guardian, is not counted while the program runs.

`aconcur compare 39` measures on your machine; `aconcur compare 39 --all` shows all code.

"""


class OutdatedError(AconcurError):
    """Raised when COMPARISON.md or a picture differs from the sources and records."""

    def __init__(self, difference: Sequence[str]) -> None:
        shown = "".join(difference[:40]).rstrip()
        super().__init__(
            f"COMPARISON.md does not match the lessons: run 'aconcur compare --write'\n{shown}"
        )


class StaleRecordError(AconcurError):
    """Raised when a record was made with other sources, cases or tables."""

    def __init__(self, lesson: Lesson, files: Sequence[str], record: str = "record.json") -> None:
        super().__init__(
            f"{lesson.folder.name}/{record} measured another {', '.join(files)}: "
            f"run 'aconcur compare {lesson.item} --record'"
        )


def page(lessons: Sequence[Lesson]) -> str:
    """Return the whole of COMPARISON.md.

    Raises:
        RecordError: a lesson has no record.
        StaleRecordError: a record belongs to other sources.
    """
    records = {lesson.item: _fresh_record(lesson) for lesson in lessons}
    glance = [
        "| item | the work | baseline | against it |",
        "| --- | --- | --- | --- |",
        *(line for lesson in lessons for line in _glance(lesson, records[lesson.item])),
    ]
    contents = ["**[Look-up table](#look-up)** · " + " · ".join(map(_link, lessons))]
    lookup = ['<a id="look-up"></a>\n## Look-up table', *map(draw, lookup_tables())]
    sections = ["\n\n".join(_section(lesson, records[lesson.item])) for lesson in lessons]
    head = PREFACE + "\n\n".join([*contents, "\n".join(glance)])
    return "\n\n".join([head, *lookup, *sections]) + "\n"


def _link(lesson: Lesson) -> str:
    return f"[{lesson.item} {lesson.name}](#item-{lesson.item})"


def pictures(lessons: Sequence[Lesson]) -> dict[Path, str]:
    """Return the pictures of the page: where each belongs, and its SVG."""
    return {
        lesson.folder / "growth.svg": picture(block)
        for lesson in lessons
        for block in describe(lesson, _fresh_record(lesson))
        if isinstance(block, Plot)
    }


def write_page(path: Path, lessons: Sequence[Lesson]) -> None:
    """Write COMPARISON.md and its pictures.

    Raises:
        RecordError: a lesson has no record.
        StaleRecordError: a record belongs to other sources.
    """
    files = {path: page(lessons), **pictures(lessons)}
    for target, text in files.items():
        with replace_file(target) as file:
            file.write(text.encode())


def _glance(lesson: Lesson, record: Record) -> Iterator[str]:
    for case in lesson.cases:
        what, baseline, others = at_a_glance(case, record.case(case.id))
        yield f"| [{lesson.item}](#item-{lesson.item}) | {what} | {baseline} | {others} |"


def _fresh_record(lesson: Lesson) -> Record:
    record = read_record(lesson.record)
    other = _differing(record.sources, lesson.digests())
    if not other and _said(record) != _asked(lesson):
        other = ["lesson.toml"]
    if other:
        raise StaleRecordError(lesson, other)
    return record


def _fresh_faults(lesson: Lesson) -> FaultRecord | None:
    if not lesson.has_faults:
        return None
    record = read_fault_record(lesson.fault_record)
    if other := _differing(record.sources, lesson.fault_digests()):
        raise StaleRecordError(lesson, other, lesson.fault_record.name)
    return record


def _asked(lesson: Lesson) -> tuple[object, ...]:
    """Return the names that lesson.toml gives: of versions by case, of columns by table."""
    cases = {case.id: list(case.versions) for case in lesson.cases}
    grown = (
        {size: list(lesson.growth.versions) for size in lesson.growth.sizes}
        if lesson.growth
        else {}
    )
    return cases, grown, {table.id: {frozenset(table.columns)} for table in lesson.tables}


def _said(record: Record) -> tuple[object, ...]:
    """Return the same names, as a record has them."""
    cases = {case.id: [version.label for version in case.versions] for case in record.cases}
    grown = {case.size: [version.label for version in case.versions] for case in record.growth}
    return (
        cases,
        grown,
        {table.id: set(map(frozenset, table.rows.values())) for table in record.tables},
    )


def _differing(measured: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    return sorted(
        name for name in measured.keys() | present if measured.get(name) != present.get(name)
    )


def _section(lesson: Lesson, record: Record) -> Iterator[str]:
    yield f'<a id="item-{lesson.item}"></a>'
    yield from map(draw, describe(lesson, record, _fresh_faults(lesson)))


@singledispatch
def draw(block: Block) -> str:
    """Return a block as Markdown."""
    raise TypeError(f"no way to draw {type(block).__name__}")


@draw.register
def _(block: Heading) -> str:
    return f"## {block.text}"


@draw.register
def _(block: Paragraph) -> str:
    return block.text


@draw.register
def _(block: Arrows) -> str:
    return " · ".join(f"{what}: `{old}` → `{new}`" for what, old, new in block.rows)


@draw.register
def _(block: Bullets) -> str:
    return " ".join([f"**{block.title}**", *block.items])


@draw.register
def _(block: Files) -> str:
    links = (f"[{name}]({block.folder}/{name})" for name in block.names)
    return f"Whole files: {' · '.join(links)}"


@draw.register
def _(block: Footnote) -> str:
    return f"<sub>{block.text}</sub>"


@draw.register
def _(block: CodePair) -> str:
    # Two tables that float: side by side where both fit, below each other on a phone.
    halves = "\n".join(map(_half, (block.original, block.rebuilt)))
    return f'{block.note}\n\n{halves}\n<br clear="all">'


def _half(code: Code) -> str:
    names = "<br>".join(map(escape, textwrap.wrap(code.reference, max(code.width, 30))))
    return (
        f'<table align="left"><tr><th align="left"><code>{names}</code></th></tr><tr><td>\n\n'
        f"{_fenced(code.text)}\n</td></tr></table>"
    )


@draw.register
def _(block: Change) -> str:
    lines = list(block.lines)
    return f"{block.note}\n\n```diff\n" + "\n".join(lines) + "\n```"


@draw.register
def _(block: CodeBlock) -> str:
    return f"**{block.title}** (`{block.code.reference}`)\n\n{_fenced(block.code.text)}"


@draw.register
def _(block: TextTable) -> str:
    return "\n\n".join(filter(None, [_title(block), _rows(block, "---")]))


def _fenced(text: str) -> str:
    return f"```python\n{text}\n```"


@draw.register
def _(block: Plot) -> str:
    return f"![{block.title}: time by {block.unit}]({block.image})"


@draw.register
def _(block: Figures) -> str:
    return "\n\n".join([_title(block), _rows(block, "---:")])


def _title(block: Figures | TextTable) -> str:
    if not block.title:
        return ""
    return f"**{block.title[:1].upper()}{block.title[1:]}.** {block.foot}".rstrip()


def _rows(block: Figures | TextTable, rule: str) -> str:
    ruler = ("---", *(rule for _ in block.columns[1:]))
    escaped = (tuple(cell.replace("|", "\\|") for cell in row) for row in block.rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in (block.columns, ruler, *escaped))


def check_page(path: Path, lessons: Sequence[Lesson]) -> None:
    """Return if the page at ``path`` and its pictures match the lessons; measure nothing.

    Raises:
        OutdatedError: shows the first differences.
        RecordError: a lesson has no record.
        StaleRecordError: a record belongs to other sources.
    """
    for target, text in {path: page(lessons), **pictures(lessons)}.items():
        there = target.read_text(encoding="utf-8") if target.exists() else ""
        if text != there:
            old, new = (one.splitlines(keepends=True) for one in (there, text))
            raise OutdatedError(list(difflib.unified_diff(old, new, target.name, "lessons")))
