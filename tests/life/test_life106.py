from __future__ import annotations

import pytest
from hypothesis import given

from aconcur.life import (
    Pattern,
    PatternError,
    PatternSizeError,
    read_life106,
    write_life106,
)
from tests.support.patterns import UNHURRIED, cells, words


def test_reads_cells_in_any_order() -> None:
    pattern = read_life106(b"#Life 1.06\r\n#a remark\r\n\r\n-1 5\r\n 0\t-2 \r\n")
    assert sorted(pattern.cells()) == [(-2, 0), (5, -1)]
    assert pattern.comments == ("a remark",)
    assert write_life106(pattern) == "#Life 1.06\n#a remark\n0 -2\n-1 5\n"


@UNHURRIED
@given(cells, words)
def test_a_written_pattern_reads_back(given: frozenset[tuple[int, int]], comment: str) -> None:
    pattern = Pattern(given, comments=[comment])
    assert read_life106(write_life106(pattern)) == pattern


def test_a_row_of_a_trillion_cells_is_refused_for_writing() -> None:
    with pytest.raises(PatternSizeError, match="write RLE or macrocell"):
        write_life106(Pattern.from_runs([(0, 0, 10**12)]))


@pytest.mark.parametrize(
    ("text", "line", "column", "why"),
    [
        ("1 2\n", 1, 1, "the first line must be #Life 1.06"),
        ("", 1, 1, "the first line must be"),
        ("#Life 1.05\n", 1, 1, "the first line must be"),
        ("#Life 1.06\n1 2\n  3\n", 3, 3, "'3' is not a cell, two numbers x y"),
        ("#Life 1.06\n1 2 3\n", 2, 1, "'1 2 3' is not a cell"),
        ("#Life 1.06\n1 1_0\n", 2, 1, "'1 1_0' is not a cell"),
        ("#Life 1.06\n1 2\n0 9999999999999999999\n1 3\n", 3, 1, "is too far out"),
    ],
)
def test_the_wrong_line_is_named(text: str, line: int, column: int, why: str) -> None:
    with pytest.raises(PatternError) as refused:
        read_life106(text)
    assert (refused.value.line, refused.value.column) == (line, column)
    assert why in refused.value.why
