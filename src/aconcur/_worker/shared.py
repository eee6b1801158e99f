"""Values that are sent to each worker once, and named in messages from then on."""

from __future__ import annotations

__all__ = ("Shared",)

from itertools import count
from typing import Any, Final, Generic, TypeVar, final

from aconcur._worker.kept import kept

T = TypeVar("T")

_NUMBERS: Final = count(1)


@final
class Shared(Generic[T]):
    """A value that every worker of a pool holds. Made by ``pool.share()``.

    Hand it to functions in arguments, items or a ``partial``: what travels is its number alone.
    """

    __slots__ = ("_value", "number")

    def __init__(self, value: T, number: int | None = None) -> None:
        self._value = value
        self.number: int = next(_NUMBERS) if number is None else number
        """By which messages name it."""

    def __repr__(self) -> str:
        return f"<Shared {type(self._value).__name__}>"

    def get(self) -> T:
        """Return the value; in a worker that worker's own, which stays from call to call."""
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (self.number,)


def _received(number: int) -> Shared[Any]:
    try:
        return Shared(kept(number), number)
    except KeyError:
        raise LookupError(
            "this value was shared with another pool: share it with this one"
        ) from None
