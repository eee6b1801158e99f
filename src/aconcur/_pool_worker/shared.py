"""Values that are sent to each worker once and referred to by number from then on."""

from __future__ import annotations

__all__ = ("Shared",)

from itertools import count
from typing import Any, Final, Generic, TypeVar, final

from aconcur._pool_worker.kept import Key, kept

T = TypeVar("T")

_NUMBERS: Final = count(1)


@final
class Shared(Generic[T]):
    """A handle to a value that every worker holds. Made by ``Pool.share``, ``Cluster.share``.

    The workers drop the value when the parent's handle is garbage-collected.

    Pass it to functions in arguments, items or a ``partial``. Only its number is pickled.
    """

    __slots__ = ("__weakref__", "_value", "number")

    def __init__(self, value: T, number: Key | None = None) -> None:
        self._value = value
        self.number: Key = next(_NUMBERS) if number is None else number
        """The number under which messages refer to the value; over a cluster a key."""

    def __repr__(self) -> str:
        return f"<Shared {type(self._value).__name__}>"

    def get(self) -> T:
        """Return the value. In a worker this is the worker's own copy, the same in every call."""
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (self.number,)


def _received(number: Key) -> Shared[Any]:
    try:
        return Shared(kept(number), number)
    except KeyError:
        raise LookupError(
            "this value was shared with another pool or cluster: share it with this one"
        ) from None
