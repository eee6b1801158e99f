"""Items of one key one at a time, in order, while items of other keys go on.

A stage with ``key=`` has more tasks than ``workers``: a task whose key is busy waits here without
taking one of the places of the items under work.

Invariants
    1. A key is in ``_lines`` exactly while an item of it is under work. It is handed on, never set
       free and taken again, so nothing can overtake the items that wait for it.
    2. A place is handed on in the same way.
    3. A waiter that was woken and is cancelled before its next step hands on what it got.
"""

from __future__ import annotations

__all__ = ("Turns",)

from collections.abc import Callable, Hashable
from typing import final

from aconcur._core.wait_queue import WaitQueue, make_waiter


@final
class Turns:
    """Says which items of a stage may be worked on.

    Args:
        places: items that are worked on at once.
    """

    __slots__ = ("_free", "_lines", "_places")

    def __init__(self, places: int) -> None:
        self._free = places
        self._places = WaitQueue()
        self._lines: dict[Hashable, WaitQueue] = {}

    async def begin(self, key: Hashable) -> None:
        """Wait until no earlier item of the key is under work and there is a place.

        Raises:
            TypeError: the key is not hashable.

        **Cancelled**: nothing is held.
        """
        try:
            line = self._lines.get(key)
        except TypeError:
            raise TypeError(
                f"key= must return something hashable, such as a str, not {key!r}"
            ) from None
        if line is None:
            self._lines[key] = WaitQueue()
        else:
            await _woken(line, lambda: self._end_key(key))
        if self._free:
            self._free -= 1
            return
        try:
            await _woken(self._places, self._end_place)
        except BaseException:
            self._end_key(key)
            raise

    def end(self, key: Hashable) -> None:
        """Let the next item of the key begin, and another one take the place."""
        self._end_place()
        self._end_key(key)

    def _end_place(self) -> None:
        if not self._places.wake():
            self._free += 1

    def _end_key(self, key: Hashable) -> None:
        if not self._lines[key].wake():
            del self._lines[key]


async def _woken(queue: WaitQueue, hand_on: Callable[[], None]) -> None:
    waiter = make_waiter()
    queue.append(waiter)
    try:
        await waiter
    except BaseException:
        if queue.leave(waiter):
            hand_on()
        raise
