"""The input of a map. Items are drawn as there is room for them, so the input may be endless."""

from __future__ import annotations

__all__ = ("Source", "zip_all")

import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from itertools import islice
from operator import length_hint
from typing import Any, Final, final

import anyio

from aconcur._core.wait_queue import WaitQueue, wait_in, yield_to_others

# The longest time in seconds for which drawing items may hold the loop.
_PULL: Final = 0.0005


def zip_all(
    items: Iterable[Any] | AsyncIterable[Any], more: tuple[Iterable[Any], ...]
) -> Iterable[Any] | AsyncIterable[Any]:
    """Return tuples of the items and those of further iterables; the items alone without any.

    Raises:
        TypeError: one of several is an async iterable.
    """
    if not more:
        return items
    for one in (items, *more):
        if isinstance(one, AsyncIterable):
            raise TypeError(
                f"of several iterables none may be async, but one is {one!r}: "
                "zip them in an async generator and map over that"
            )
    assert isinstance(items, Iterable)
    return zip(items, *more, strict=False)


@final
class Source:
    """The items that are still to be drawn.

    The items that a failing input gave before its error are returned before the error is reported.

    Args:
        items: an iterable or an async iterable.
        room: returns how many more items may be drawn. Used for an async iterable.
        changed: called when an async iterable has given an item or has ended.

    Raises:
        TypeError: it is neither.
    """

    def __init__(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        room: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self.total: int | None = None
        """The number of all items, if the input has a length."""
        self.drawn: int = 0
        """The number of items that were returned."""
        self.error: BaseException | None = None
        """The exception that the input raised."""
        self.at_end: bool = False
        """Whether no further item will come."""
        self.needs_feeding: bool = isinstance(items, AsyncIterable)
        """Whether a task must run :meth:`feed`."""
        self._room, self._changed = room, changed
        self._cost = 0.0  # seconds to draw an item
        self._inbox: deque[Any] | None = None
        self._ended = False  # an async input will give no further item
        self._feeders = WaitQueue()
        self._scope: anyio.CancelScope | None = None
        if isinstance(items, AsyncIterable):
            self._inbox, self._async_items = deque(), items
        else:
            self._iterator = iter(items)
            self.total = length_hint(items, -1) if hasattr(items, "__len__") else None

    def draw(self, most: int) -> list[Any]:
        """Return the next items, at most ``most`` of them; none if none are available yet."""
        if most < 1 or self.at_end:
            return []
        if (inbox := self._inbox) is not None:
            items = [inbox.popleft() for _ in range(min(most, len(inbox)))]
            self.at_end = self._ended and not inbox
            self._feeders.wake()
            self.drawn += len(items)
            return items
        if self._cost:
            most = min(most, max(1, int(_PULL / self._cost)))
        items = []
        began = time.perf_counter()
        try:
            self.pull(items, most)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - the consumer raises it
            self.error = error
        self._cost = (time.perf_counter() - began) / most
        # A signal handler may raise after an iterator that is written in C has given all items.
        self.at_end = len(items) < most or self.error is not None
        self.drawn += len(items)
        return items

    def pull(self, items: list[Any], most: int) -> None:
        """Append the next items of a sync input to a list; it keeps those before an error.

        A runner lets Ctrl-C interrupt this on trio.
        """
        items.extend(islice(self._iterator, most))

    def wake(self) -> None:
        """Let the feeding task look again whether there is room."""
        self._feeders.wake()

    def close(self) -> None:
        """Draw no further item. The feeding task closes an async input."""
        self.at_end = self._ended = True
        if self._inbox:
            self._inbox.clear()
        if self._scope is not None:
            self._scope.cancel()

    async def feed(self) -> None:
        """Iterate over the async input until it ends or :meth:`close` is called, and close it.

        **Cancelled**: closes the input, and raises. The input has not ended then: a map must not
        take it for complete.
        """
        self._scope = anyio.CancelScope()
        # Both are entered before the input is used, and left after it is closed: an async generator
        # may keep a task group open between two items, whose scope has to be left first.
        shield = anyio.CancelScope()
        try:
            with self._scope, shield:
                iterator = aiter(self._async_items)
                try:
                    await self._fill(iterator)
                finally:
                    # Only the wait for an item is cancelled: the input's clean-up may await.
                    shield.shield = True
                    if (aclose := getattr(iterator, "aclose", None)) is not None:
                        await aclose()  # noqa: ASYNC102 - in the scope of the task that iterated
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: ASYNC103, BLE001 - the consumer raises it
            self.error = error  # noqa: ASYNC104
        self._ended = True
        self.at_end = not self._inbox
        self._changed()

    async def _fill(self, iterator: AsyncIterator[Any]) -> None:
        inbox = self._inbox
        assert inbox is not None
        turn = time.perf_counter()
        while not self._ended:
            while self._room() <= len(inbox):
                await wait_in(self._feeders)
            try:
                inbox.append(await anext(iterator))
            except StopAsyncIteration:
                return
            self._changed()
            if time.perf_counter() - turn > _PULL:
                await yield_to_others()
                turn = time.perf_counter()
