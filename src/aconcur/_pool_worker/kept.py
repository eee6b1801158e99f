"""The shared values that a worker holds, by the numbers or keys that messages refer to."""

from __future__ import annotations

__all__ = ("Key", "drop", "is_kept", "keep", "kept")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

Key: TypeAlias = "int | str"
"""The number that a pool gave to a value, or the key of a cluster."""

_VALUES: Final[dict[Key, Any]] = {}


class _Unreadable:
    """Stands for a value that could not be unpickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def keep(number: Key, value: object, error: BaseException | None = None) -> None:
    """Store a value, or the error that its unpickling raised."""
    _VALUES[number] = value if error is None else _Unreadable(error)


def is_kept(number: Key) -> bool:
    """Return whether there is a value."""
    return number in _VALUES


def drop(number: Key) -> None:
    """Forget a value. Tasks that hold a handle to it keep it alive."""
    _VALUES.pop(number, None)


def kept(number: Key) -> Any:  # noqa: ANN401 - as it was sent
    """Return a stored value.

    Raises:
        LookupError: no value has this number.
        BaseException: raised when the value was unpickled.
    """
    value = _VALUES[number]
    if isinstance(value, _Unreadable):
        raise value.error
    return value
