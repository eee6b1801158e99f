"""Sentences that a reader has to read twice, found by pattern in sources and documents."""

from __future__ import annotations

__all__ = ("PATTERNS", "Passage", "find_dialect", "passages_of")

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

# A word after which a clause with "who" or "what" has no noun that it belongs to.
_OPENS: Final = (
    r"(?:^|[.;:(,–—]\s+"
    r"|\b(?:of|by|for|to|from|than|as|and|or|with|not|that|if|but|on|in|at|like)\s)"
)
_VERB: Final = (
    r"(?:is|are|was|were|be|has|have|had|does|do|did|can|cannot|could|may|must|will|would|"
    r"comes?|came|goes|went|needs?|takes?|took|waits?|wants?|ran|runs?|says?|said|gets?|got|"
    r"fails?|failed|leaves?|left|holds?|held|asks?|reads?|writes?|ends?|ended|follows?|stands?|"
    r"began|begins?|happens?|happened|makes?|made|gives?|gave|looks?|sees?|saw|wakes?|woke|"
    r"never|no|nobody|cancels?|joins?|starts?|calls?|called)\b"
)
PATTERNS: Final = {
    "who without a noun": re.compile(
        rf"\bwhoever\b|{_OPENS}who\s+(?!calls whom){_VERB}", re.IGNORECASE
    ),
    "what as a subject": re.compile(rf"{_OPENS}what\s+{_VERB}(?![^.;]*\?)", re.IGNORECASE),
    "nobody": re.compile(r"\b(?:[Nn]obody|none (?:can|has|is))\b"),
    "is no": re.compile(
        r"\b(?:is|are|was|were|be) no (?!longer\b|more\b|less\b|fewer\b|later\b|earlier\b|need\b|"
        r"way\b|other\b|such\b|doubt\b|different\b|reason\b|event loop\b|room\b)(?<!there is no )"
        r"(?<!there are no )(?<!there was no )(?<!there were no )(?<!there be no )\w+",
        re.IGNORECASE,
    ),
    "a set phrase": re.compile(
        r"\b(?:in vain|at hand|of its own kind|drawn by lot|by lot|told otherwise|on any way out|"
        r"is to be had|to be had|lest|thereof|whereof|be it|though it be|though they be)\b",
        re.IGNORECASE,
    ),
    "a private image": re.compile(
        r"\b(?:bury|buried|heed|heeds|farewell|stillborn|the shelf|a shelf|the bell|a crew|"
        r"the crew|the lot)\b",
        re.IGNORECASE,
    ),
}


class Passage(NamedTuple):
    """A docstring, a comment, a message, or a paragraph of a document."""

    line: int
    text: str


def find_dialect(passage: Passage) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the pattern's name and the words, for each match in a passage."""
    for name, pattern in PATTERNS.items():
        for match in pattern.finditer(passage.text):
            line = passage.line + passage.text.count("\n", 0, match.start())
            rest = passage.text[match.start() : match.end() + 40]
            yield line, name, " ".join(rest.split())


def passages_of(path: Path) -> Iterator[Passage]:
    """Yield the prose of a Python source file, or the paragraphs of another text file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from _paragraphs(text)
        return
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield Passage(node.lineno, node.value)
    yield from _comments(text)


def _paragraphs(text: str) -> Iterator[Passage]:
    line = 1
    for paragraph in text.split("\n\n"):
        yield Passage(line, paragraph)
        line += paragraph.count("\n") + 2


def _comments(text: str) -> Iterator[Passage]:
    """Yield comments; those on lines that follow each other are one passage."""
    first, lines = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        if lines and token.start[0] != first + len(lines):
            yield Passage(first, "\n".join(lines))
            lines = []
        if not lines:
            first = token.start[0]
        lines.append(token.string.lstrip("# "))
    if lines:
        yield Passage(first, "\n".join(lines))
