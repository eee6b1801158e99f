"""What the package raises by itself: all of them are :class:`ValueError` too."""

from __future__ import annotations

__all__ = (
    "PatternError",
    "PatternSizeError",
    "RuleError",
    "UnboundedRuleError",
    "UnknownPatternError",
)

from collections.abc import Iterable

from aconcur.errors import AconcurError


class RuleError(AconcurError, ValueError):
    """Raised for a text that names no rule of two states and eight neighbours."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"rule {text[:80]!r} {why}; write it like B3/S23")
        self.text: str = text
        self.why: str = why

    def __reduce__(self) -> tuple[type[RuleError], tuple[str, str]]:
        return type(self), (self.text, self.why)


class UnboundedRuleError(AconcurError, ValueError):
    """Raised for a rule with B0 on the plane, where all of the empty plane would come alive."""

    def __init__(self, rule: object) -> None:
        super().__init__(
            f"{rule} brings the whole empty plane to life: use a torus or a box with it"
        )
        self.rule: object = rule

    def __reduce__(self) -> tuple[type[UnboundedRuleError], tuple[object]]:
        return type(self), (self.rule,)


class PatternError(AconcurError, ValueError):
    """Raised for a text that is not in the format that it is read as.

    Args:
        why: what is wrong there, and what may stand there instead.
        line: where in the text, from 1.
        column: where in the line, in characters from 1.
        source: the file's name, where there is a file.
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
    """Raised when a pattern is too large for where it is to go."""


class UnknownPatternError(AconcurError, LookupError, ValueError):
    """Raised for a name that no pattern of the package has."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name: str = name
        self.known: tuple[str, ...] = tuple(known)
        super().__init__(f"there is no pattern {name!r}; known: {', '.join(self.known)}")

    def __reduce__(self) -> tuple[type[UnknownPatternError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.name, self.known)
