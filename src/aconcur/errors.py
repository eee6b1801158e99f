"""The errors that several packages of aconcur raise. Each message states a fact and a remedy."""

from __future__ import annotations

__all__ = ("AconcurError", "MissingRequirementError", "UnsupportedPlatformError")


class AconcurError(Exception):
    """The base class of all errors that aconcur defines."""


class MissingRequirementError(AconcurError):
    """Raised when a program or module that the work needs is not installed.

    Args:
        what: the program or module.
        remedy: how to get it, as an imperative.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} was not found: {remedy}")
        self.what: str = what
        self.remedy: str = remedy


class UnsupportedPlatformError(AconcurError, ImportError):
    """Raised when a module is imported on a system that lacks what all of it needs.

    Args:
        module: the module.
        needs: what the system lacks.
    """

    def __init__(self, module: str, needs: str) -> None:
        super().__init__(
            f"{module} needs {needs}, which this system lacks: on Windows, run it in WSL"
        )
        self.module: str = module
