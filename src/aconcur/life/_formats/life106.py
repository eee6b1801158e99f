"""Patterns as a list of coordinates: files that begin with ``#Life 1.06``.

Source: https://conwaylife.com/wiki/Life_1.06.
"""

from __future__ import annotations

__all__ = ("HEADER", "read_life106", "write_life106")

import re
from typing import Final

from aconcur.life._errors import PatternError, PatternSizeError
from aconcur.life._formats.parsing import as_line, as_text, to_int
from aconcur.life._model.pattern import Pattern

HEADER: Final = "#Life 1.06"
# The most cells to write: about 1 GiB of text. A guess.
LARGEST: Final = 1 << 26

_CELL: Final = re.compile(r"\s*(?P<x>[-+]?\d+)[ \t]+(?P<y>[-+]?\d+)\s*", re.ASCII)


def read_life106(text: str | bytes, *, source: str = "") -> Pattern:
    """Read one cell a line, x before y, after the line ``#Life 1.06``.

    Other lines that begin with ``#`` are comments. The cells may come in any order.

    Args:
        text: the file's content; bytes are UTF-8, or else Latin-1.
        source: the file's name, for errors.

    Raises:
        PatternError: the first line is another one, a line is not a cell, or a coordinate is
            beyond ±2⁶¹; the message says where.
    """
    lines = as_text(text).split("\n")
    if lines[0].split() != HEADER.split():
        raise PatternError(f"the first line must be {HEADER}", 1, 1, source)
    cells, comments = [], []
    for number, line in enumerate(lines[1:], 2):
        if found := _CELL.fullmatch(line):
            cells.append((to_int(found["y"]), to_int(found["x"])))
        elif line.startswith("#"):
            comments.append(as_line(line[1:]))
        elif line.strip():
            column = len(line) - len(line.lstrip()) + 1
            why = f"{line.strip()[:40]!r} is not a cell, two numbers x y"
            raise PatternError(why, number, column, source)
    try:
        return Pattern(cells, comments=comments)
    except PatternSizeError as error:
        far = max(cells, key=lambda cell: max(map(abs, cell)))
        number = next(n for n, line in enumerate(lines, 1) if _is_cell(line, far))
        raise PatternError(str(error), number, 1, source) from None


def _is_cell(line: str, cell: tuple[int, int]) -> bool:
    found = _CELL.fullmatch(line)
    return found is not None and (to_int(found["y"]), to_int(found["x"])) == cell


def write_life106(pattern: Pattern) -> str:
    """Return one line a cell, x before y.

    Coordinates and comments are kept. The rule, the bounds and the names are lost.

    Raises:
        PatternSizeError: there are more than 2²⁶ cells.
    """
    if pattern.population > LARGEST:
        raise PatternSizeError(f"{pattern!r} has too many cells for a list: write RLE or macrocell")
    comments = [f"#{comment}" for comment in pattern.comments]
    return "\n".join([HEADER, *comments, *(f"{x} {y}" for y, x in pattern.cells())]) + "\n"
