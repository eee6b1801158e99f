"""A lesson.toml and the files beside it must agree."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

import pytest

from aconcur.compare.excerpt import ExcerptError
from aconcur.compare.lesson import Lesson, LessonError, UnknownItemError, find_lessons, load_lessons
from tests.support.lesson import FINDING_TOML, LESSON_TOML, TABLE_TOML

LessonWith = Callable[..., Lesson]


def test_a_lesson_is_what_its_toml_says(lesson_with: LessonWith) -> None:
    lesson = lesson_with(toml=LESSON_TOML + TABLE_TOML)
    assert (lesson.item, lesson.name, lesson.title) == (99, "sum", "Sums")
    assert list(lesson.cases[0].versions) == ["threads", "asyncio"]
    assert lesson.tables[0].columns == ("µs", "KiB")
    assert lesson.files == ("work.py", "original.py", "rebuilt.py", "costs.py")
    assert lesson.code("original.py::total")[0].startswith("def total")


def test_a_missing_key_is_named(lesson_with: LessonWith) -> None:
    with pytest.raises(LessonError, match=r"lesson\.toml has no 'change'"):
        lesson_with(toml=LESSON_TOML.replace("change =", "chance ="))


def test_an_arrow_must_stand_in_a_pair_that_the_page_shows(lesson_with: LessonWith) -> None:
    toml = LESSON_TOML.replace('original = "def total"', 'original = "def numbers"')
    with pytest.raises(LessonError, match="'def numbers', which no original half of a shown pair"):
        lesson_with(toml=toml)


def test_a_finding_compares_versions_that_its_case_measures(lesson_with: LessonWith) -> None:
    toml = LESSON_TOML + FINDING_TOML.replace('"asyncio"', '"trio"')
    with pytest.raises(LessonError, match=r"compares \['trio'\] in 'add', which does not measure"):
        lesson_with(toml=toml)


@pytest.mark.parametrize("figure", ["2 ×", "40 %", "3 ms", "1.5 s"])
def test_a_finding_has_no_figure_in_its_words(lesson_with: LessonWith, figure: str) -> None:
    toml = LESSON_TOML + FINDING_TOML.replace("Both add alike.", f"Both take {figure}.")
    with pytest.raises(LessonError, match="has a figure in fixed words"):
        lesson_with(toml=toml)


def test_no_text_of_a_lesson_holds_a_measured_figure() -> None:
    for lesson in load_lessons():
        for text in (lesson.change, lesson.use, lesson.stay, *(p.note for p in lesson.pairs)):
            assert not re.search(r"\d\s?(×|%|µs|ms|MiB|KiB)", text), text


def test_a_bullet_names_code_that_exists(lesson_with: LessonWith) -> None:
    bullet = '\n[[bullet]]\nid = "1"\nsays = "so"\nshown = "`work.py::nothing`"\n'
    with pytest.raises(ExcerptError, match=r"work\.py defines no 'nothing'"):
        lesson_with(toml=LESSON_TOML + bullet)


@pytest.mark.parametrize(
    "quoted",
    sorted(
        {
            side
            for lesson in load_lessons()
            for arrow in lesson.arrows
            for side in (arrow.original, arrow.rebuilt)
        }
    ),
)
def test_an_arrow_quotes_a_whole_expression_or_statement(quoted: str) -> None:
    whole = f"{quoted} pass" if quoted.endswith(":") else quoted
    ast.parse(f"async def coroutine():\n    {whole}")
    assert not quoted.endswith(",")


def test_a_pair_must_stand_in_the_source(lesson_with: LessonWith) -> None:
    with pytest.raises(ExcerptError, match=r"rebuilt\.py defines no 'sum'"):
        lesson_with(toml=LESSON_TOML.replace('"rebuilt.py::total"\n\n', '"rebuilt.py::sum"\n\n'))


def test_an_id_is_used_once(lesson_with: LessonWith) -> None:
    with pytest.raises(LessonError, match=r"uses an id twice: \['add'\]"):
        lesson_with(toml=LESSON_TOML + TABLE_TOML.replace('"steps"', '"add"', 1))


def test_a_baseline_runs_everywhere(lesson_with: LessonWith) -> None:
    toml = LESSON_TOML.replace(
        'original.py::total"\n"asyncio', 'rebuilt.py::total @trio"\n"asyncio'
    )
    with pytest.raises(LessonError, match=r"against 'threads', which needs an extra: put"):
        lesson_with(toml=toml)


def test_there_are_nine_lessons_in_order() -> None:
    items = [lesson.item for lesson in load_lessons()]
    assert items == [36, 37, 38, 39, 40, 41, 76, 77, 78]


@pytest.mark.parametrize("asked", [["39"], ["queue"], ["70"], ["queue", "39", "70"]])
def test_a_lesson_goes_by_its_name_and_by_its_number_in_every_edition(asked: list[str]) -> None:
    assert [lesson.item for lesson in find_lessons(asked)] == [39]


def test_lessons_come_in_the_order_asked_and_all_when_none_is() -> None:
    assert [lesson.item for lesson in find_lessons(["futures", "36"])] == [41, 36]
    assert find_lessons([]) == load_lessons()


def test_an_unknown_lesson_is_named_with_those_that_exist() -> None:
    with pytest.raises(UnknownItemError, match=r"no item '35': choose from 36 \(subprocess\), 37"):
        find_lessons(["36", "35"])


def test_every_point_of_the_notes_has_a_row() -> None:
    points = {
        36: {"1", "2", "3", "before 3.3"},
        37: {"1", "2", "3"},
        38: {"1", "2", "3"},
        39: {"1", "2", "3", *(f"problem {n}" for n in range(1, 5))},
        40: {"1", "2", "3", "4", *(f"drawback {n}" for n in range(1, 4))},
        41: {"1", "2", "3", "4", "steps", "precondition 1", "precondition 2"},
    }
    for lesson in load_lessons():
        # The notes end with item 41.
        assert {bullet.id for bullet in lesson.bullets} == points.get(lesson.item, set())
