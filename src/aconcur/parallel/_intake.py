"""The input of a map: drawn from as there is room, whatever it is.

Law 1: only the task that feeds an async input awaits here; it closes what it iterated over.
Law 2: what came before an error is had before it.
Law 3: whoever draws is not kept for long, however slow the input is.
"""

from __future__ import annotations

__all__ = ("Intake",)

import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from itertools import islice
from operator import length_hint
from typing import Any, Final, final

import anyio

from aconcur._core.wait_queue import WaitQueue, wait_in, yield_to_others

# Seconds that the loop may be kept by drawing items.
_PULL: Final = 0.0005


@final
class Intake:
    """The items that are still to be drawn.

    Args:
        items: an iterable or an async one.
        room: tells how many more may be drawn.
        changed: called when an async input has brought an item, or has ended.
    """

    def __init__(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        room: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self.total: int | None = None
        """The items in all, where the input tells."""
        self.drawn: int = 0
        """The items that have been handed out."""
        self.error: BaseException | None = None
        """What the input raised."""
        self._room, self._changed = room, changed
        self._cost = 0.0  # seconds to draw an item
        self._ended = False
        self._inbox: deque[Any] | None = None
        self._feeders = WaitQueue()
        self._feeding: anyio.CancelScope | None = None
        if isinstance(items, AsyncIterable):
            self._inbox, self._async_items = deque(), items
            self._feeding = anyio.CancelScope()
        else:
            self._source = iter(items)
            self.total = length_hint(items, -1) if hasattr(items, "__len__") else None

    @property
    def needs_feeding(self) -> bool:
        """Whether somebody must run :meth:`feed`."""
        return self._feeding is not None

    @property
    def at_end(self) -> bool:
        """Whether no item will come any more."""
        return self._ended and not self._inbox

    @property
    def left(self) -> int | None:
        """The items that are still to come, where the input tells."""
        return None if self.total is None else self.total - self.drawn

    def draw(self, most: int) -> list[Any]:
        """Return the next items, at most so many; none if there are none now."""
        if most < 1 or self.at_end:
            return []
        items = self._pull(most) if self._inbox is None else self._from_inbox(self._inbox, most)
        self.drawn += len(items)
        return items

    def _pull(self, most: int) -> list[Any]:
        if self._cost:
            most = min(most, max(1, int(_PULL / self._cost)))
        items: list[Any] = []
        began = time.perf_counter()
        try:
            items.extend(islice(self._source, most))  # keeps what came before an error
        except BaseException as error:  # noqa: ASYNC103, BLE001 - the consumer raises it
            self.error = error
        self._cost = (time.perf_counter() - began) / most
        self._ended = len(items) < most
        return items

    def _from_inbox(self, inbox: deque[Any], most: int) -> list[Any]:
        items = [inbox.popleft() for _ in range(min(most, len(inbox)))]
        self._feeders.wake()
        return items

    def wake(self) -> None:
        """Look again whether there is room."""
        self._feeders.wake()

    def close(self) -> None:
        """Draw no more; an async input is closed by the task that feeds it."""
        self._ended = True
        if self._inbox:
            self._inbox.clear()
        if self._feeding is not None:
            self._feeding.cancel()

    async def feed(self) -> None:
        """Iterate over the async input until it ends or :meth:`close` is called."""
        assert self._feeding is not None
        with self._feeding:
            try:
                async with AsyncExitStack() as stack:
                    iterator = aiter(self._async_items)
                    if hasattr(iterator, "aclose"):
                        stack.push_async_callback(iterator.aclose)
                    await self._fill(iterator)
            except Exception as error:  # noqa: BLE001 - raised after all that came before
                self.error = error
        self._ended = True
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
