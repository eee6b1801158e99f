"""COMPARISON.md: the lessons' blocks as GitHub draws them, and the check that it is up to date."""

from __future__ import annotations

__all__ = ("OutdatedError", "StaleRecordError", "check_page", "page")

import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from pathlib import Path

from aconcur.compare.document import (
    Arrows,
    Block,
    Bullets,
    CodePair,
    Figures,
    Files,
    Footnote,
    Heading,
    Paragraph,
    Plot,
    at_a_glance,
    describe,
)
from aconcur.compare.lesson import Lesson
from aconcur.compare.record import Record, read_record
from aconcur.errors import AconcurError

# GitHub's narrowest article (900 px) shows this many columns of code in two cells of one table.
SIDE_BY_SIDE = 86
PREFACE = """\
<!-- Generated from the lessons by: aconcur compare --write. Edit them, not this page. -->

# Comparison

Six systems from a well-known chapter on concurrency and parallelism in Python. Each stands here
three times: the original on threads, generators or `Popen`; the same system rebuilt on async/await;
and that again with this library (item 37: with anyio), on asyncio and trio. The job itself is in a
`work.py` that all import, so that little but the concurrency differs; where more does (what a
sensor waits for in item 38, the HTTP client in item 39, item 40's Python 2 form, which imports
nothing), the sources show it. The originals were written from one reader's notes on the chapter's
items 36 to 41; each section ends with what had to be repaired in them.

Code is quoted from the files that run. Figures come from the `record.json` beside each lesson,
written by `aconcur compare --record`; `aconcur compare` measures on your machine. A speed is the
baseline's time divided by this version's: above 1 is faster, below 1 slower. It is the median of
the ratios of single rounds, versions run in turn, so it may differ a little from the ratio of the
two medians; where the middle half of these ratios straddles 1 the table says "no clear difference".
CPU is user and system time, ended children included, but not those that live on, such as the
workers of a pool that stays; memory is how far the first run, in a fresh process whose event loop
is loaded, raised the process's resident peak (children not included); threads and children are
those that one run starts.

"""


class OutdatedError(AconcurError):
    """Raised when COMPARISON.md is not what the sources and records say."""

    def __init__(self, difference: Sequence[str]) -> None:
        shown = "".join(difference[:40]).rstrip()
        super().__init__(
            f"COMPARISON.md does not match the lessons: run 'aconcur compare --write'\n{shown}"
        )


class StaleRecordError(AconcurError):
    """Raised when a record.json is of other sources, cases or tables than stand there."""

    def __init__(self, lesson: Lesson, files: Sequence[str]) -> None:
        super().__init__(
            f"{lesson.folder.name}/record.json measured another {', '.join(files)}: "
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
    sections = ["\n\n".join(_section(lesson, records[lesson.item])) for lesson in lessons]
    return "\n\n".join([PREFACE + "\n".join(glance), *sections]) + "\n"


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


def _asked(lesson: Lesson) -> tuple[object, ...]:
    """Return the names that lesson.toml gives: of versions by case, of columns by table."""
    cases = {case.id: list(case.versions) for case in lesson.cases}
    return cases, {table.id: {frozenset(table.columns)} for table in lesson.tables}


def _said(record: Record) -> tuple[object, ...]:
    """Return the same names, as a record has them."""
    cases = {case.id: [version.label for version in case.versions] for case in record.cases}
    return cases, {table.id: set(map(frozenset, table.rows.values())) for table in record.tables}


def _differing(measured: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    return sorted(
        name for name in measured.keys() | present if measured.get(name) != present.get(name)
    )


def _section(lesson: Lesson, record: Record) -> Iterator[str]:
    yield f'<a id="item-{lesson.item}"></a>'
    yield from map(draw, describe(lesson, record))


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
    return "\n".join(f"- {what}: `{old}` → `{new}`" for what, old, new in block.rows)


@draw.register
def _(block: Bullets) -> str:
    return "\n".join([block.title, "", *(f"- {item}" for item in block.items)])


@draw.register
def _(block: Files) -> str:
    links = (f"[{name}]({block.folder}/{name})" for name in block.names)
    return f"Whole files: {' · '.join(links)}"


@draw.register
def _(block: Footnote) -> str:
    return f"<sub>{block.text}</sub>"


@draw.register
def _(block: CodePair) -> str:
    both = (block.original, block.rebuilt)
    if block.original.width + block.rebuilt.width > SIDE_BY_SIDE:
        stacked = (f"**{code.reference}**\n\n{_fenced(code.text)}" for code in both)
        return "\n\n".join([block.note, *stacked])
    heads = "".join(f"<th>{code.reference}</th>" for code in both)
    rows = "\n".join(
        "<tr>\n"
        + "".join(f'<td valign="top">\n\n{_fenced(text)}\n\n</td>\n' for text in row)
        + "</tr>"
        for row in block.rows
    )
    return f"{block.note}\n\n<table>\n<tr>{heads}</tr>\n{rows}\n</table>"


def _fenced(text: str) -> str:
    return f"```python\n{text}\n```"


@draw.register
def _(block: Plot) -> str:
    drawing = "\n".join(block.lines)
    return f"**{block.title}**\n\n```text\n{drawing}\n```"


@draw.register
def _(block: Figures) -> str:
    ruler = ["---", *("---:" for _ in block.columns[1:])]
    lines = [block.columns, ruler, *block.rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{block.title}**\n\n{table}\n\n{block.foot}"


def check_page(path: Path, lessons: Sequence[Lesson]) -> None:
    """Return if the page at ``path`` is what the lessons say; nothing is measured.

    Raises:
        OutdatedError: shows the first differences.
        RecordError: a lesson has no record.
        StaleRecordError: a record belongs to other sources.
    """
    said, there = page(lessons), path.read_text(encoding="utf-8")
    if said != there:
        lines = difflib.unified_diff(
            there.splitlines(keepends=True), said.splitlines(keepends=True), path.name, "lessons"
        )
        raise OutdatedError(list(lines))
