from __future__ import annotations

import pickle
import random
import tracemalloc

import pytest
from hypothesis import given

from aconcur.life import Bounds, Pattern, PatternError, Rule, read_rle, write_rle
from tests.support.patterns import UNHURRIED, patterns

GLIDER = [(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


@pytest.fixture(params=["numpy", "by hand"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    """Read with numpy and without: what is read must not tell the difference."""
    by_numpy = request.param == "numpy"
    monkeypatch.setattr("aconcur.life._formats.rle_body._use_numpy", lambda _: by_numpy)
    return request.param


@pytest.mark.parametrize(
    "text",
    [
        "bo$2bo$3o!",
        "bo$2bo$3o!\n",
        "x = 3, y = 3\nbo$2bo$3o!",
        "x=3,y=3,rule=B3/S23\r\nbo$\r\n2bo$3o!\r\n",
        "  x = 3, y = 3, rule = 23/3 \nbob$2bo$3o!",
        "1b1o1$ 2b\n o\t$ 1o2o !and whatever # follows",
        ".A$..A$AAA!",
        "bo$2bo$3o3b5$!",
    ],
)
def test_a_glider_in_many_hands(text: str) -> None:
    pattern = read_rle(text)
    assert sorted(pattern.cells()) == GLIDER
    assert pattern == read_rle(text.encode())
    assert pattern.rule == Rule("B3/S23")


def test_words_place_rule_and_field() -> None:
    text = (
        "#N Glider \n#O Richard K. Guy\n#C The smallest\n#c  spaceship.\n#CXRLE Pos=-4,7 Gen=3\n"
        "x = 3, y = 3, rule = B36/S23:T30,20\nbo$\n  #C found in 1969\n2bo$3o!\n#C not read\n"
    )
    pattern = read_rle(text)
    assert (pattern.name, pattern.author) == ("Glider", "Richard K. Guy")
    assert pattern.comments == ("The smallest", "spaceship.", "found in 1969")
    assert pattern.offset == (7, -4)
    assert pattern.rule == Rule("B36/S23")
    assert pattern.bounds == Bounds("torus", height=20, width=30)
    assert read_rle("x = 1, y = 1, rule = B3/S23:P7\no!").bounds == Bounds("box", 7, 7)


def test_old_words_for_rule_and_place() -> None:
    pattern = read_rle("#r 23/36\n#P 5 -6\no!")
    assert (pattern.rule, pattern.offset) == (Rule("B36/S23"), (-6, 5))
    assert read_rle("#R 5 -6\no!").offset == (-6, 5)


@UNHURRIED
@given(patterns)
def test_what_is_written_reads_back(pattern: Pattern) -> None:
    text = write_rle(pattern)
    assert read_rle(text) == pattern
    assert read_rle(text.encode()) == pattern
    assert all(len(line) <= 70 for line in text.splitlines() if line[0] not in "#x")


def test_is_written_as_others_write_it() -> None:
    pattern = Pattern(GLIDER, name="Glider", comments=["small"], bounds=Bounds("torus", 20, 30))
    assert write_rle(pattern) == (
        "#N Glider\n#C small\nx = 3, y = 3, rule = B3/S23:T30,20\nbo$2bo$3o!\n"
    )
    assert write_rle(pattern.at(7, -4)).splitlines()[2] == "#CXRLE Pos=-4,7"
    assert write_rle(Pattern()) == "x = 0, y = 0, rule = B3/S23\n!\n"


def test_large_random_patterns_read_back() -> None:
    lots = random.Random(7)
    cells = [(lots.randrange(300), lots.randrange(300)) for _ in range(30_000)]
    pattern = Pattern(cells)
    assert read_rle(write_rle(pattern)) == pattern


@pytest.mark.parametrize(
    "text", ["999999999999b!", "999999999999$!", "999999999999bo!", "999999999999o!"]
)
def test_large_counts_cost_no_memory(text: str) -> None:
    read_rle("o!")
    tracemalloc.start()
    try:
        pattern = read_rle(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    assert len(list(pattern.runs())) <= 1


WRONG = [
    ("bo$2q!", 1, 5, "'q' is no cell (b, o), no end of row ($) or pattern (!), and no count"),
    ("#C x\nx = 3, y = 3\nbo$\n #C y\n$3B!", 5, 3, "'B' is no cell"),
    ("bo$2bo", 1, 7, "the pattern ends without !"),
    ("", 1, 1, "the pattern ends without !"),
    ("x = 3, y = 3\n", 2, 1, "the pattern ends without !"),
    ("bo$\n 12", 2, 2, "a count of nothing"),
    ("bo$\n 12!", 2, 2, "a count of nothing"),
    ("bo$b\n0o!", 2, 1, "a count is at least 1"),
    ("bo$b00$!", 1, 5, "a count is at least 1"),
    ("bo$é!", 1, 4, "'é' is no cell"),
    ("bo$٣o!", 1, 4, "'٣' is no cell"),
    ("-3o!", 1, 1, "'-' is no cell"),
    ("o\n99999999999999999999b!", 2, 1, "the counts add up to more than 2**62"),
    ("4000000000000000000b1000000000000000000o!", 1, 21, "the counts add up to more than 2**62"),
    ("4000000000000000000$o1000000000000000000$!", 1, 22, "the counts add up to more than 2**62"),
    ("x = 3\nbo!", 1, 1, "the header must read x = WIDTH, y = HEIGHT, rule = B3/S23"),
    ("#N a\n  xyz\nbo!", 2, 3, "the header must read"),
    ("x = 1, y = 1, rule = B9/S\no!", 1, 22, "rule 'B9/S' asks for 9 live neighbours"),
    ("x = 1, y = 1, rule = B3/S23:K9,9\no!", 1, 22, "has a bounded grid behind it"),
    ("x = 1, y = 1, rule = B3/S23:T0,9\no!", 1, 22, "one side is unbounded"),
    ("#r wrong\no!", 1, 4, "rule 'wrong' is neither"),
    ("#P 2305843009213693952 0\n2o!", 1, 1, "is too far out"),
]


@pytest.mark.parametrize(("text", "line", "column", "why"), WRONG)
def test_what_is_wrong_is_named_with_line_and_column(
    text: str, line: int, column: int, why: str
) -> None:
    with pytest.raises(PatternError) as refused:
        read_rle(text, source="a.rle")
    error = refused.value
    assert (error.line, error.column, error.source) == (line, column, "a.rle")
    assert why in error.why
    assert str(error) == f"a.rle, line {line}, column {column}: {error.why}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_any_text_is_read_or_refused() -> None:
    lots = random.Random(40)
    for _ in range(3000):
        text = "".join(lots.choices("bo$!10 9\nx#q.A", k=lots.randrange(12)))
        pattern, error = _read_or_refuse(text)
        if error is None:
            assert read_rle(write_rle(pattern)) == pattern
        else:
            lines = text.split("\n")
            assert 1 <= error.line <= len(lines)
            assert 1 <= error.column <= len(lines[error.line - 1]) + 1


def _read_or_refuse(text: str) -> tuple[Pattern, PatternError | None]:
    try:
        return read_rle(text), None
    except PatternError as error:
        return Pattern(), error
