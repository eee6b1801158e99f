"""What a run does with an item whose function raised: the same three words in every package."""

from __future__ import annotations

__all__ = ("COLLECT", "RAISE", "SKIP", "OnError")

from enum import Enum
from typing import Final


class OnError(Enum):
    """What a run does with an item whose function raised."""

    RAISE = "raise"
    """The run ends with the error."""
    SKIP = "skip"
    """The item is counted as failed and dropped."""
    COLLECT = "collect"
    """The item and its error are added to ``failures``."""


RAISE: Final = OnError.RAISE
SKIP: Final = OnError.SKIP
COLLECT: Final = OnError.COLLECT
