"""Patterns as pictures of ``O`` and ``.``, LifeWiki's plain text: files that end in .cells.

Source: https://conwaylife.com/wiki/Plaintext.
"""

from __future__ import annotations

__all__ = ("read_cells", "write_cells")

import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from aconcur.life._errors import PatternError, PatternSizeError
from aconcur.life._formats.parsing import as_line, as_text, parse_rule
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import LIFE

# The most characters to write. A guess: more than an editor opens.
LARGEST: Final = 1 << 30

_LIVE: Final = re.compile(r"[O*]+")
_STRANGE: Final = re.compile(r"[^O*.]")
_SAID: Final = re.compile(r"!\s*(?P<what>Name|Author|Rule):\s*(?P<text>.*)")


def read_cells(text: str | bytes, *, source: str = "") -> Pattern:
    r"""Read a picture, ``.`` dead, ``O`` or ``*`` alive: ``read_cells(".O.\n..O\nOOO")``.

    Lines that begin with ``!`` are comments; ``!Name:``, ``!Author:`` and ``!Rule:`` have a
    meaning, the last of which only this package writes. Lines may be shorter than others.

    Args:
        text: the file's content; bytes are UTF-8, or else Latin-1.
        source: the file's name, for errors.

    Raises:
        PatternError: a character is not a cell, or the rule is not one; the message says where.
    """
    lines = as_text(text).split("\n")
    said = {"Name": "", "Author": "", "Rule": ""}
    rule, comments, rows = LIFE, [], []
    for number, line in enumerate(lines, 1):
        if not line.startswith("!"):
            rows.append((number, line.rstrip()))
        elif (found := _SAID.fullmatch(line)) and not said[found["what"]]:
            said[found["what"]] = as_line(found["text"])
            if found["what"] == "Rule":
                rule = parse_rule(said["Rule"], number, found.start("text") + 1, source)
        else:
            comments.append(as_line(line[1:]))
    runs = [
        (y, live.start(), live.end() - live.start())
        for y, (number, row) in enumerate(rows)
        for live in _live(row, number, source)
    ]
    return Pattern.from_runs(
        runs, rule, name=said["Name"], author=said["Author"], comments=comments
    )


def _live(row: str, number: int, source: str) -> Iterator[re.Match[str]]:
    if strange := _STRANGE.search(row):
        why = f"{strange[0]!r} is not a cell: O is alive, . is dead"
        raise PatternError(why, number, strange.start() + 1, source)
    return _LIVE.finditer(row)


def write_cells(pattern: Pattern) -> str:
    """Return a pattern as a picture, without its place and its bounds.

    :func:`read_cells` restores everything else.

    Raises:
        PatternSizeError: the picture would have more than 2³⁰ characters.
    """
    size = pattern.height * (pattern.width + 1)
    if size > LARGEST:
        raise PatternSizeError(f"a picture of {pattern!r} has {size} characters: write RLE instead")
    lines = [f"!Name: {pattern.name}"] * bool(pattern.name)
    lines += [f"!Author: {pattern.author}"] * bool(pattern.author)
    lines += [f"!Rule: {pattern.rule}"] * (pattern.rule != LIFE)
    lines += [f"!{comment}" for comment in pattern.comments]
    return "\n".join([*lines, *_rows(pattern)]) + "\n"


def _rows(pattern: Pattern) -> Iterator[str]:
    top, left = pattern.offset
    row = top
    for y, runs in groupby(pattern.runs(), key=itemgetter(0)):
        yield from ["." * pattern.width] * (y - row)
        cells = bytearray(b".") * pattern.width
        for _, x, n in runs:
            cells[x - left : x - left + n] = b"O" * n
        yield cells.decode()
        row = y + 1
