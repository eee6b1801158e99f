"""In a worker: the values that were sent to it once, by the numbers that messages name."""

from __future__ import annotations

__all__ = ("keep", "kept")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_VALUES: Final[dict[int, Any]] = {}


class _Unreadable:
    """A value that could not be read."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def keep(number: int, value: object, error: BaseException | None = None) -> None:
    """Keep a value for the messages to come, or the error with which it could not be read."""
    _VALUES[number] = value if error is None else _Unreadable(error)


def kept(number: int) -> Any:  # noqa: ANN401 - as it was sent
    """Return the value.

    Raises:
        LookupError: there is none with this number.
        BaseException: it could not be read.
    """
    value = _VALUES[number]
    if isinstance(value, _Unreadable):
        raise value.error
    return value
