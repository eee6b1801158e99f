"""The shared values that a worker holds, by the numbers under which messages refer to them."""

from __future__ import annotations

__all__ = ("drop", "keep", "kept")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_VALUES: Final[dict[int, Any]] = {}


class _Unreadable:
    """Stands for a value that could not be unpickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def keep(number: int, value: object, error: BaseException | None = None) -> None:
    """Store a value, or the error that its unpickling raised."""
    _VALUES[number] = value if error is None else _Unreadable(error)


def drop(number: int) -> None:
    """Forget a value. Tasks that hold a handle to it keep it alive."""
    _VALUES.pop(number, None)


def kept(number: int) -> Any:  # noqa: ANN401 - as it was sent
    """Return a stored value.

    Raises:
        LookupError: no value has this number.
        BaseException: raised when the value was unpickled.
    """
    value = _VALUES[number]
    if isinstance(value, _Unreadable):
        raise value.error
    return value
