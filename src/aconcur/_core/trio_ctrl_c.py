"""The part of Ctrl-C's handling that needs trio: imported only where trio runs."""

from __future__ import annotations

__all__ = ("run_protected",)

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from trio.lowlevel import enable_ki_protection

P = ParamSpec("P")
T = TypeVar("T")


@enable_ki_protection
async def run_protected(
    task: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Await a task in which Ctrl-C does not strike."""
    return await task(*args, **kwargs)
