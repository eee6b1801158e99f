"""Functions on their way to a worker: checked, named and pickled.

A function travels by name if a worker can import it by that name, and otherwise by value, which
takes cloudpickle.
"""

from __future__ import annotations

__all__ = ("check_function", "encode_arguments", "encode_function", "name_of")

import pickle
from functools import partial
from inspect import (
    CO_ASYNC_GENERATOR,
    CO_COROUTINE,
    CO_ITERABLE_COROUTINE,
    isasyncgenfunction,
    iscoroutinefunction,
)
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from aconcur._pool_worker.codec import Encoded, encode
from aconcur.errors import MissingRequirementError

_ASYNC: Final = CO_ASYNC_GENERATOR | CO_COROUTINE | CO_ITERABLE_COROUTINE


def check_function(function: object) -> None:
    """Refuse an object that a worker cannot call.

    Raises:
        TypeError: it is not callable, or it is a coroutine function.
    """
    target = function
    while isinstance(target, partial):
        target = target.func
    # A fast path, because inspect would take a fifth of a call's time. A function that is marked as
    # a coroutine function has an attribute for it.
    if type(target) is FunctionType:
        if not target.__dict__ and not target.__code__.co_flags & _ASYNC:
            return
    elif type(target) is BuiltinFunctionType:
        return
    if not callable(target):
        raise TypeError(f"fn must be a function, not {function!r}")
    if is_async(target):
        raise TypeError(
            f"{name_of(function)} is a coroutine function: a worker calls plain functions; "
            "run coroutines in this loop, with aconcur.pipeline.stage or a task group"
        )


def is_async(target: object) -> bool:
    """Return whether a call of the object makes a coroutine or an async generator."""
    return any(
        iscoroutinefunction(called) or isasyncgenfunction(called)
        for called in (target, getattr(target, "__call__", None))  # noqa: B004 - its kind matters
    )


def name_of(function: object) -> str:
    """Return a function's name, for messages."""
    while isinstance(function, partial):
        function = function.func
    name: str = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name


def encode_function(function: object) -> Encoded:
    """Return the message for a function.

    Raises:
        MissingRequirementError: it can only travel by value, and cloudpickle is not installed.
        Exception: raised by pickling it.
    """
    return _encode(function, function)


def encode_arguments(function: object, arguments: tuple[Any, ...]) -> Encoded:
    """Return the message for a call. Raises the errors of :func:`encode_function`."""
    return _encode(function, (function, arguments))


def _encode(function: object, value: object) -> Encoded:
    target = function
    while isinstance(target, partial):
        target = target.func
    by_name: Exception | None = None
    if getattr(target, "__module__", None) != "__main__":
        try:
            return encode(value)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            by_name = error
    try:
        import cloudpickle
    except ImportError:
        if by_name is None:
            return encode(value)
        if not _is_local(target):
            raise by_name from None
        raise MissingRequirementError(
            f"cloudpickle, to send {name_of(function)} to a worker,",
            "pip install 'aconcur[cloudpickle]', or define it at the top of a module",
        ) from by_name
    return encode(value, cloudpickle.Pickler)


def _is_local(target: object) -> bool:
    name = name_of(target)
    return "<" in name or "." in name
