"""The errors that the package raises by itself."""

from __future__ import annotations

__all__ = (
    "GridTooLargeError",
    "PatternError",
    "PatternSizeError",
    "RuleError",
    "UnboundedRuleError",
    "UnknownPatternError",
)

from collections.abc import Iterable

from aconcur.errors import AconcurError


class RuleError(AconcurError, ValueError):
    """Raised for a text that does not name a rule of two states and eight neighbours.

    Args:
        text: the text.
        why: the reason, as the end of a sentence that begins with "rule".
    """

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"rule {text[:80]!r} {why}; write it like B3/S23")
        self.text: str = text
        self.why: str = why

    def __reduce__(self) -> tuple[type[RuleError], tuple[str, str]]:
        return type(self), (self.text, self.why)


class UnboundedRuleError(AconcurError, ValueError):
    """Raised for a rule with B0 on the plane, where every cell of the empty plane would be born."""

    def __init__(self, rule: object) -> None:
        super().__init__(
            f"{rule} brings the whole empty plane to life: use a torus or a box with it"
        )
        self.rule: object = rule

    def __reduce__(self) -> tuple[type[UnboundedRuleError], tuple[object]]:
        return type(self), (self.rule,)


class PatternError(AconcurError, ValueError):
    """Raised for a text that does not follow the format that it is read as.

    Args:
        why: the reason, and the text that is allowed there instead.
        line: the line in the text, from 1.
        column: the character in the line, from 1.
        source: the file's name, if there is a file.
    """

    def __init__(self, why: str, line: int, column: int, source: str = "") -> None:
        super().__init__(f"{source or 'pattern'}, line {line}, column {column}: {why}")
        self.why: str = why
        self.line: int = line
        self.column: int = column
        self.source: str = source

    def __reduce__(self) -> tuple[type[PatternError], tuple[str, int, int, str]]:
        return type(self), (self.why, self.line, self.column, self.source)


class PatternSizeError(AconcurError, ValueError):
    """Raised when a pattern is too large for a field, a file format or a grid."""


class GridTooLargeError(AconcurError, MemoryError):
    """Raised when the box around a pattern has more cells than fit in memory."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__(
            f"a grid of {height} × {width} cells is too large to lay out: "
            "iterate over cells(), use population, or write macrocell (.mc)"
        )
        self.height: int = height
        self.width: int = width

    def __reduce__(self) -> tuple[type[GridTooLargeError], tuple[int, int]]:
        return type(self), (self.height, self.width)


class UnknownPatternError(AconcurError, LookupError, ValueError):
    """Raised for a name that no pattern of the package has."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name: str = name
        self.known: tuple[str, ...] = tuple(known)
        super().__init__(f"there is no pattern {name!r}; known: {', '.join(self.known)}")

    def __reduce__(self) -> tuple[type[UnknownPatternError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.name, self.known)
