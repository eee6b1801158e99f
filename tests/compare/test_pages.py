"""The same blocks as Markdown, as plain text and in colours."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from aconcur.compare import colour, markdown, plain
from aconcur.compare.document import (
    Arrows,
    Code,
    CodePair,
    Figures,
    Heading,
    Paragraph,
    Plot,
    at_a_glance,
    describe,
)
from aconcur.compare.lesson import Lesson, LessonError, load_lesson
from aconcur.compare.markdown import OutdatedError, StaleRecordError, check_page, page
from aconcur.compare.record import (
    CaseRecord,
    Record,
    RecordError,
    TableRecord,
    VersionRecord,
    write_record,
)
from tests.support.lesson import LESSON_TOML, SOURCES, TABLE_TOML

LessonWith = Callable[..., Lesson]
FULL = LESSON_TOML + TABLE_TOML


def record_of(lesson: Lesson) -> Record:
    versions = (
        VersionRecord("threads", (2.0, 2.0, 2.0), (1.5,) * 3, 3 << 20, 4, 5),
        VersionRecord("asyncio", (1.0, 1.0, 1.0), (0.25,) * 3, 6 << 20, 7, 8),
    )
    machine = {
        "processor": "a processor",
        "cores": "2",
        "kernel": "Linux 6",
        "python": "CPython 3.11",
        "anyio": "4.16.0",
        "load": "0.10",
        "date": "2026-01-02",
    }
    return Record(
        machine,
        lesson.digests(),
        (CaseRecord("add", 50, "1475", versions),),
        (TableRecord("steps", 3, {"first": {"µs": (2.0,) * 3, "KiB": (3.0, 4.0, 5.0)}}),),
    )


def only(kind: type, lesson: Lesson, record: Record | None = None) -> list[object]:
    return [block for block in describe(lesson, record) if isinstance(block, kind)]


def test_every_part_of_a_lesson_is_described(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL)
    assert only(Heading, lesson) == [Heading("Item 99 · Sums")]
    assert only(Arrows, lesson) == [Arrows((("a unit", "def total", "async def total"),))]
    case, table = only(Figures, lesson, record_of(lesson))
    assert isinstance(case, Figures)
    assert isinstance(table, Figures)
    assert case.title == "50 numbers"
    assert [row[:4] for row in case.rows] == [
        ("threads", "2 s", "", "baseline"),
        ("asyncio", "1 s", "2.00 – 2.00", "2 ×"),
    ]
    assert "Both versions gave the same answer in every run: `1475`" in case.foot
    assert table.rows == (("first", "2", "4 (3.50 – 4.50)"),)


def test_a_table_that_asks_for_it_is_drawn_as_curves(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL + 'plot = "Two steps"\n')
    rows: dict[str, dict[str, tuple[float, ...]]] = {
        "first": {"µs": (2.0,), "KiB": (3.0,)},
        "second": {"µs": (1.0,), "KiB": (0.5,)},
    }
    record = replace(record_of(lesson), tables=(TableRecord("steps", 3, rows),))
    [drawn] = only(Plot, lesson, record)
    assert isinstance(drawn, Plot)
    assert drawn.title == "Two steps"
    assert drawn.lines[-1].split() == ["o", "µs", "+", "KiB"]
    assert markdown.draw(drawn) == "**Two steps**\n\n```text\n" + "\n".join(drawn.lines) + "\n```"
    assert plain.draw(drawn, 80) == "Two steps\n\n" + "\n".join(drawn.lines)
    console = Console(file=io.StringIO(), width=80)
    console.print(colour.draw(drawn, 80))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.rstrip() for line in shown.splitlines()[2:]] == list(drawn.lines)


def test_a_drawing_is_no_reason_to_measure_again(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL)
    table = replace(lesson.tables[0], plot="Two steps")
    assert replace(lesson, tables=(table,)).digests() == lesson.digests()


def test_every_figure_stands_in_its_own_column(lesson_with: LessonWith) -> None:
    lesson = lesson_with()
    [shown] = only(Figures, lesson, replace(record_of(lesson), tables=()))
    assert isinstance(shown, Figures)
    assert [
        dict(zip(shown.columns[1:], row[1:], strict=True), version=row[0]) for row in shown.rows
    ] == [
        {
            "version": "threads",
            "median": "2 s",
            "middle half of speeds": "",
            "against threads": "baseline",
            "CPU": "1.5 s",
            "memory": "+3.0 MiB",
            "threads": "4",
            "children": "5",
        },
        {
            "version": "asyncio",
            "median": "1 s",
            "middle half of speeds": "2.00 – 2.00",
            "against threads": "2 ×",
            "CPU": "250 ms",
            "memory": "+6.0 MiB",
            "threads": "7",
            "children": "8",
        },
    ]


def test_at_a_glance_a_speed_is_that_of_the_others(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL)
    record = record_of(lesson)
    assert at_a_glance(lesson.cases[0], record.cases[0]) == (
        "50 numbers",
        "threads, 2 s",
        "asyncio: 2 ×",
    )


def test_every_kind_of_figure_can_be_quoted(lesson_with: LessonWith) -> None:
    quoted = "{speed:add:asyncio}, {memory:add:asyncio}, {value:steps:first:KiB}"
    lesson = lesson_with(toml=FULL.replace("It takes {time:add:threads}", quoted))
    told = only(Paragraph, lesson, record_of(lesson))[-1]
    assert told == Paragraph("**Verdict.** 2 ×, 6.0 MiB, 4, then 1 s.")


def test_a_verdict_quotes_the_record_or_says_that_there_is_none(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL)
    told, untold = (only(Paragraph, lesson, r)[-1] for r in (record_of(lesson), None))
    assert told == Paragraph("**Verdict.** It takes 2 s, then 1 s.")
    assert untold == Paragraph("**Verdict.** It takes not measured, then not measured.")


@pytest.mark.parametrize(
    "wrong", ["{time:add:trio}", "{speed:sub:asyncio}", "{value:steps:first:ms}", "{time:add}"]
)
def test_a_placeholder_that_names_no_figure_is_refused(lesson_with: LessonWith, wrong: str) -> None:
    lesson = lesson_with(toml=FULL.replace("{time:add:threads}", wrong))
    for record in (record_of(lesson), None):
        with pytest.raises(LessonError, match="names no figure"):
            describe(lesson, record)


def test_a_version_that_did_not_run_is_said_not_shown(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL)
    record = record_of(lesson)
    case = record.cases[0]
    absent = VersionRecord("asyncio", (), (), 0, 0, 0, "trio is not installed: pip install trio")
    record = replace(record, cases=(replace(case, versions=(case.versions[0], absent)),))
    shown = only(Figures, lesson, record)[0]
    assert isinstance(shown, Figures)
    assert [row[0] for row in shown.rows] == ["threads"]
    assert "asyncio did not run: trio is not installed: pip install trio." in shown.foot
    assert only(Paragraph, lesson, record)[-1] == Paragraph(
        "**Verdict.** It takes 2 s, then not measured."
    )


def test_plain_text_takes_away_marks_and_leaves_code() -> None:
    said = plain.draw(Paragraph("**Mind** `f(**options)`: x **y** `**z`."), 80)
    assert said == "Mind `f(**options)`: x y `**z`."
    arrow = Arrows((("start", "Child(argv, **options)", "run(*argv, **options)"),))
    assert plain.draw(arrow, 80) == "- start: Child(argv, **options) → run(*argv, **options)"


@pytest.mark.parametrize("width", [40, 80, 120])
def test_plain_text_keeps_to_its_width(lesson_with: LessonWith, width: int) -> None:
    lesson = lesson_with(toml=FULL)
    text = "\n".join(plain.draw(block, width) for block in describe(lesson, record_of(lesson)))
    code = lesson.code("original.py::total")[0].splitlines()
    free = [line for line in text.splitlines() if line not in code and "lesson_under" not in line]
    assert max(map(len, free)) <= width


def test_halves_stand_side_by_side_only_where_both_fit(lesson_with: LessonWith) -> None:
    pair = only(CodePair, lesson_with())[0]
    assert isinstance(pair, CodePair)
    together = pair.original.width + pair.rebuilt.width + 3
    assert " │ " in plain.draw(pair, together)
    assert " │ " not in plain.draw(pair, together - 1)


def test_definitions_stand_beside_their_counterparts() -> None:
    left = Code("a.py::one + two", ("one\none", "two"))
    right = Code("b.py::one + two", ("eins", "zwei"))
    lines = plain.draw(CodePair("Look.", left, right), 80).splitlines()
    assert [line.split("│")[-1].strip() for line in lines[-4:]] == ["eins", "", "", "zwei"]
    assert markdown.draw(CodePair("Look.", left, right)).count("<tr>") == 3
    pair = CodePair("Look.", left, right)
    for drawn in (plain.draw(pair, 80), markdown.draw(pair)):
        assert "a.py::one + two" in drawn
    uneven = CodePair("Look.", left, Code("b.py::one", ("eins",)))
    assert uneven.rows == (("one\none\n\ntwo", "eins"),)


def test_markdown_stacks_what_github_would_cut(lesson_with: LessonWith) -> None:
    pair = only(CodePair, lesson_with())[0]
    assert isinstance(pair, CodePair)
    assert "<table>" in markdown.draw(pair)
    wide = replace(pair, rebuilt=replace(pair.rebuilt, parts=("x" * 60,)))
    assert "<table>" not in markdown.draw(wide)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_colours_say_what_plain_text_says(lesson_with: LessonWith, width: int) -> None:
    lesson = lesson_with(toml=FULL)
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True)
    for block in describe(lesson, record_of(lesson)):
        console.print(colour.draw(block, width))
    lines = Text.from_ansi(file.getvalue()).plain.splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(" ".join(lines).split())
    for word in ("Sums", "threading.Thread", "asyncio", "2 ×", "Verdict"):
        assert word in words
    assert "\x1b[" in file.getvalue()


def test_the_page_is_checked_against_sources_and_record(
    lesson_with: LessonWith, tmp_path: Path
) -> None:
    lesson = lesson_with(toml=FULL)
    write_record(lesson.record, record_of(lesson))
    path = tmp_path / "COMPARISON.md"
    path.write_text(page([lesson]), encoding="utf-8")
    check_page(path, [lesson])
    path.write_text(path.read_text().replace("A thread becomes", "A thread remains"))
    with pytest.raises(OutdatedError, match=r"run 'aconcur compare --write'\n(.*\n)+-A thread rem"):
        check_page(path, [lesson])


def test_figures_of_other_sources_are_refused(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL)
    write_record(lesson.record, record_of(lesson))
    (lesson.folder / "rebuilt.py").write_text(SOURCES["rebuilt.py"] + "\nfaster = True\n")
    with pytest.raises(StaleRecordError, match=r"measured another rebuilt\.py: run"):
        page([lesson])


def test_figures_of_fewer_or_more_sources_are_refused(lesson_with: LessonWith) -> None:
    lesson = lesson_with()
    write_record(lesson.record, replace(record_of(lesson), tables=()))
    page([lesson])
    (lesson.folder / "helper.py").write_text("faster = True\n")
    with pytest.raises(StaleRecordError, match=r"measured another helper\.py: run"):
        page([lesson])
    (lesson.folder / "helper.py").unlink()
    (lesson.folder / "costs.py").unlink()
    with pytest.raises(StaleRecordError, match=r"measured another costs\.py: run"):
        page([lesson])


SHARED = "from shared import faster\nfrom alone import alone\n"


def test_figures_of_other_shared_sources_are_refused(lesson_with: LessonWith) -> None:
    lesson = lesson_with(rebuilt=SHARED + SOURCES["rebuilt.py"])
    beside = lesson.folder.parent
    for name in ("shared", "alone", "nobodys"):
        (beside / f"{name}.py").write_text(f"{name} = faster = True\n")
    write_record(lesson.record, replace(record_of(lesson), tables=()))
    for name in ("alone", "nobodys"):
        (beside / f"{name}.py").write_text("")
    page([lesson])
    (beside / "shared.py").write_text("faster = False\n")
    with pytest.raises(StaleRecordError, match=r"measured another \.\./shared\.py: run"):
        page([lesson])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rounds = 4", "rounds = 5"),
        ("size = 50", "size = 51"),
        ('"threads" = "original', '"serial" = "original'),
        ('"asyncio" = "rebuilt.py::total"', '"asyncio" = "rebuilt.py::total @uvloop"'),
        ('call = "costs.py::steps"', 'call = "costs.py::leaps"'),
        ('columns = ["µs", "KiB"]', 'columns = ["µs"]'),
    ],
)
def test_figures_of_other_definitions_are_refused(
    lesson_with: LessonWith, old: str, new: str
) -> None:
    lesson = lesson_with(toml=FULL)
    write_record(lesson.record, record_of(lesson))
    path = lesson.folder / "lesson.toml"
    path.write_text(FULL.replace("A thread becomes", "A thread turns into"))
    page([load_lesson(lesson.folder, lesson.package)])  # words are not measured
    path.write_text(FULL.replace(old, new).replace("{time:add:threads}", "a while"))
    with pytest.raises(StaleRecordError, match=r"measured another lesson\.toml: run"):
        page([load_lesson(lesson.folder, lesson.package)])


def test_a_record_has_the_names_of_the_lesson(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL)
    record = record_of(lesson)
    case, table = record.cases[0], record.tables[0]
    wrong = (
        replace(record, cases=(replace(case, versions=case.versions[::-1]),)),
        replace(record, cases=(replace(case, id="sub"),)),
        replace(record, tables=(replace(table, rows={"first": {"µs": (2.0,)}}),)),
        replace(record, tables=()),
    )
    for one in wrong:
        write_record(lesson.record, one)
        with pytest.raises(StaleRecordError, match=r"measured another lesson\.toml: run"):
            page([lesson])


def test_a_page_needs_figures(lesson_with: LessonWith) -> None:
    with pytest.raises(RecordError, match=r"has no record\.json"):
        page([lesson_with()])
