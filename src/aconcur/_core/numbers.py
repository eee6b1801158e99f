"""Values that callers give: what is none, or out of its range, is refused by its name."""

from __future__ import annotations

__all__ = ("check_count", "check_number", "check_seconds", "check_text")

from typing import Any


def check_count(name: str, value: Any, least: int, unit: str = "") -> None:  # noqa: ANN401
    """Refuse what is no whole number, or less than ``least``.

    Raises:
        TypeError: it is no whole number.
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
    """Refuse what is no number, NaN, negative, or with ``above`` zero.

    Args:
        name: of the parameter.
        value: given for it.
        above: whether zero is too small.
        unit: of the number, for the text.
        also: what else it might be, for the text.

    Raises:
        TypeError: it is no number.
        ValueError: it is out of its range.
    """
    try:
        fine = value > 0 if above else value >= 0
    except TypeError:
        of = f" of{unit}" if unit else ""
        raise TypeError(f"{name} must be a number{of}{also}, not {value!r}") from None
    if not fine:
        least = "more than" if above else "at least"
        raise ValueError(f"{name} must be {least} 0{unit}{also}, not {value}")


def check_seconds(name: str, value: Any, *, above: bool = False, also: str = "") -> None:  # noqa: ANN401
    """Refuse what is no number of seconds: see :func:`check_number`."""
    check_number(name, value, above=above, unit=" seconds", also=also)


def check_text(name: str, value: Any, *, also: str = "") -> None:  # noqa: ANN401
    """Refuse what is no text, or None where it may be.

    Args:
        name: of the parameter.
        value: given for it.
        also: ``" or None"`` if that may be.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, str) and not (also and value is None):
        raise TypeError(f"{name} must be a str{also}, not {value!r}")
