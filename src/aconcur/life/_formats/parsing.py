"""Shared by the readers and writers of all formats: text, numbers, rules and fields."""

from __future__ import annotations

__all__ = (
    "as_line",
    "as_text",
    "notation_of",
    "parse_rule",
    "parse_universe",
    "place_of",
    "to_int",
)

import re
from typing import Final

from aconcur.life._errors import PatternError, RuleError
from aconcur.life._model.field import Bounds, Topology, Twist
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import Rule

_TOO_LARGE: Final = 1 << 64

_TOPOLOGIES: Final[dict[str, Topology]] = {
    "P": "box",
    "T": "torus",
    "K": "klein",
    "C": "cross",
    "S": "sphere",
}
_LETTERS: Final = {topology: letter for letter, topology in _TOPOLOGIES.items()}
_SIDE: Final = r"(?P<{0}>\d+)(?P<{0}_twist>\*?)(?P<{0}_shift>(?:[+-]\d+)?)"
_FIELD: Final = re.compile(
    rf"(?P<kind>[A-Za-z])(?:{_SIDE.format('width')}(?:,{_SIDE.format('height')})?)?", re.ASCII
)
_KNOWN_FIELDS: Final = (
    "a box is written :P30,20 (width, height), a torus :T30,20 or with a shift :T30+5,20 or "
    ":T30,20-2, a Klein bottle :K30*,20 or :K30,20*, a cross-surface :C30,20 and a sphere :S30"
)


def as_text(text: str | bytes) -> str:
    """Return a file's content as text with Unix line ends; bytes are UTF-8, or else Latin-1."""
    if not isinstance(text, str):
        text = _decoded(text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def as_line(words: str) -> str:
    """Return words as one line; line ends that only Unicode knows become spaces."""
    return " ".join(words.splitlines()).strip()


def to_int(digits: str | bytes) -> int:
    """Return a number, or one that is too large for every pattern if it has too many digits."""
    try:
        return int(digits)
    except ValueError:  # more digits than sys.get_int_max_str_digits()
        return -_TOO_LARGE if digits[:1] in ("-", b"-") else _TOO_LARGE


def place_of(text: str, index: int) -> tuple[int, int]:
    """Return the line and the column, both from 1, of an index in a text."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def parse_rule(notation: str, line: int, column: int, source: str) -> Rule:
    """Return the rule at a place in a file.

    Raises:
        PatternError: the text is not a rule.
    """
    try:
        return Rule(notation)
    except RuleError as error:
        raise PatternError(str(error), line, column, source) from None


def parse_universe(
    notation: str, line: int, column: int, source: str
) -> tuple[Rule, Bounds | None]:
    """Return the rule at a place in a file, and the field after it, as in ``B3/S23:T30,20``.

    Raises:
        PatternError: the text is not a rule, or not a field that engines know.
    """
    text, colon, suffix = notation.partition(":")
    rule = parse_rule(text.strip(), line, column, source)
    if not colon:
        return rule, None
    try:
        return rule, _parse_field(re.sub(r"\s", "", suffix))
    except ValueError as error:
        raise PatternError(f"the field :{suffix[:40]}: {error}", line, column, source) from None


def _parse_field(suffix: str) -> Bounds | None:
    """Return a field in Golly's notation, or None for the plane.

    Raises:
        ValueError: the text is not a field that engines know.
    """
    found = _FIELD.fullmatch(suffix)
    topology = _TOPOLOGIES.get(found["kind"].upper()) if found else None
    if not found or topology is None:
        if not suffix:
            return None
        raise ValueError(f"unknown; {_KNOWN_FIELDS}")
    if found["width"] is None:
        width = height = 0
    else:
        width = to_int(found["width"])
        height = width if found["height"] is None else to_int(found["height"])
    if not width and not height and topology in ("torus", "box"):
        return None
    if not width or not height:
        raise ValueError(
            "its width or height is unbounded, which is not supported: give both, as in :T30,20"
        )
    twist, shift_x, shift_y = _parse_edges(found, topology, height, width)
    bounds = Bounds(topology, height, width, twist, shift_x, shift_y)
    bounds.check()
    return bounds


def _parse_edges(
    found: re.Match[str], topology: Topology, height: int, width: int
) -> tuple[Twist, int, int]:
    shift_x, shift_y = (to_int(found[f"{side}_shift"] or "0") for side in ("width", "height"))
    # The remainder keeps the sign, as Golly writes it.
    shift_x = abs(shift_x) % width * (1 if shift_x > 0 else -1)
    shift_y = abs(shift_y) % height * (1 if shift_y > 0 else -1)
    twists = bool(found["width_twist"]), bool(found["height_twist"])
    if topology != "klein":
        if any(twists):
            raise ValueError("only a Klein bottle (:K) has a twist (*)")
        return "", shift_x, shift_y
    if all(twists):
        raise ValueError("a Klein bottle has one twist; a cross-surface is written :C30,20")
    # On a Klein bottle every shift is equal to 0 or 1, and on an odd number of cells to 0.
    shift_x, shift_y = bool(shift_x) * (1 - width % 2), bool(shift_y) * (1 - height % 2)
    return "x" if twists[0] else "y", shift_x, shift_y


def notation_of(pattern: Pattern) -> str:
    """Return a pattern's rule and field as :func:`parse_universe` reads them."""
    if pattern.bounds is None:
        return str(pattern.rule)
    topology, height, width, twist, shift_x, shift_y = pattern.bounds
    field = f"{pattern.rule}:{_LETTERS[topology]}{width}"
    if topology == "sphere":
        return field
    star_x = "*" * (topology == "klein" and twist == "x")
    star_y = "*" * (topology == "klein" and twist != "x")
    return f"{field}{star_x}{_signed(shift_x)},{height}{star_y}{_signed(shift_y)}"


def _signed(shift: int) -> str:
    return f"{shift:+d}" if shift else ""
