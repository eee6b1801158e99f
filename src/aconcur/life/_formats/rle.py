"""Run-length encoded patterns, the format of LifeWiki and Golly: files that end in .rle.

Source: https://conwaylife.com/wiki/Run_Length_Encoded, and Golly's help on file formats and bounded
grids, which says where a pattern lies in a bounded field.
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
    parse_universe,
    place_of,
    to_int,
)
from aconcur.life._formats.rle_body import explain, read_body
from aconcur.life._model.field import Bounds
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import LIFE

_LINE: Final = 70  # the format's limit for a line, in characters

_HEADER: Final = re.compile(
    r"\s*x\s*=\s*(?P<width>\d+)\s*,\s*y\s*=\s*(?P<height>\d+)\s*"
    r"(?:,\s*rule\s*=\s*(?P<rule>[^\s,](?:.*[^\s,])?)\s*)?,?\s*",
    re.ASCII,
)
# A letter belongs to a word, as in "#Next", unless a space follows; #r, #P and #R may lack it.
_COMMENT: Final = re.compile(
    r"\s*#(?P<kind>CXRLE\b|[A-Za-z](?!\S)|r(?=[0-9BbSs/])|[PR](?=[-+\d])|)(?P<rest>.*)"
)
_PLACE: Final = re.compile(r"(?:.*\bPos\s*=)?\s*(?P<x>[-+]?\d+)[\s,]+(?P<y>[-+]?\d+).*", re.ASCII)
_COMMENT_OR_END: Final = re.compile(r"(?m:^[ \t]*#.*$)|!(?s:.*)")


def read_rle(text: str | bytes, *, source: str = "") -> Pattern:
    """Read a pattern in RLE: ``read_rle("bo$2bo$3o!")`` is a glider.

    The header line is optional, comments may stand between any two lines, and the text after ``!``
    is ignored. ``b`` and ``.`` are dead cells; ``o``, ``A`` and the letters p to y are live ones.

    A rule like ``B3/S23:T30,20`` names a bounded field, which becomes the pattern's
    :attr:`~Pattern.bounds`. The file says where in the field the pattern lies, as in Golly:
    ``#CXRLE Pos=X,Y`` is the place of its top left corner, counted from the middle of the field.
    Without that line, the rectangle of the header is in the middle of the field, or at its top left
    if it does not fit. On the plane ``Pos`` is the pattern's :attr:`~Pattern.offset`.

    Takes memory in proportion to the text, not to the counts in it.

    Args:
        text: the file's content; bytes are UTF-8, or else Latin-1.
        source: the file's name, for errors.

    Raises:
        PatternError: the text is not RLE, or its rule or field is not supported; the message says
            where and why.
    """
    head = _Head(as_text(text), source)
    body = head.read()
    runs = read_body(body.encode())
    if runs is None:
        explain(body, head.lines, source)
    pattern = Pattern.from_runs(
        runs,
        head.rule,
        name=head.name,
        author=head.author,
        comments=head.comments,
        bounds=head.bounds,
    )
    top, left = pattern.offset
    y, x = head.origin()
    if (y, x) == (0, 0) or not pattern.population:
        return pattern
    try:
        return pattern.at(top + y, left + x)
    except PatternSizeError as error:
        raise PatternError(str(error), *head.placed, source) from None


class _Head:
    """The header, and the comments before and among the cells."""

    def __init__(self, text: str, source: str) -> None:
        self._text, self._source = text, source
        self.name = self.author = ""
        self.comments: list[str] = []
        self.rule = LIFE
        self.bounds: Bounds | None = None
        self.placed = (1, 1)
        """The line and column that name the place of the pattern."""
        self.lines = 0
        """The number of lines before the cells."""
        self._has_rule = False
        # From #CXRLE Pos, and from #P or #R, which Golly ignores in a bounded field.
        self._place: tuple[int, int] | None = None
        self._old_place: tuple[int, int] | None = None
        self._size: tuple[int, int] | None = None

    def read(self) -> str:
        """Return the text of the cells, with empty lines for comments and nothing after its end."""
        begin = 0
        while begin < len(self._text):
            end = self._text.find("\n", begin) + 1 or len(self._text)
            line = self._text[begin:end].rstrip("\n")
            plain = line.strip()
            if plain.startswith("#"):
                self._read_comment(line, begin)
            elif re.match(r"x[\s=]", plain):
                self._read_header(line, begin)
            elif plain:
                break
            begin = end
        self.lines = self._text.count("\n", 0, begin)
        body = self._text[begin:]
        if "#" not in body:
            return body
        return _COMMENT_OR_END.sub(lambda found: self._cut(found, begin), body)

    def origin(self) -> tuple[int, int]:
        """Return the row and column of the first cell of the text."""
        if self.bounds is None:
            return self._place or self._old_place or (0, 0)
        y, x = self._place or (0, 0)
        middle_y, middle_x = self.bounds.middle
        if self._place is None and self._size is not None:
            height, width = self._size
            if not (0 < height <= self.bounds.height and 0 < width <= self.bounds.width):
                return 0, 0
            y, x = -(height // 2), -(width // 2)
        return middle_y + y, middle_x + x

    def _cut(self, found: re.Match[str], begin: int) -> str:
        if found[0].startswith("!"):
            return "!"
        self._read_comment(found[0], begin + found.start())
        return ""

    def _read_header(self, line: str, begin: int) -> None:
        found = _HEADER.fullmatch(line)
        if found is None:
            indent = len(line) - len(line.lstrip())
            self._refuse(
                "the header must read x = WIDTH, y = HEIGHT, rule = B3/S23", begin + indent
            )
        self._size = to_int(found["height"]), to_int(found["width"])
        if found["rule"] is not None:
            self._read_rule(found["rule"], begin + found.start("rule"))

    def _read_rule(self, notation: str, begin: int) -> None:
        if not self._has_rule:
            place = place_of(self._text, begin)
            self.rule, self.bounds = parse_universe(notation, *place, self._source)
            self._has_rule = True

    def _read_comment(self, line: str, begin: int) -> None:
        found = _COMMENT.fullmatch(line)
        assert found is not None
        kind, rest = found["kind"], as_line(found["rest"])
        if kind == "N":
            self.name = rest
        elif kind == "O":
            self.author = rest
        elif kind == "r":
            indent = len(found["rest"]) - len(found["rest"].lstrip())
            self._read_rule(rest, begin + found.start("rest") + indent)
        elif kind == "CXRLE":
            self._place = self._read_place(rest, begin) or self._place
        elif kind in ("P", "R"):
            self._old_place = self._read_place(rest, begin) or self._old_place
        elif rest or kind in ("C", "c"):
            self.comments.append(rest)

    def _refuse(self, why: str, index: int) -> NoReturn:
        raise PatternError(why, *place_of(self._text, index), self._source)

    def _read_place(self, words: str, begin: int) -> tuple[int, int] | None:
        found = _PLACE.fullmatch(words)
        if found is None:
            return None
        self.placed = place_of(self._text, begin)
        return to_int(found["y"]), to_int(found["x"])


def write_rle(pattern: Pattern) -> str:
    """Return a pattern in RLE; :func:`read_rle` returns an equal one, also its place in a field.

    The place is written as ``#CXRLE Pos=`` where it is not the default: (0, 0) on the plane, the
    middle of a bounded field.

    Raises:
        GridTooLargeError: the pattern has too many cells to lay out: write macrocell.
    """
    words = chain(
        [("N", pattern.name)] * bool(pattern.name),
        [("O", pattern.author)] * bool(pattern.author),
        (("C", comment) for comment in pattern.comments),
    )
    lines = [f"#{kind} {text}".rstrip() for kind, text in words]
    if place := _place_of(pattern):
        lines.append(f"#CXRLE Pos={place[1]},{place[0]}")
    lines.append(f"x = {pattern.width}, y = {pattern.height}, rule = {notation_of(pattern)}")
    body = "".join(_items(pattern))
    lines += re.findall(rf".{{0,{_LINE - 1}}}[bo$!]", body)
    return "\n".join(lines) + "\n"


def _place_of(pattern: Pattern) -> tuple[int, int] | None:
    """Return the y and x to write, or None if a reader places the pattern there by default."""
    (y, x), bounds = pattern.offset, pattern.bounds
    if bounds is None:
        return (y, x) if y or x else None
    if not pattern.population:
        return None
    middle_y, middle_x = bounds.middle
    place = y - middle_y, x - middle_x
    fits = pattern.height <= bounds.height and pattern.width <= bounds.width
    default = (-(pattern.height // 2), -(pattern.width // 2)) if fits else (-middle_y, -middle_x)
    return None if place == default else place


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
# Looking up a short item takes half the time of formatting it. Measured.
_ENDS, _DEAD, _ALIVE = (
    ("", kind, *(f"{n}{kind}" for n in range(2, _SHORT))) for kind in ("$", "b", "o")
)
