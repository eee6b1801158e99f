from __future__ import annotations

import pickle
import random
import tracemalloc

import pytest
from hypothesis import given

from aconcur.life import (
    Bounds,
    Pattern,
    PatternError,
    PatternSizeError,
    Rule,
    make_engine,
    read_rle,
    write_rle,
)
from tests.support.patterns import UNHURRIED, patterns

GLIDER = [(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


@pytest.fixture(params=["numpy", "by hand"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    """Read with numpy and without: both read the same."""
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
    # From the middle of the field, which is cell (10, 15).
    assert pattern.offset == (10 + 7, 15 - 4)
    assert pattern.rule == Rule("B36/S23")
    assert pattern.bounds == Bounds("torus", height=20, width=30)
    assert read_rle("x = 1, y = 1, rule = B3/S23:P7\no!").bounds == Bounds("box", 7, 7)


@pytest.mark.parametrize("end", ["x = 3, y = 3,\n", "x = 3, y = 3, rule = B3/S23,\n"])
def test_a_header_may_end_in_a_comma(end: str) -> None:
    assert sorted(read_rle(f"{end}bo$2bo$3o!").cells()) == GLIDER


def test_a_letter_begins_a_word_unless_a_space_follows() -> None:
    pattern = read_rle("#Next to it\n#Once\n#Pos\n#rules\n#N Glider\n#C\nbo$2bo$3o!")
    assert (pattern.name, pattern.author) == ("Glider", "")
    assert pattern.comments == ("Next to it", "Once", "Pos", "rules", "")
    assert read_rle("#rB36/S23\no!").rule == Rule("B36/S23")


def test_the_first_rule_counts() -> None:
    assert read_rle("x = 1, y = 1, rule = B2/S\n#r 23/3\no!").rule == Rule("B2/S")


def test_letters_of_glider_syntheses_are_live_cells() -> None:
    assert sorted(read_rle("bx$2by$p2o!").cells()) == GLIDER


# A torus or box puts the pattern where Golly does.
PLACED = [
    ("x = 10, y = 8, rule = B3/S23:P10,8\nbo$2bo$3o!", (0, 0)),
    ("x = 3, y = 3, rule = B3/S23:P10,8\nbo$2bo$3o!", (3, 4)),
    ("x = 4, y = 6, rule = B3/S23:P10,8\nbo$2bo$3o!", (1, 3)),
    ("x = 5, y = 5, rule = B3/S23:P5,5\n$2bo$3bo$b3o!", (1, 1)),
    ("x = 0, y = 0, rule = B3/S23:P10,8\nbo$2bo$3o!", (0, 0)),
    ("x = 11, y = 3, rule = B3/S23:T10,8\nbo$2bo$3o!", (0, 0)),
    ("#CXRLE Pos=-5,-4\nx = 3, y = 3, rule = B3/S23:P10,8\nbo$2bo$3o!", (0, 0)),
    ("#CXRLE Gen=7 Pos=1,-2\nx = 9, y = 9, rule = B3/S23:T11,9\nbo$2bo$3o!", (2, 6)),
    ("#r 23/3:T10,8\nbo$2bo$3o!", (4, 5)),
    ("#P 1 1\nx = 3, y = 3, rule = B3/S23:P10,8\nbo$2bo$3o!", (3, 4)),
]


@pytest.mark.parametrize(("text", "corner"), PLACED)
def test_a_pattern_lies_in_a_bounded_field_where_the_file_says(
    text: str, corner: tuple[int, int]
) -> None:
    pattern = read_rle(text)
    expected = [(y + corner[0], x + corner[1]) for y, x in GLIDER]
    assert sorted(pattern.cells()) == expected
    assert list(make_engine(pattern).snapshot().cells()) == expected
    assert read_rle(write_rle(pattern)) == pattern


@pytest.mark.parametrize(
    ("suffix", "bounds"),
    [
        ("P7", Bounds("box", 7, 7)),
        ("p30,20", Bounds("box", 20, 30)),
        ("t10, 5", Bounds("torus", 5, 10)),
        (" T10,5 ", Bounds("torus", 5, 10)),
        ("T30+5,20", Bounds("torus", 20, 30, "", 5)),
        ("T30-32,20", Bounds("torus", 20, 30, "", -2)),
        ("T30,20-2", Bounds("torus", 20, 30, "", 0, -2)),
        ("T30+30,20+1", Bounds("torus", 20, 30, "", 0, 1)),
        ("K30*,20", Bounds("klein", 20, 30, "x")),
        ("K30,20*", Bounds("klein", 20, 30, "y")),
        ("K30,20", Bounds("klein", 20, 30, "y")),
        ("K30*+1,20", Bounds("klein", 20, 30, "x", 1)),
        ("K30,20*-7", Bounds("klein", 20, 30, "y", 0, 1)),
        ("K31*+1,20", Bounds("klein", 20, 31, "x")),
        ("C30,20", Bounds("cross", 20, 30)),
        ("S30", Bounds("sphere", 30, 30)),
        ("T0,0", None),
        ("P", None),
        ("", None),
    ],
)
def test_every_bounded_field_of_golly_is_known(suffix: str, bounds: Bounds | None) -> None:
    pattern = read_rle(f"x = 1, y = 1, rule = b3/s23:{suffix}\no!")
    assert (pattern.rule, pattern.bounds) == (Rule("B3/S23"), bounds)
    assert read_rle(write_rle(pattern)) == pattern


@pytest.mark.parametrize(
    ("suffix", "why"),
    [
        ("P30,0", "its width or height is unbounded"),
        ("K0,20", "its width or height is unbounded"),
        ("S30,20", "a sphere must be as high as it is wide"),
        ("P30+1,20", "only a torus or a Klein bottle can have a shift"),
        ("C30,20+1", "only a torus or a Klein bottle can have a shift"),
        ("T30*,20", "only a Klein bottle (:K) has a twist"),
        ("K30*,20*", "a Klein bottle has one twist"),
        ("K30+1,20*", "a shift of a Klein bottle must be on the twisted edges"),
        ("T30+1,20+1", "only one pair of edges can be shifted"),
        ("T30,20,5", "unknown; a box is written :P30,20 (width, height), a torus :T30,20"),
        ("M30", "a Klein bottle :K30*,20 or :K30,20*, a cross-surface :C30,20 and a sphere :S30"),
    ],
)
def test_an_unknown_field_is_refused_with_the_known_ones(suffix: str, why: str) -> None:
    with pytest.raises(PatternError) as refused:
        read_rle(f"x = 1, y = 1, rule = B3/S23:{suffix}\no!")
    assert (refused.value.line, refused.value.column) == (1, 22)
    assert refused.value.why.startswith(f"the field :{suffix}: ")
    assert why in refused.value.why


def test_cells_outside_of_the_field_are_refused() -> None:
    with pytest.raises(PatternSizeError, match=r"does not fit into 3 × 3 cells at \(2, 2\)"):
        make_engine(read_rle("#CXRLE Pos=1,1\nx = 3, y = 3, rule = B3/S23:T3,3\n3o!"))


def test_old_words_for_rule_and_place() -> None:
    pattern = read_rle("#r 23/36\n#P 5 -6\no!")
    assert (pattern.rule, pattern.offset) == (Rule("B36/S23"), (-6, 5))
    assert read_rle("#R 5 -6\no!").offset == (-6, 5)


@UNHURRIED
@given(patterns)
def test_a_written_pattern_reads_back(pattern: Pattern) -> None:
    text = write_rle(pattern)
    assert read_rle(text) == pattern
    assert read_rle(text.encode()) == pattern
    assert all(len(line) <= 70 for line in text.splitlines() if line[0] not in "#x")


def test_is_written_as_others_write_it() -> None:
    pattern = Pattern(GLIDER, name="Glider", comments=["small"], bounds=Bounds("torus", 20, 30))
    assert write_rle(pattern) == (
        "#N Glider\n#C small\n#CXRLE Pos=-15,-10\nx = 3, y = 3, rule = B3/S23:T30,20\nbo$2bo$3o!\n"
    )
    assert write_rle(pattern.inside(None).at(7, -4)).splitlines()[2] == "#CXRLE Pos=-4,7"
    assert "#CXRLE" not in write_rle(pattern.at(9, 14))
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
    (
        "bo$2z!",
        1,
        5,
        "'z' is not a count, a cell (b, o), the end of a row ($) or of the pattern (!)",
    ),
    ("#C x\nx = 3, y = 3\nbo$\n #C y\n$3B!", 5, 3, "'B' is a state of a rule of more than two"),
    ("bo$2bo", 1, 7, "the pattern ends without !"),
    ("", 1, 1, "the pattern ends without !"),
    ("x = 3, y = 3\n", 2, 1, "the pattern ends without !"),
    ("bo$\n 12", 2, 2, "a count of nothing"),
    ("bo$\n 12!", 2, 2, "a count of nothing"),
    ("bo$b\n0o!", 2, 1, "a count is at least 1"),
    ("bo$b00$!", 1, 5, "a count is at least 1"),
    ("bo$pA!", 1, 4, "'pA' is a state of a rule of more than two states"),
    ("bo$é!", 1, 4, "'é' is not a count, a cell"),
    ("bo$٣o!", 1, 4, "'٣' is not a count, a cell"),
    ("-3o!", 1, 1, "'-' is not a count, a cell"),
    ("o\n99999999999999999999b!", 2, 1, "the counts add up to more than 2**62"),
    ("4000000000000000000b1000000000000000000o!", 1, 21, "the counts add up to more than 2**62"),
    ("4000000000000000000$o1000000000000000000$!", 1, 22, "the counts add up to more than 2**62"),
    ("x = 3\nbo!", 1, 1, "the header must read x = WIDTH, y = HEIGHT, rule = B3/S23"),
    ("#N a\n  x = 3\nbo!", 2, 3, "the header must read"),
    ("x = 1, y = 1, rule = B9/S\no!", 1, 22, "rule 'B9/S' asks for 9 live neighbours"),
    (
        "x = 1, y = 1, rule = B3/S23:Q9,9\no!",
        1,
        22,
        "the field :Q9,9: unknown; a box is written :P30,20",
    ),
    (
        "x = 1, y = 1, rule = B3/S23:T0,9\no!",
        1,
        22,
        "its width or height is unbounded, which is not supported",
    ),
    ("#r wrong\no!", 1, 4, "rule 'wrong' is neither"),
    ("#P 2305843009213693952 0\n2o!", 1, 1, "is too far out"),
]


@pytest.mark.parametrize(("text", "line", "column", "why"), WRONG)
def test_the_wrong_place_is_named_by_line_and_column(
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
