from __future__ import annotations

import pytest
from hypothesis import given

from aconcur.life import (
    Pattern,
    PatternError,
    PatternSizeError,
    Rule,
    read_cells,
    write_cells,
)
from tests.support.patterns import UNHURRIED, patterns

GLIDER = [(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_reads_a_picture_with_words() -> None:
    pattern = read_cells(
        b"!Name: Glider\r\n!Author: Guy\r\n!Rule: B36/S23\r\n!small\r\n.O\r\n..*  \r\nOOO\r\n"
    )
    assert sorted(pattern.cells()) == GLIDER
    assert (pattern.name, pattern.author, pattern.comments) == ("Glider", "Guy", ("small",))
    assert pattern.rule == Rule("B36/S23")


def test_empty_rows_count_and_comments_do_not() -> None:
    assert sorted(read_cells("\n\n!\n.O\n").cells()) == [(2, 1)]


def test_is_written_as_others_write_it() -> None:
    assert write_cells(Pattern(GLIDER, name="Glider")) == "!Name: Glider\n.O.\n..O\nOOO\n"
    assert write_cells(Pattern([(0, 0), (2, 1)])) == "O.\n..\n.O\n"


@UNHURRIED
@given(patterns)
def test_a_written_pattern_reads_back_except_for_place_and_field(pattern: Pattern) -> None:
    if pattern.height * (pattern.width + 1) > 1 << 30:
        with pytest.raises(PatternSizeError, match="write RLE instead"):
            write_cells(pattern)
        return
    back = read_cells(write_cells(pattern))
    assert back.offset == (0, 0)
    kept = Pattern.from_runs(
        back.at(*pattern.offset).runs(),
        back.rule,
        name=back.name,
        author=back.author,
        comments=back.comments,
        bounds=pattern.bounds,
    )
    assert kept == pattern


def test_the_wrong_place_is_named_by_line_and_column() -> None:
    with pytest.raises(PatternError, match=r"a.cells, line 3, column 2: 'o' is not a cell"):
        read_cells("!x\n.O\n.o\n", source="a.cells")
    with pytest.raises(PatternError, match=r"pattern, line 1, column 8: rule 'B' is neither"):
        read_cells("!Rule: B\n")
