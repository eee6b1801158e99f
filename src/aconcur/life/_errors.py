"""What the package raises by itself: all of them are :class:`ValueError` too."""

from __future__ import annotations

__all__ = ("RuleError",)

from aconcur.errors import AconcurError


class RuleError(AconcurError, ValueError):
    """Raised for a text that names no rule of two states and eight neighbours."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"rule {text[:80]!r} {why}; write it like B3/S23")
        self.text: str = text

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[ValueError], args: tuple[object, ...], state: dict[str, object]) -> object:
    """Make an error anew in another process: its arguments are a message, not what built it."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
