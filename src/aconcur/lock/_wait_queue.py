"""A guarded value, the entry that holds it, and the entries that wait for it.

States of an entry
    *new* → *waiting* → *holder* → *gone*, or *new* → *holder* at once when the value is free.
    A waiting entry that is cancelled goes to *gone* directly. *gone* is final: every ``async with``
    and every ``update()`` makes a new entry.

Invariants
    1. At most one entry holds the value.
    2. Leaving hands the value to the first waiting entry in the same step, so a task that asks
       again at once cannot overtake the tasks that already wait.
    3. If the value is free, no entry waits.
    4. After every line of code the state is consistent. The garbage collector may close a task's
       frames at any point, inside any call of this module, and that task then leaves. For the same
       reason entries are compared by identity: ``holder is entry`` says whether an entry is still
       the one that holds the value.

Callers
    ``Guarded`` and ``ThreadGuarded`` call ``take``, then ``join`` and wait, and finally ``leave``.
    Nothing here waits, wakes or locks. ``leave`` returns the entry that must be woken: waking
    differs between a task of this loop, a task of another loop, and a thread. ``ThreadGuarded``
    calls all of this under its mutex; ``Guarded`` needs none, because one event loop runs it.

Why not ``anyio.Lock`` or ``asyncio.Lock``
    anyio's lock is exact too, but it belongs to the kind of event loop that used it first, does not
    notice when two loops use it at once, and by default pauses at every acquire. asyncio's lock
    serves neither trio nor threads.
"""

from __future__ import annotations

__all__ = ("Entry", "WaitQueue")

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Generic, TypeVar, final
from weakref import ref

from aconcur._core.loops import Loop, Task, name_of
from aconcur._core.loops import has_ended as loop_has_ended

T = TypeVar("T")


@final
class Entry:
    """One attempt of one task or thread to hold the value; equal to nothing but itself."""

    __slots__ = ("loop", "owner", "wake")

    def __init__(self, owner: Task | Thread, loop: Loop | None) -> None:
        # A weak reference, so that a task that never runs again can be collected. Collecting it
        # closes its frames, and that leaves its block.
        self.owner: ref[Task | Thread] = ref(owner)
        self.loop: Loop | None = loop
        self.wake: Callable[[], bool]
        """Wakes the owner; returns False if it is gone. Set before the entry joins the queue."""

    @property
    def name(self) -> str:
        """The name of the task or thread."""
        owner = self.owner()
        return name_of(owner) if owner is not None else "a lost task"

    def has_ended(self) -> bool:
        """Return whether the task or thread has ended, was collected, or lost its loop."""
        owner = self.owner()
        if owner is None:
            return True
        if isinstance(owner, Thread):
            return not owner.is_alive()
        if isinstance(owner, asyncio.Task):
            # While a lost task is collected, Python 3.15 still lets the reference lead to it.
            return owner.done() or (self.loop is not None and loop_has_ended(self.loop))
        # trio gives a task no other sign of its end.
        return inspect.iscoroutine(owner.coro) and owner.coro.cr_frame is None


@final
class WaitQueue(Generic[T]):
    """The value, its holder, and the entries that wait, first come, first served."""

    __slots__ = ("holder", "taken", "value", "waiting")

    def __init__(self, value: T) -> None:
        self.value: T = value
        self.holder: Entry | None = None
        self.waiting: deque[Entry] = deque()
        self.taken: int = 0

    def take(self, entry: Entry) -> bool:
        """Take the value if it is free; return whether it was."""
        if self.holder is not None:
            return False
        self.holder = entry
        self.taken += 1
        return True

    def join(self, entry: Entry) -> bool:
        """Join at the end; return True if the value had become free and the entry holds it."""
        self.waiting.append(entry)
        if self.holder is None:
            self._hand_over()
        return self.holder is entry

    def leave(self, entry: Entry) -> Entry | None:
        """Give up the value or the place; return the new holder, which the caller must wake."""
        if self.holder is entry:
            return self._hand_over()
        with suppress(ValueError):
            self.waiting.remove(entry)
        return None

    def _hand_over(self) -> Entry | None:
        try:
            self.holder = self.waiting.popleft() if self.waiting else None
        except IndexError:  # the last entry was collected between the test and the call
            self.holder = None
        self.taken += self.holder is not None
        return self.holder
