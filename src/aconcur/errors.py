"""The errors that aconcur raises by itself: each states a fact and a remedy."""

from __future__ import annotations

__all__ = ("AconcurError", "MissingRequirementError")


class AconcurError(Exception):
    """The base of every error that aconcur raises by itself."""


class MissingRequirementError(AconcurError):
    """Raised when a program or a module that the work needs is not on this machine.

    Args:
        what: the program or module that is missing.
        remedy: what to do about it, as an imperative.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} was not found: {remedy}")
        self.what: str = what
        self.remedy: str = remedy
