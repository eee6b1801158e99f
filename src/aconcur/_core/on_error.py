"""What becomes of an item on which the work fails: the same words wherever items are worked on."""

from __future__ import annotations

__all__ = ("COLLECT", "RAISE", "SKIP", "OnError")

from enum import Enum
from typing import Final


class OnError(Enum):
    """What becomes of an item on which the work fails."""

    RAISE = "raise"
    """The run ends with the error."""
    SKIP = "skip"
    """The item is counted as failed and forgotten."""
    COLLECT = "collect"
    """The item stands in ``failures``, with its error."""


RAISE: Final = OnError.RAISE
SKIP: Final = OnError.SKIP
COLLECT: Final = OnError.COLLECT
