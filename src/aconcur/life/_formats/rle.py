"""Run-length encoded patterns, as LifeWiki and Golly have them: files that end in .rle.

Source: https://conwaylife.com/wiki/Run_Length_Encoded and Golly's help on file formats.
"""

from __future__ import annotations

__all__ = ("read_rle", "write_rle")

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final, NoReturn

from aconcur.life._errors import PatternError, PatternSizeError
from aconcur.life._formats.parsing import (
    as_line,
    as_text,
    notation_of,
    place_of,
    rule_and_bounds,
    whole,
)
from aconcur.life._formats.rle_body import blame, read_body
from aconcur.life._model.pattern import Bounds, Pattern
from aconcur.life._model.rule import LIFE

_LINE: Final = 70  # characters, as the format asks

_HEADER: Final = re.compile(
    r"\s*x\s*=\s*\d+\s*,\s*y\s*=\s*\d+\s*(?:,\s*rule\s*=\s*(?P<rule>\S(?:.*\S)?)\s*)?", re.ASCII
)
_COMMENT: Final = re.compile(r"\s*#\s?(?P<kind>CXRLE\b|[A-Za-z]?)(?P<rest>.*)")
_PLACE: Final = re.compile(r"(?:.*\bPos\s*=)?\s*(?P<x>[-+]?\d+)[\s,]+(?P<y>[-+]?\d+).*", re.ASCII)
_COMMENT_OR_END: Final = re.compile(r"(?m:^[ \t]*#.*$)|!(?s:.*)")


def read_rle(text: str | bytes, *, source: str = "") -> Pattern:
    """Read a pattern in RLE: ``read_rle("bo$2bo$3o!")`` is a glider.

    The header line is optional, comments may stand anywhere, and what follows the ``!`` is not
    read. ``#CXRLE Pos=``, ``#P`` and ``#R`` place the pattern; a rule like ``B3/S23:T30,20`` names
    a torus (T) or a box (P), which becomes its :attr:`~Pattern.bounds`.

    Takes memory in proportion to the text, whatever counts stand in it.

    Args:
        text: the file's content; bytes are UTF-8, or else Latin-1.
        source: the file's name, for errors.

    Raises:
        PatternError: the text is no RLE of a rule of two states; says where and why.
    """
    head = _Head(as_text(text), source)
    body = head.read()
    runs = read_body(body.encode())
    if runs is None:
        blame(body, head.lines, source)
    pattern = Pattern.from_runs(
        runs,
        head.rule,
        name=head.name,
        author=head.author,
        comments=head.comments,
        bounds=head.bounds,
    )
    if head.place == (0, 0):
        return pattern
    top, left = pattern.offset
    x, y = head.place
    try:
        return pattern.at(top + y, left + x)
    except PatternSizeError as error:
        raise PatternError(str(error), *head.placed, source) from None


class _Head:
    """What stands before the cells, and in comments among them."""

    def __init__(self, text: str, source: str) -> None:
        self._text, self._source = text, source
        self.name = self.author = ""
        self.comments: list[str] = []
        self.rule = LIFE
        self.bounds: Bounds | None = None
        self.place = (0, 0)
        self.placed = (1, 1)
        self.lines = 0
        """How many lines stand before the cells."""

    def read(self) -> str:
        """Return the cells' text, with empty lines for comments and nothing after its end."""
        begin = 0
        while begin < len(self._text):
            end = self._text.find("\n", begin) + 1 or len(self._text)
            line = self._text[begin:end].rstrip("\n")
            plain = line.strip()
            if plain.startswith("#"):
                self._hear(line, begin)
            elif plain.startswith("x"):
                self._hear_header(line, begin)
            elif plain:
                break
            begin = end
        self.lines = self._text.count("\n", 0, begin)
        body = self._text[begin:]
        if "#" not in body:
            return body
        return _COMMENT_OR_END.sub(lambda found: self._cut(found, begin), body)

    def _cut(self, found: re.Match[str], begin: int) -> str:
        if found[0].startswith("!"):
            return "!"
        self._hear(found[0], begin + found.start())
        return ""

    def _hear_header(self, line: str, begin: int) -> None:
        found = _HEADER.fullmatch(line)
        if found is None:
            indent = len(line) - len(line.lstrip())
            self._refuse(
                "the header must read x = WIDTH, y = HEIGHT, rule = B3/S23", begin + indent
            )
        if found["rule"] is not None:
            self._hear_rule(found["rule"], begin + found.start("rule"))

    def _hear_rule(self, notation: str, begin: int) -> None:
        place = place_of(self._text, begin)
        self.rule, self.bounds = rule_and_bounds(notation, *place, self._source)

    def _hear(self, line: str, begin: int) -> None:
        found = _COMMENT.fullmatch(line)
        assert found is not None
        kind, rest = found["kind"], as_line(found["rest"])
        if kind == "N":
            self.name = rest
        elif kind == "O":
            self.author = rest
        elif kind == "r":
            indent = len(found["rest"]) - len(found["rest"].lstrip())
            self._hear_rule(rest, begin + found.start("rest") + indent)
        elif kind in ("P", "R", "CXRLE"):
            self._hear_place(rest, begin)
        elif rest or kind in ("C", "c"):
            self.comments.append(rest)

    def _refuse(self, why: str, index: int) -> NoReturn:
        raise PatternError(why, *place_of(self._text, index), self._source)

    def _hear_place(self, words: str, begin: int) -> None:
        if found := _PLACE.fullmatch(words):
            self.place = whole(found["x"]), whole(found["y"])
            self.placed = place_of(self._text, begin)


def write_rle(pattern: Pattern) -> str:
    """Return a pattern in RLE; :func:`read_rle` returns the same one.

    The position is written as ``#CXRLE Pos=`` where it is not (0, 0).
    """
    words = chain(
        [("N", pattern.name)] * bool(pattern.name),
        [("O", pattern.author)] * bool(pattern.author),
        (("C", comment) for comment in pattern.comments),
    )
    lines = [f"#{kind} {text}".rstrip() for kind, text in words]
    y, x = pattern.offset
    if x or y:
        lines.append(f"#CXRLE Pos={x},{y}")
    lines.append(f"x = {pattern.width}, y = {pattern.height}, rule = {notation_of(pattern)}")
    body = "".join(_items(pattern))
    lines += re.findall(rf".{{0,{_LINE - 1}}}[bo$!]", body)
    return "\n".join(lines) + "\n"


def _items(pattern: Pattern) -> Iterator[str]:
    row, left = pattern.offset
    column = left
    for y, x, n in pattern.runs():
        if y != row:
            yield _ENDS[y - row] if y - row < _SHORT else f"{y - row}$"
            row, column = y, left
        if x != column:
            yield _DEAD[x - column] if x - column < _SHORT else f"{x - column}b"
        yield _ALIVE[n] if n < _SHORT else f"{n}o"
        column = x + n
    yield "!"


_SHORT: Final = 64
# Looked up in half the time that it takes to write them.
_ENDS, _DEAD, _ALIVE = (
    ("", kind, *(f"{n}{kind}" for n in range(2, _SHORT))) for kind in ("$", "b", "o")
)
