"""What a scenario's threads wait for, in place of the locks, the queue and the clock in C.

Rule 1: all that the standard library builds on these (Condition, Event, Semaphore, Barrier, Timer,
Queue, ThreadPoolExecutor) is the library's own code: its semantics are the real ones.
Rule 2: a lock's release is no point. Whatever others do while it is held, they can do before it is
taken or after it is free (a release is a left-mover: Lipton, "Reduction", 1975); under the GIL the
interpreter looks at its breaker there, and so it is one.
"""

from __future__ import annotations

__all__ = ("Lock", "RLock", "Shared", "SimpleQueue", "Waiter")

import sys
from _thread import RLock as RealRLock
from _thread import allocate_lock
from collections import deque
from queue import Empty
from queue import SimpleQueue as RealSimpleQueue
from types import CodeType
from typing import Any, Final, Self

from aconcur.testing._explore_threads.engine import Engine, engine_here
from aconcur.testing._explore_threads.thread_state import ThreadState

_OUTSIDE: Final = "a {} made in an exploration waits outside of it: make one for each use"
_TIMEOUT_MAX: Final = 2.0**62 / 1e9  # as threading.TIMEOUT_MAX


def _deadline(engine: Engine, blocking: bool, timeout: float) -> float | None:
    """Return when a wait ends, None for never.

    Raises:
        ValueError: as of :meth:`threading.Lock.acquire`.
    """
    if not blocking and timeout != -1:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0 and timeout != -1:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > _TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    return None if timeout == -1 else engine.now + timeout


class Lock:
    """Does as :class:`threading.Lock`."""

    __slots__ = ("__weakref__", "_count", "_owner", "_waiters")
    _reentrant = False
    _owner: ThreadState | None

    def __new__(cls) -> Any:
        """Return a real one to a thread that is not the scenario's."""
        if engine_here() is None:
            return allocate_lock()
        return super().__new__(cls)

    def __init__(self) -> None:
        self.reset()

    @classmethod
    def controlled(cls) -> Self:
        """Return one in place of one that was made before."""
        lock: Self = object.__new__(cls)
        lock.reset()
        return lock

    def reset(self) -> None:
        """Be free, whoever held it."""
        self._count = 0
        self._owner = None
        self._waiters: list[ThreadState] = []

    def __repr__(self) -> str:
        state = "locked" if self._count else "unlocked"
        return f"<{state} aconcur.testing {type(self).__name__} at {id(self):#x}>"

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; return whether it was taken in time."""
        engine = engine_here()
        if engine is None:
            return self._acquire_outside(blocking)
        taken = self._acquire(engine, blocking, timeout, sys._getframe(1).f_code)
        if engine.gil and engine.kind(sys._getframe(1).f_code) == "traced":
            engine.after()
        return taken

    def __enter__(self) -> bool:
        engine = engine_here()
        if engine is None:
            return self._acquire_outside(True)
        return self._acquire(engine, True, -1, sys._getframe(1).f_code)

    def _acquire_outside(self, blocking: bool) -> bool:
        if self._count and not self._reentrant:
            if blocking:
                raise RuntimeError(_OUTSIDE.format(type(self).__name__))
            return False
        self._count += 1
        return True

    def _acquire(self, engine: Engine, blocking: bool, timeout: float, caller: CodeType) -> bool:
        me = engine.current
        if self._reentrant and self._owner is me:
            self._count += 1
            return True
        deadline = _deadline(engine, bool(blocking), timeout)
        self._before(engine, caller)
        while self._count:
            if not blocking or timeout == 0 or not self._wait(engine, me, deadline):
                return False
        self._count = 1
        self._owned_by(me)
        engine.unready(self._waiters)
        return True

    def _wait(self, engine: Engine, me: ThreadState, deadline: float | None) -> bool:
        self._waiters.append(me)
        try:
            return engine.block(deadline) or not self._count
        finally:
            self._waiters.remove(me)

    def _before(self, engine: Engine, caller: CodeType) -> None:
        engine.before(caller)

    def _owned_by(self, state: ThreadState | None) -> None:
        self._owner = state

    def release(self) -> None:
        """Let go of it."""
        engine = engine_here()
        if self._reentrant and engine is not None and self._owner is not engine.current:
            if engine.closing:
                return
            raise RuntimeError("cannot release un-acquired lock")
        if not self._count:
            if engine is not None and engine.closing:
                return
            raise RuntimeError("release unlocked lock")
        self._count -= 1
        if not self._count:
            self._free(engine)

    def _free(self, engine: Engine | None) -> None:
        self._owner = None
        if engine is not None:
            engine.wake(self._waiters)
            engine.after()

    def __exit__(self, *_: object) -> None:
        self.release()

    def locked(self) -> bool:
        """Return whether it is taken."""
        engine = engine_here()
        if engine is not None:
            engine.before(sys._getframe(1).f_code)
        return self._count > 0

    def _at_fork_reinit(self) -> None:
        self.reset()


class RLock(Lock):
    """Does as :func:`threading.RLock`."""

    __slots__ = ()
    _reentrant = True

    def __new__(cls) -> Any:
        """Return a real one to a thread that is not the scenario's."""
        if engine_here() is None:
            return RealRLock()
        return object.__new__(cls)

    # What threading.Condition asks of its lock.

    def _is_owned(self) -> bool:
        engine = engine_here()
        return engine is not None and self._owner is engine.current

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def _release_save(self) -> int:
        if not self._is_owned():
            raise RuntimeError("cannot release un-acquired lock")
        count, self._count = self._count, 0
        self._free(engine_here())
        return count

    def _acquire_restore(self, count: int) -> None:
        engine = engine_here()
        if engine is not None:
            self._acquire(engine, True, -1, self._acquire_restore.__code__)
        self._count = count


class Waiter(Lock):
    """The lock that :meth:`threading.Condition.wait` makes for itself: seen by who notifies alone.

    Neither end of it is a point: the condition's lock is taken or let go of right beside it.
    """

    __slots__ = ()

    def _before(self, engine: Engine, caller: CodeType) -> None:
        pass

    def _owned_by(self, state: ThreadState | None) -> None:
        pass

    def _free(self, engine: Engine | None) -> None:
        if engine is not None:
            engine.wake(self._waiters)


class Shared(RLock):
    """Stands before a library's lock which threads that are not the scenario's take, too.

    One of the scenario's threads holds the real one as well, so that these others wait for it.
    Neither end of it is a point: what it protects is not the scenario's.
    """

    __slots__ = ("_real",)
    _real: Any

    @classmethod
    def before_real(cls, real: Any) -> Self:
        """Return one that stands before a real lock."""
        lock = cls.controlled()
        lock._real = real
        return lock

    def _acquire(self, engine: Engine, blocking: bool, timeout: float, caller: CodeType) -> bool:
        taken = super()._acquire(engine, blocking, timeout, caller)
        if taken and self._count == 1:
            self._real.acquire()
        return taken

    def _acquire_outside(self, blocking: bool) -> bool:
        taken: bool = self._real.acquire(blocking)
        return taken

    def _before(self, engine: Engine, caller: CodeType) -> None:
        pass

    def release(self) -> None:
        """Let go of it."""
        if engine_here() is None:
            self._real.release()
        else:
            super().release()

    def _free(self, engine: Engine | None) -> None:
        self._owner = None
        self._real.release()
        if engine is not None:
            engine.wake(self._waiters)

    def _at_fork_reinit(self) -> None:
        self.reset()
        self._real._at_fork_reinit()


class SimpleQueue:
    """Does as :class:`queue.SimpleQueue`."""

    def __new__(cls) -> Any:
        """Return a real one to a thread that is not the scenario's."""
        if engine_here() is None:
            return RealSimpleQueue()
        return super().__new__(cls)

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiters: list[ThreadState] = []

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 - as the real one
        """Add an item; never waits."""
        engine = engine_here()
        if engine is not None:
            engine.before(sys._getframe(1).f_code)
        self._items.append(item)
        if engine is not None:
            engine.wake(self._waiters)
            engine.after()

    put_nowait = put

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item.

        Raises:
            queue.Empty: there was none in time.
            ValueError: the timeout is negative.
        """
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        engine = engine_here()
        if engine is None:
            return self._get_outside()
        engine.before(sys._getframe(1).f_code)
        deadline = None if timeout is None else engine.now + timeout
        while not self._items:
            if not block or timeout == 0 or not self._wait(engine, deadline):
                raise Empty
        item = self._items.popleft()
        if not self._items:
            engine.unready(self._waiters)
        engine.after()
        return item

    def _get_outside(self) -> Any:
        if not self._items:
            raise Empty
        return self._items.popleft()

    def _wait(self, engine: Engine, deadline: float | None) -> bool:
        me = engine.current
        self._waiters.append(me)
        try:
            return engine.block(deadline) or bool(self._items)
        finally:
            self._waiters.remove(me)

    def get_nowait(self) -> Any:
        """Take the oldest item, if there is one."""
        return self.get(block=False)

    def empty(self) -> bool:
        """Return whether there is no item."""
        return not self._items

    def qsize(self) -> int:
        """Return the number of items."""
        return len(self._items)
