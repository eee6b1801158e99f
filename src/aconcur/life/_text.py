"""What the readers of all formats share."""

from __future__ import annotations

__all__ = ("as_text", "place_of", "rule_at")

from aconcur.life._errors import PatternError, RuleError
from aconcur.life._rule import Rule


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
