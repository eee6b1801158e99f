"""The results of a map, put in order: those who run chunks put them, the consumer takes them.

Law: a place in the order is filled once, with results or with what stands for a failed item.
"""

from __future__ import annotations

__all__ = ("Lost", "Outlet")

from collections import deque
from typing import Any, TypeAlias, final

from aconcur._core.wait_queue import WaitQueue, wait_in


@final
class Lost:
    """Stands where the result of a failed item would: nothing, or the error that ends the map."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


Part: TypeAlias = list[Any] | Lost


@final
class Outlet:
    """What the consumer will get.

    Args:
        ordered: in the order of the input; else as it comes.
    """

    def __init__(self, ordered: bool) -> None:
        self._ordered = ordered
        self._ready = deque[Part]()
        self._early: dict[int, Part] = {}
        self._next = 0
        self._readers = WaitQueue()

    @property
    def has_early(self) -> bool:
        """Whether results wait for others before them."""
        return bool(self._early)

    @property
    def ready(self) -> int:
        """How many results nothing can keep from the consumer."""
        return sum(len(part) for part in self._ready if not isinstance(part, Lost))

    def put(self, start: int, part: Part) -> None:
        """Put what became of the items from ``start`` on."""
        if part == []:
            return
        if not self._ordered:
            self._ready.append(part)
        elif start != self._next:
            self._early[start] = part
            return
        else:
            more: Part | None = part
            while more is not None:
                self._ready.append(more)
                self._next += 1 if isinstance(more, Lost) else len(more)
                more = self._early.pop(self._next, None)
        self._readers.wake()

    def end(self, error: BaseException, *, at_once: bool) -> None:
        """Put the error that ends it all, before what is ready or after."""
        put = self._ready.appendleft if at_once else self._ready.append
        put(Lost(error))
        self._readers.wake()

    def take(self) -> Part | None:
        """Return the next part, if it is ready."""
        return self._ready.popleft() if self._ready else None

    async def changed(self) -> None:
        """Wait until something is put, or :meth:`wake` is called.

        **Cancelled**: nothing was taken.
        """
        await wait_in(self._readers)

    def wake(self) -> None:
        """Let the consumer look again: perhaps nothing more will come."""
        self._readers.wake_all()

    def clear(self) -> None:
        """Forget what waits for others before it."""
        self._early.clear()
