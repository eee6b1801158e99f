"""Patterns as blocks of pictures with coordinates: files that begin with ``#Life 1.05``.

Source: https://conwaylife.com/wiki/Life_1.05.
"""

from __future__ import annotations

__all__ = ("HEADER", "read_life105")

import re
from collections.abc import Iterator
from typing import Final

from aconcur.life._errors import PatternError, PatternSizeError
from aconcur.life._formats.parsing import as_line, as_text, parse_universe, to_int
from aconcur.life._model.field import Bounds
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import LIFE

HEADER: Final = "#Life 1.05"

_BLOCK: Final = re.compile(r"#P\s*(?:(?P<x>[-+]?\d+)\s+(?P<y>[-+]?\d+)\s*)?", re.ASCII)
_STRANGE: Final = re.compile(r"[^.*]")


def read_life105(text: str | bytes, *, source: str = "") -> Pattern:
    """Read blocks of a picture, ``.`` dead and ``*`` alive, each after a line ``#P X Y``.

    X and Y are the place of a block's top left cell, by default 0 and 0; in a bounded field they
    count from its middle.
    ``#R 23/36`` names the rule (survivors first), ``#N`` Conway's, and ``#D`` is a comment. The
    line ``#Life 1.05`` may be missing.

    Args:
        text: the file's content; bytes are UTF-8, or else Latin-1.
        source: the file's name, for errors.

    Raises:
        PatternError: a line is none of these, the rule or field is not supported, or a coordinate
            is beyond ±2⁶¹; the message says where.
    """
    file = _File(source)
    lines = as_text(text).split("\n")
    for number, line in enumerate(lines, 1):
        if number > 1 or line.split() != HEADER.split():
            file.read_line(line, number)
    middle_y, middle_x = file.bounds.middle if file.bounds else (0, 0)
    try:
        return Pattern(
            ((y + middle_y, x + middle_x) for y, x, _ in file.cells),
            file.rule,
            comments=file.comments,
            bounds=file.bounds,
        )
    except PatternSizeError as error:
        _, _, number = max(file.cells, key=lambda cell: max(abs(cell[0]), abs(cell[1])))
        raise PatternError(str(error), number, 1, source) from None


class _File:
    """The content of a file, line by line."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._y = self._left = 0
        self.rule = LIFE
        self.bounds: Bounds | None = None
        self.comments: list[str] = []
        self.cells: list[tuple[int, int, int]] = []
        """The y, the x and the line of the file of each live cell."""

    def read_line(self, line: str, number: int) -> None:
        if line.startswith("#"):
            self._read_command(line, number)
        elif line.strip():
            self.cells += self._live(line.rstrip(), number)
            self._y += 1

    def _live(self, line: str, number: int) -> Iterator[tuple[int, int, int]]:
        if strange := _STRANGE.search(line):
            why = f"{strange[0]!r} is not a cell: * is alive, . is dead"
            raise PatternError(why, number, strange.start() + 1, self._source)
        for column, cell in enumerate(line):
            if cell == "*":
                yield self._y, self._left + column, number

    def _read_command(self, line: str, number: int) -> None:
        kind, words = line[1:2], as_line(line[2:])
        if kind == "P":
            found = _BLOCK.fullmatch(line)
            if found is None:
                raise PatternError("a block begins with #P X Y", number, 1, self._source)
            if found["y"] is not None:
                self._y, self._left = to_int(found["y"]), to_int(found["x"])
        elif kind == "R":
            column = len(line) - len(line[2:].lstrip()) + 1
            self.rule, self.bounds = parse_universe(words, number, column, self._source)
        elif kind == "N":
            self.rule, self.bounds = LIFE, None
        elif kind in ("D", "C"):
            self.comments.append(words)
        elif words:
            self.comments.append(as_line(line[1:]))
