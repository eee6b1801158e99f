"""The parts of a lesson, as plain data.

These are the records of ``lesson.toml``, one class for each kind of table in it. They read nothing,
check nothing and import nothing of this package, so every other module here may import them.
"""

from __future__ import annotations

__all__ = (
    "Arrow",
    "Bullet",
    "Case",
    "Finding",
    "Growth",
    "Listing",
    "Pair",
    "Table",
)

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrow:
    """One construct of the original, and the one that takes its place."""

    what: str
    original: str
    rebuilt: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pieces of source that do the same, as references ``file.py::name``."""

    note: str
    original: str
    rebuilt: str
    on_page: bool = False
    """Whether COMPARISON.md shows it; the full view shows every pair."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One piece of source with a title."""

    title: str
    code: str


@dataclass(frozen=True, slots=True)
class Case:
    """Versions of one system that run on one input and must give equal answers."""

    id: str
    what: str
    input: str
    """The context manager in work.py that makes the input."""
    size: int
    quick: int
    rounds: int
    versions: Mapping[str, str]
    """Label to ``file.py::function [@backend]``; the first is the baseline."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The same as a case, at several sizes: how the time grows."""

    title: str
    unit: str
    """What the size counts, as a plural noun."""
    input: str
    sizes: tuple[int, ...]
    rounds: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """Figures that one function measures by itself."""

    id: str
    what: str
    call: str
    size: int
    quick: int
    rounds: int
    columns: tuple[str, ...]
    on_page: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement about a speed, in three wordings of which the measured figure chooses one."""

    case: str
    version: str
    baseline: str
    """The version it is compared with; empty for the baseline of the case."""
    faster: str
    slower: str
    unclear: str


@dataclass(frozen=True, slots=True)
class Bullet:
    """One statement of the notes on this item, and where it is shown."""

    id: str
    """Its number in the notes, such as ``1`` or ``problem 3``."""
    says: str
    shown: str
    """Where it is shown or why it no longer holds; backticks quote ``file.py::name``."""
