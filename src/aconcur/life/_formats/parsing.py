"""What the readers of all formats share."""

from __future__ import annotations

__all__ = ("as_line", "as_text", "notation_of", "place_of", "rule_and_bounds", "rule_at", "whole")

import re
from typing import Final

from aconcur.life._engines.base import Topology
from aconcur.life._errors import PatternError, RuleError
from aconcur.life._model.pattern import Bounds, Pattern
from aconcur.life._model.rule import Rule

_BEYOND: Final = 1 << 64
# Golly's: T for a torus, P for a part of the plane with dead cells around.
_BOUNDS: Final = re.compile(r"(?P<rule>[^:]*):(?P<kind>[TP])(?P<width>\d+)(?:,(?P<height>\d+))?")


def as_text(text: str | bytes) -> str:
    """Return a file's content as text: UTF-8, or else Latin-1, with any line ends."""
    if not isinstance(text, str):
        text = _decoded(text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def as_line(words: str) -> str:
    """Return what is said of a pattern as one line, for Unicode has more ends of lines than files.

    Each of them becomes a space.
    """
    return " ".join(words.splitlines()).strip()


def whole(digits: str | bytes) -> int:
    """Return the number that stands there, or one beyond all patterns if it has no end."""
    try:
        return int(digits)
    except ValueError:  # more digits than sys.get_int_max_str_digits()
        return -_BEYOND if digits[:1] in ("-", b"-") else _BEYOND


def place_of(text: str, index: int) -> tuple[int, int]:
    """Return the line and the column, both from 1, of a place in a text."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def rule_at(notation: str, line: int, column: int, source: str) -> Rule:
    """Return the rule that stands at a place in a file.

    Raises:
        PatternError: it is none.
    """
    try:
        return Rule(notation)
    except RuleError as error:
        raise PatternError(str(error), line, column, source) from None


def rule_and_bounds(
    notation: str, line: int, column: int, source: str
) -> tuple[Rule, Bounds | None]:
    """Return the rule that stands at a place in a file, and the field behind it: B3/S23:T30,20.

    Raises:
        PatternError: they are none, or the field has no end.
    """
    bounds = None
    if found := _BOUNDS.fullmatch(notation):
        notation, kind, width, height = found.groups()
        topology: Topology = "torus" if kind == "T" else "box"
        bounds = Bounds(topology, whole(height or width), whole(width))
        if 0 in bounds:
            why = "a field of which one side is unbounded is not known"
            raise PatternError(why, line, column, source)
    return rule_at(notation, line, column, source), bounds


def notation_of(pattern: Pattern) -> str:
    """Return a pattern's rule and field as :func:`rule_and_bounds` reads them."""
    if pattern.bounds is None:
        return str(pattern.rule)
    topology, height, width = pattern.bounds
    return f"{pattern.rule}:{'T' if topology == 'torus' else 'P'}{width},{height}"
