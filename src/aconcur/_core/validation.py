"""Checks of arguments. Each error names the parameter, what it must be, and the value."""

from __future__ import annotations

__all__ = ("check_count", "check_number", "check_plain_function", "check_seconds", "check_text")

from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any


def check_count(name: str, value: Any, least: int, unit: str = "") -> None:  # noqa: ANN401
    """Refuse a value that is not a whole number of at least ``least``.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is too small.
    """
    if not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}{unit}, not {value}")


def check_number(
    name: str,
    value: Any,  # noqa: ANN401
    *,
    above: bool = False,
    unit: str = "",
    also: str = "",
) -> None:
    """Refuse a value that is not a number, NaN, negative, or (with ``above``) zero.

    Args:
        name: the parameter.
        value: the argument.
        above: whether zero is refused too.
        unit: appended to the bound in the message, such as ``" seconds"``.
        also: another accepted value, for the message, such as ``" or None"``.

    Raises:
        TypeError: it is not a number.
        ValueError: it is out of range.
    """
    try:
        in_range = value > 0 if above else value >= 0
    except TypeError:
        of = f" of{unit}" if unit else ""
        raise TypeError(f"{name} must be a number{of}{also}, not {value!r}") from None
    if not in_range:
        least = "more than" if above else "at least"
        raise ValueError(f"{name} must be {least} 0{unit}{also}, not {value}")


def check_seconds(name: str, value: Any, *, above: bool = False, also: str = "") -> None:  # noqa: ANN401
    """Refuse a value that is not a number of seconds: see :func:`check_number`."""
    check_number(name, value, above=above, unit=" seconds", also=also)


def check_text(name: str, value: Any, *, also: str = "") -> None:  # noqa: ANN401
    """Refuse a value that is not a str.

    Args:
        name: the parameter.
        value: the argument.
        also: ``" or None"`` if None is accepted too.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, str) and not (also and value is None):
        raise TypeError(f"{name} must be a str{also}, not {value!r}")


def check_plain_function(name: str, value: Any, *, also: str = "") -> None:  # noqa: ANN401
    """Refuse a value that is not a function to be called without ``await``.

    Args:
        name: the parameter.
        value: the argument.
        also: another accepted value, for the message, such as ``" or None"``.

    Raises:
        TypeError: it cannot be called, or calling it gives a coroutine that would never be awaited.
    """
    target = value
    while isinstance(target, partial):
        target = target.func
    if not callable(target):
        raise TypeError(f"{name} must be a function{also}, not {value!r}")
    for called in (target, getattr(target, "__call__", None)):  # noqa: B004 - its kind is asked
        if iscoroutinefunction(called) or isasyncgenfunction(called):
            raise TypeError(
                f"{name} must be a plain function, but {value!r} is a coroutine function: it would "
                "be called and never awaited"
            )
