"""What a bug of the corpus is."""

from __future__ import annotations

__all__ = ("Bug",)

from collections.abc import Coroutine
from typing import Any, Protocol


class Bug(Protocol):
    """An async function that goes wrong under some schedule, or, ``fixed``, under none."""

    __name__: str

    def __call__(self, *, fixed: bool) -> Coroutine[Any, Any, None]: ...
