"""A value, who holds it and who waits for it: first come, first served.

Rule: nothing here waits, wakes or locks; the drivers (`_guarded`, `_thread_guarded`) do.
Rule: whoever leaves hands over to the first in line, so that nobody can push in.
Rule: every line of code leaves the state whole. A collected task leaves from inside any other
call (its frames are closed by the garbage collector), and `is turn` asks who it was.
"""

from __future__ import annotations

__all__ = ("Line", "Turn")

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Generic, TypeVar, final
from weakref import ref

from aconcur._core.loops import Loop, Task, name_of

T = TypeVar("T")


@final
class Turn:
    """One entry of one task or thread; equal to nothing but itself."""

    __slots__ = ("loop", "wake", "who")

    def __init__(self, who: Task | Thread, loop: Loop | None) -> None:
        # Weak: a task that nobody runs any more is collected, and its block is left by that.
        self.who: ref[Task | Thread] = ref(who)
        self.loop: Loop | None = loop
        self.wake: Callable[[], bool]
        """Tells the waiting one that it is its turn; False when it is gone. Set before it waits."""

    @property
    def name(self) -> str:
        """The name of the task or thread."""
        return name_of(who) if (who := self.who()) is not None else "a lost task"


@final
class Line(Generic[T]):
    """The value, its holder, and those who wait."""

    __slots__ = ("holder", "taken", "value", "waiting")

    def __init__(self, value: T) -> None:
        self.value: T = value
        self.holder: Turn | None = None
        self.waiting: deque[Turn] = deque()
        self.taken: int = 0

    def take(self, turn: Turn) -> bool:
        """Take the value if it is free."""
        if self.holder is not None:
            return False
        self.holder = turn
        self.taken += 1
        return True

    def join(self, turn: Turn) -> bool:
        """Stand at the end of the line; return whether that is its head and the value is free."""
        self.waiting.append(turn)
        if self.holder is None:
            self._call_next()
        return self.holder is turn

    def leave(self, turn: Turn) -> Turn | None:
        """Give up the value, or the place in line; return the new holder, which must be woken."""
        if self.holder is turn:
            return self._call_next()
        with suppress(ValueError):
            self.waiting.remove(turn)
        return None

    def _call_next(self) -> Turn | None:
        try:
            self.holder = self.waiting.popleft() if self.waiting else None
        except IndexError:  # the last one was collected between the question and the answer
            self.holder = None
        self.taken += self.holder is not None
        return self.holder
