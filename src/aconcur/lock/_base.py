"""The common part of Guarded and ThreadGuarded: blocks, cells, and all-or-nothing updates."""

from __future__ import annotations

__all__ = ("Base", "Cell", "GuardedStatistics")

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Generic, NoReturn, SupportsIndex, TypeVar, final, overload

from aconcur._core.loops import current_task_and_loop
from aconcur.lock._errors import AlreadyHeldError, CellClosedError, NotHeldError
from aconcur.lock._wait_queue import Entry, WaitQueue

T = TypeVar("T")

_NO_COPY: Final = (
    "a {} cannot be copied or pickled, because it guards one value: share the object itself, or "
    "copy the value inside a block and make a new one"
)


@dataclass(frozen=True, slots=True)
class GuardedStatistics:
    """A snapshot of a guarded value."""

    holder: str | None
    """The name of the task or thread that holds the value; None if it is free."""
    waiting: int
    """How many tasks and threads wait."""
    taken: int
    """How often the value was taken, by a block or an update."""


class Base(Generic[T]):
    """A value and its wait queue; a subclass implements waiting and waking."""

    __slots__ = ("__weakref__", "_queue")

    def __init__(self, value: T) -> None:
        self._queue: WaitQueue[T] = WaitQueue(value)

    def __repr__(self) -> str:
        s = self.statistics()
        state = "free" if s.holder is None else f"held by {s.holder!r}, {s.waiting} waiting"
        return f"<{type(self).__name__} {type(self._queue.value).__name__}: {state}>"

    # A copy would either share the wait queue and its holder, or hold the value without one.

    def __copy__(self) -> NoReturn:
        raise TypeError(_NO_COPY.format(type(self).__name__))

    def __deepcopy__(self, _: object) -> NoReturn:
        raise TypeError(_NO_COPY.format(type(self).__name__))

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        raise TypeError(_NO_COPY.format(type(self).__name__))

    def statistics(self) -> GuardedStatistics:
        """Return the holder's name, how many tasks and threads wait, and how often it was taken."""
        queue, holder = self._queue, self._queue.holder
        return GuardedStatistics(holder and holder.name, len(queue.waiting), queue.taken)

    async def _enter(self) -> Entry:
        raise NotImplementedError

    def _leave(self, entry: Entry) -> None:
        raise NotImplementedError

    def _current(self) -> object:
        """Return the task that runs, or None."""
        try:
            return current_task_and_loop()[0]
        except RuntimeError:
            return None

    def _refuse_reentry(self, entry: Entry) -> None:
        holder = self._queue.holder
        if holder is not None and holder.owner() is entry.owner():
            raise AlreadyHeldError(entry.name)

    def _cell(self, entry: Entry) -> Cell[T]:
        return Cell(self._queue, entry)

    async def __aenter__(self) -> Cell[T]:
        return self._cell(await self._enter())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        # No await: leaving a block cannot be cancelled.
        self._leave_block()

    def _leave_block(self) -> None:
        holder = self._queue.holder
        if holder is None:
            raise NotHeldError(None)
        # A block is also left when its task is collected, inside whatever task runs then, or after
        # its task has ended, as with a fixture.
        if holder.owner() is not self._current() and not holder.has_ended():
            raise NotHeldError(holder.name)
        self._leave(holder)

    @overload
    async def update(self, fn: Callable[[T], Awaitable[T]], /) -> T: ...
    @overload
    async def update(self, fn: Callable[[T], T], /) -> T: ...
    async def update(self, fn: Callable[[T], T] | Callable[[T], Awaitable[T]], /) -> T:
        """Replace the value by ``fn(value)`` while no other task can reach it.

        These are equivalent, but the second stores the new value only if ``fn`` succeeds::

            async with guarded as cell:
                cell.value = await fn(cell.value)
            await guarded.update(fn)

        **Cancelled**, or if ``fn`` raises: the value is unchanged and goes to the next task that
        waits. A free value is taken without a checkpoint: a pending cancellation is raised at the
        next ``await``.

        Args:
            fn: takes the value and returns the new one. If it returns an awaitable, that is
                awaited while the value is held. Changes that it makes in place are not undone.

        Returns:
            The new value.

        Raises:
            AlreadyHeldError: this task already holds the value.
        """
        entry = await self._enter()
        try:
            new = fn(self._queue.value)
            self._queue.value = stored = await new if isinstance(new, Awaitable) else new
            return stored
        finally:
            self._leave(entry)


@final
class Cell(Generic[T]):
    """Access to a guarded value, inside the block that made the cell."""

    __slots__ = ("_entry", "_queue")

    def __init__(self, queue: WaitQueue[T], entry: Entry) -> None:
        self._queue: WaitQueue[T] = queue
        self._entry: Entry = entry

    def __repr__(self) -> str:
        return f"<Cell: {self._queue.value!r}>" if self._is_open() else "<Cell: closed>"

    @property
    def value(self) -> T:
        """The value: read it, or assign a new one.

        Raises:
            CellClosedError: the block has ended.
        """
        self._check()
        return self._queue.value

    @value.setter
    def value(self, new: T) -> None:
        self._check()
        self._queue.value = new

    def _is_open(self) -> bool:
        return self._queue.holder is self._entry

    def _check(self) -> None:
        if not self._is_open():
            raise CellClosedError
