"""The same blocks as Markdown, as plain text and in colours."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from rich.text import Text

from aconcur.compare import colour, markdown, plain
from aconcur.compare.document import (
    Arrows,
    Bullets,
    Change,
    Code,
    CodeBlock,
    CodePair,
    Figures,
    Footnote,
    Heading,
    Paragraph,
    Plot,
    TextTable,
    at_a_glance,
    describe,
    verdict,
)
from aconcur.compare.lesson import Lesson, load_lesson, load_lessons
from aconcur.compare.markdown import OutdatedError, StaleRecordError, check_page, page
from aconcur.compare.model import Finding
from aconcur.compare.picture import picture
from aconcur.compare.record import (
    CaseRecord,
    FaultRecord,
    Observation,
    Record,
    RecordError,
    TableRecord,
    VersionRecord,
    write_record,
)
from tests.support.lesson import FINDING_TOML, GROWTH_TOML, LESSON_TOML, SOURCES, TABLE_TOML

LessonWith = Callable[..., Lesson]
FULL = LESSON_TOML + TABLE_TOML


def record_of(lesson: Lesson) -> Record:
    versions = (
        VersionRecord("threads", (2.0,) * 9, (1.5,) * 9, 3 << 20, 4, 5),
        VersionRecord("asyncio", (1.0,) * 9, (0.25,) * 9, 6 << 20, 7, 8),
    )
    machine = {
        "processor": "a processor",
        "cores": "2",
        "kernel": "Linux 6",
        "python": "CPython 3.11",
        "anyio": "4.16.0",
        "busy": "2%",
        "date": "2026-01-02",
    }
    return Record(
        machine,
        lesson.digests(),
        (CaseRecord("add", 50, "1475", versions),),
        (TableRecord("steps", 3, {"first": {"µs": (2.0,) * 3, "KiB": (3.0, 4.0, 5.0)}}),),
    )


def only(
    kind: type, lesson: Lesson, record: Record | None = None, *, full: bool = False
) -> list[object]:
    return [block for block in describe(lesson, record, full=full) if isinstance(block, kind)]


def test_every_part_of_a_lesson_is_described(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL)
    assert only(Heading, lesson) == [Heading("Item 99 · Sums")]
    assert only(Arrows, lesson) == [Arrows((("a unit", "def total", "async def total"),))]
    case, table = only(Figures, lesson, record_of(lesson), full=True)
    assert isinstance(case, Figures)
    assert isinstance(table, Figures)
    assert case.title == "50 numbers"
    assert [row[:4] for row in case.rows] == [
        ("threads", "2 s", "baseline", ""),
        ("asyncio", "1 s", "2 ×", "2.00 – 2.00"),
    ]
    assert case.foot == "9 rounds, versions in turn; all answers were equal."
    assert table.rows == (("first", "2", "4 (3 – 5)"),)


def test_a_growth_is_drawn_by_every_renderer(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL + GROWTH_TOML)
    grown = tuple(
        CaseRecord(
            f"{size}",
            size,
            "0",
            (
                VersionRecord("threads", (size * 0.1, size * 0.12), (0.1, 0.1), 0, 0, 0),
                VersionRecord("asyncio", (size * 0.01, size * 0.02), (0.1, 0.1), 0, 0, 0),
            ),
        )
        for size in (10, 100)
    )
    [drawn] = only(Plot, lesson, replace(record_of(lesson), growth=grown))
    assert isinstance(drawn, Plot)
    assert drawn.series["threads"] == {10: (1.0, 1.2), 100: (10.0, 12.0)}
    assert drawn.lines[-1].split() == ["o", "threads", "+", "asyncio"]
    assert markdown.draw(drawn) == (
        "![Numbers added: time by numbers](src/aconcur/lessons/lesson_under_test/growth.svg)"
    )
    assert plain.draw(drawn, 80) == "Numbers added: s by numbers\n\n" + "\n".join(drawn.lines)
    console = Console(file=io.StringIO(), width=80)
    console.print(colour.draw(drawn, 80))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.rstrip() for line in shown.splitlines()[2:]] == list(drawn.lines)


def test_a_picture_has_a_dot_for_every_round_and_suits_dark_pages() -> None:
    series: dict[str, dict[int, tuple[float, ...]]] = {
        "a <b>": {10: (1.0, 2.0), 100: (3.0, 4.0)},
        "c": {10: (0.1,), 100: (0.2,)},
    }
    svg = picture(Plot("Title & more", "things", series, "x.svg"))
    root = ElementTree.fromstring(svg)
    name = "{http://www.w3.org/2000/svg}"
    dots = [dot for dot in root.iter(f"{name}circle") if dot.get("r") == "2.5"]
    assert [dot.get("class") for dot in dots] == ["s0"] * 4 + ["s1"] * 2
    heights = [float(dot.get("cy") or 0) for dot in dots[:4]]
    assert heights == sorted(heights, reverse=True)
    assert "prefers-color-scheme: dark" in svg
    assert "a &lt;b&gt;" in svg


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
            "against threads": "baseline",
            "95 % interval": "",
            "CPU": "1.5 s",
            "memory": "+3.0 MiB",
            "threads": "4",
            "children": "5",
        },
        {
            "version": "asyncio",
            "median": "1 s",
            "against threads": "2 ×",
            "95 % interval": "2.00 – 2.00",
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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ((1.0,) * 9, ("Tasks add faster.",)),
        ((3.0,) * 9, ("Tasks add more slowly.",)),
        ((1.0,) * 5 + (3.0,) * 4, ("Both add alike.",)),
        ((1.0,) * 8, ()),
    ],
    ids=["faster", "slower", "unclear", "too few rounds"],
)
def test_the_figures_choose_the_words_of_a_verdict(
    lesson_with: LessonWith, seconds: tuple[float, ...], said: tuple[str, ...]
) -> None:
    lesson = lesson_with(toml=FULL + FINDING_TOML)
    base = VersionRecord("threads", (2.0,) * len(seconds), (), 0, 0, 0)
    other = VersionRecord("asyncio", seconds, seconds, 0, 0, 0)
    case = CaseRecord("add", 50, "1475", (replace(base, cpu=base.wall), other))
    record = replace(record_of(lesson), cases=(case,))
    assert verdict(lesson, record) == said
    shown = only(Bullets, lesson, record)
    assert [block.items for block in shown if isinstance(block, Bullets)] == [said] * bool(said)


def test_of_two_rounds_no_speed_and_no_verdict_is_shown(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL + FINDING_TOML)
    record = record_of(lesson)
    few = tuple(
        replace(version, wall=version.wall[:2], cpu=version.cpu[:2])
        for version in record.cases[0].versions
    )
    record = replace(record, cases=(replace(record.cases[0], versions=few),))
    [case] = only(Figures, lesson, record)
    assert isinstance(case, Figures)
    assert [row[2] for row in case.rows] == ["baseline", "no clear difference"]
    assert "no difference is claimed" in case.foot
    assert verdict(lesson, record) == ()


def test_the_fault_table_shows_every_cell(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=FULL)
    seen = Observation("KeyboardInterrupt", 0.12, {}, 2048)
    slow = Observation("runs on", 5.0, {"children": 2, "threads": 1}, 3 << 20)
    faults = FaultRecord(
        {}, {}, {"Ctrl-C": {"threads": seen}, "a slow stage": {"threads": slow, "asyncio": seen}}
    )
    [table] = [block for block in describe(lesson, None, faults) if isinstance(block, TextTable)]
    assert table.columns == ("", "threads", "asyncio")
    assert table.rows == (
        ("Ctrl-C", "KeyboardInterrupt, 0.1 s, nothing left", "–"),
        (
            "a slow stage",
            "runs on, after 8 s, 2 children, 1 thread left, peak 3072 MiB",
            "KeyboardInterrupt, 0.1 s, nothing left, peak 2 MiB",
        ),
    )
    for drawn in (markdown.draw(table), plain.draw(table, 60)):
        assert "2 children, 1 thread left" in drawn


def test_pipes_in_cells_do_not_break_a_table() -> None:
    drawn = markdown.draw(TextTable("T", ("a", "b"), (("x", "`one | two`"),)))
    assert drawn.splitlines()[-1] == r"| x | `one \| two` |"


def test_a_terminal_gets_the_first_pair_and_is_told_of_the_rest(lesson_with: LessonWith) -> None:
    pair = LESSON_TOML[LESSON_TOML.index("[[pair]]") : LESSON_TOML.index("[[case]]")]
    shown = pair.replace("note =", "page = true\nnote =")
    lesson = lesson_with(toml=FULL.replace(pair, shown + shown))
    blocks = describe(lesson, None, hearts_only=True)
    assert sum(isinstance(block, CodePair | Change) for block in blocks) == 1
    assert blocks[-1] == Footnote(
        "This is the first of 2 pairs of code. The rest: aconcur compare 99 --all"
    )
    everything = describe(lesson, None, full=True)
    assert sum(isinstance(block, CodePair) for block in everything) == 2


def lesson_with_finding(lesson: Lesson) -> Lesson:
    return replace(lesson, findings=(Finding("add", "asyncio", "", "f", "s", "u"),))


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
    assert verdict(lesson_with_finding(lesson), record) == ()


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
    assert markdown.draw(CodePair("Look.", left, right)).count("<table") == 2
    pair = CodePair("Look.", left, right)
    for drawn in (plain.draw(pair, 80), markdown.draw(pair)):
        assert "a.py" in drawn
    uneven = CodePair("Look.", left, Code("b.py::one", ("eins",)))
    assert uneven.rows == (("one\none\n\ntwo", "eins"),)


def test_in_markdown_two_halves_float_and_references_keep_their_underscores(
    lesson_with: LessonWith,
) -> None:
    pair = only(CodePair, lesson_with())[0]
    assert isinstance(pair, CodePair)
    wild = replace(pair, original=replace(pair.original, reference="__main__.py::A"))
    drawn = markdown.draw(wild)
    assert drawn.count('<table align="left">') == 2
    assert "<code>__main__.py::A</code>" in drawn
    assert drawn.endswith('<br clear="all">')


@pytest.mark.parametrize("lesson", load_lessons(), ids=lambda lesson: lesson.name)
def test_the_toolkit_is_shown_in_twenty_lines(lesson: Lesson) -> None:
    blocks = [block for block in describe(lesson, None) if isinstance(block, CodeBlock)]
    assert any("aconcur" in block.title for block in blocks)
    assert all(len(block.code.text.splitlines()) <= 20 for block in blocks)


@pytest.mark.parametrize("lesson", load_lessons(), ids=lambda lesson: lesson.name)
def test_the_first_pair_fits_a_terminal_and_every_pair_fits_a_page(lesson: Lesson) -> None:
    pairs = [block for block in describe(lesson, None) if isinstance(block, CodePair)]
    assert " │ " in plain.draw(pairs[0], 80)
    for pair in pairs:
        assert pair.original.width + pair.rebuilt.width <= 86
        for code in (pair.original, pair.rebuilt):
            assert len(code.text.splitlines()) <= 42
            assert '"""' not in code.text


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
    for word in ("Sums", "threading.Thread", "asyncio", "2 ×", "Use it when"):
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
    path.write_text(FULL.replace(old, new))
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
        replace(record, growth=(case,)),
    )
    for one in wrong:
        write_record(lesson.record, one)
        with pytest.raises(StaleRecordError, match=r"measured another lesson\.toml: run"):
            page([lesson])


def test_a_page_needs_figures(lesson_with: LessonWith) -> None:
    with pytest.raises(RecordError, match=r"has no record\.json"):
        page([lesson_with()])
