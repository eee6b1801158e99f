"""What can be asked of a map: values, checked when it is called."""

from __future__ import annotations

__all__ = ("Failure", "MapOptions", "Progress", "check_function", "name_of")

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import (
    CO_ASYNC_GENERATOR,
    CO_COROUTINE,
    CO_ITERABLE_COROUTINE,
    isasyncgenfunction,
    iscoroutinefunction,
)
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, TypeAlias

from aconcur._core.on_error import RAISE, OnError
from aconcur._core.validation import check_count, check_seconds

_ASYNC: Final = CO_ASYNC_GENERATOR | CO_COROUTINE | CO_ITERABLE_COROUTINE

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the items that are done, and with how many there are if the input tells."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An item on which the function failed."""

    item: Any
    """What the function was given."""
    index: int
    """The item's place in the input, from 0."""
    error: Exception
    """What it raised at the last attempt; :class:`WorkerDied`, :class:`TaskTimeout`."""
    attempts: int
    """How often it was tried, at least once."""


@dataclass(frozen=True, slots=True)
class MapOptions:
    """The options of a map, checked."""

    ordered: bool = True
    buffer: int | None = None
    chunk: int | None = None
    timeout: float | None = None
    on_error: OnError = RAISE
    retries: int = 0
    progress: Progress | None = None

    def __post_init__(self) -> None:
        for name in ("buffer", "chunk"):
            if (value := getattr(self, name)) is not None:
                check_count(name, value, 1)
        if self.timeout is not None:
            check_seconds("timeout", self.timeout, above=True)
        check_count("retries", self.retries, 0)
        if not isinstance(self.on_error, OnError):
            raise TypeError(f"on_error must be RAISE, SKIP or COLLECT, not {self.on_error!r}")
        if self.progress is not None and not callable(self.progress):
            raise TypeError(f"progress must be a function, not {self.progress!r}")


def check_function(function: object) -> None:
    """Refuse what a worker cannot call.

    Raises:
        TypeError: it is not callable, or it is a coroutine function.
    """
    target = function
    while isinstance(target, partial):
        target = target.func
    if _is_plain(target):
        return
    if not callable(target):
        raise TypeError(f"fn must be a function, not {function!r}")
    for called in (target, getattr(target, "__call__", None)):  # noqa: B004 - its kind is asked
        if iscoroutinefunction(called) or isasyncgenfunction(called):
            raise TypeError(
                f"{name_of(function)} is a coroutine function: a worker calls plain functions; "
                "run coroutines in this loop, with aconcur.pipeline.stage or a task group"
            )


def _is_plain(target: object) -> bool:
    """Return whether a look is enough: asking inspect would take a fifth of a call's time."""
    if type(target) is FunctionType:
        # What is marked to be a coroutine function has an attribute for it.
        return not target.__dict__ and not target.__code__.co_flags & _ASYNC
    return type(target) is BuiltinFunctionType


def name_of(function: object) -> str:
    """Return a function's name, for messages."""
    while isinstance(function, partial):
        function = function.func
    name: str = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name
