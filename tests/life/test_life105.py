from __future__ import annotations

import pytest

from aconcur.life import Bounds, PatternError, Rule, read_life105

GLIDER = [(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_reads_blocks_at_their_places() -> None:
    pattern = read_life105(
        b"#Life 1.05\r\n#D two gliders\r\n#D  far apart\r\n#R 23/36\r\n"
        b"#P -1 -1\r\n.*.\r\n..*\r\n***\r\n\r\n#P 10 20\r\n.*\r\n..*\r\n***\r\n"
    )
    expected = [(y - 1, x - 1) for y, x in GLIDER] + [(y + 20, x + 10) for y, x in GLIDER]
    assert sorted(pattern.cells()) == expected
    assert pattern.rule == Rule("B36/S23")
    assert pattern.comments == ("two gliders", "far apart")


def test_normal_rules_are_conway_s_and_the_header_may_be_missing() -> None:
    pattern = read_life105("#N\n#P 0 0\n**\n")
    assert (pattern.rule, pattern.population) == (Rule("B3/S23"), 2)


def test_a_block_without_a_place_is_at_0_0() -> None:
    assert sorted(read_life105("#Life 1.05\n#P\n.*\n..*\n***\n").cells()) == GLIDER


def test_blocks_of_a_bounded_field_count_from_its_middle() -> None:
    pattern = read_life105("#Life 1.05\n#R 23/3:T10,8\n#P -5 -4\n.*\n..*\n***\n")
    assert sorted(pattern.cells()) == GLIDER
    assert pattern.bounds == Bounds("torus", 8, 10)


@pytest.mark.parametrize(
    ("text", "line", "column", "why"),
    [
        ("#Life 1.05\n#P 0 0\n.o*\n", 3, 2, "'o' is not a cell: * is alive, . is dead"),
        ("#Life 1.05\n#P 0\n*\n", 2, 1, "a block begins with #P X Y"),
        ("#Life 1.05\n#R 23/3/4\n*\n", 2, 4, "Generations"),
        ("#P 0 9999999999999999999\n*\n", 2, 1, "is too far out"),
    ],
)
def test_the_wrong_line_is_named(text: str, line: int, column: int, why: str) -> None:
    with pytest.raises(PatternError) as refused:
        read_life105(text)
    assert (refused.value.line, refused.value.column) == (line, column)
    assert why in refused.value.why
