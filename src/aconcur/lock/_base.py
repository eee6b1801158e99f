"""What Guarded and ThreadGuarded share: the value, its cells, and updates all or nothing."""

from __future__ import annotations

__all__ = ("Base", "Cell", "GuardedStatistics")

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Generic, NoReturn, SupportsIndex, TypeVar, final, overload

from aconcur.lock._errors import AlreadyHeldError, CellClosedError
from aconcur.lock._line import Line, Turn

T = TypeVar("T")

_NO_COPY: Final = (
    "a {} cannot be copied or pickled, for it guards one value: pass it on itself, or copy the "
    "value inside a block and make a new one"
)


@dataclass(frozen=True, slots=True)
class GuardedStatistics:
    """A snapshot of a guarded value."""

    holder: str | None
    """The name of the task or thread that holds the value; None when it is free."""
    waiting: int
    """Tasks and threads in line."""
    taken: int
    """How often the value was taken, updates included."""


class Base(Generic[T]):
    """A value and the line before it; the sub-classes say how to wait and how to wake."""

    __slots__ = ("__weakref__", "_line")

    def __init__(self, value: T) -> None:
        self._line: Line[T] = Line(value)

    def __repr__(self) -> str:
        s = self.statistics()
        state = "free" if s.holder is None else f"held by {s.holder!r}, {s.waiting} waiting"
        return f"<{type(self).__name__} {type(self._line.value).__name__}: {state}>"

    # A copy would share the line, and whoever holds it, or have the value without its line.

    def __copy__(self) -> NoReturn:
        raise TypeError(_NO_COPY.format(type(self).__name__))

    def __deepcopy__(self, _: object) -> NoReturn:
        raise TypeError(_NO_COPY.format(type(self).__name__))

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        raise TypeError(_NO_COPY.format(type(self).__name__))

    def statistics(self) -> GuardedStatistics:
        """Return who holds the value and how many wait."""
        holder = self._line.holder
        return GuardedStatistics(holder and holder.name, len(self._line.waiting), self._line.taken)

    async def _enter(self) -> Turn:
        raise NotImplementedError

    def _leave(self, turn: Turn) -> None:
        raise NotImplementedError

    def _refuse_reentry(self, turn: Turn) -> None:
        holder = self._line.holder
        if holder is not None and holder.who() is turn.who():
            raise AlreadyHeldError(turn.name)

    def _cell(self, turn: Turn) -> Cell[T]:
        return Cell(self._line, turn)

    async def __aenter__(self) -> Cell[T]:
        return self._cell(await self._enter())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        # No await: a block can always be left.
        self._leave_block()

    def _leave_block(self) -> None:
        if (holder := self._line.holder) is not None:
            self._leave(holder)

    @overload
    async def update(self, fn: Callable[[T], Awaitable[T]], /) -> T: ...
    @overload
    async def update(self, fn: Callable[[T], T], /) -> T: ...
    async def update(self, fn: Callable[[T], T] | Callable[[T], Awaitable[T]], /) -> T:
        """Replace the value by ``fn(value)``; nobody sees it in between.

        These are equivalent, but the second stores all or nothing::

            async with guarded as cell:
                cell.value = await fn(cell.value)
            await guarded.update(fn)

        **Cancelled**, or when ``fn`` raises: the value is as before and free for the next in
        line. A value that is free is taken without a pause, so that a cancellation that is
        already due comes at the next await.

        Args:
            fn: takes the value and returns the new one. An awaitable that it returns is awaited
                while the value is held. What it changes in place stays changed.

        Returns:
            The new value.

        Raises:
            AlreadyHeldError: this task holds the value.
        """
        turn = await self._enter()
        try:
            new = fn(self._line.value)
            self._line.value = stored = await new if isinstance(new, Awaitable) else new
            return stored
        finally:
            self._leave(turn)


@final
class Cell(Generic[T]):
    """The way to a guarded value, inside the block that made it."""

    __slots__ = ("_line", "_turn")

    def __init__(self, line: Line[T], turn: Turn) -> None:
        self._line: Line[T] = line
        self._turn: Turn = turn

    def __repr__(self) -> str:
        return f"<Cell: {self._line.value!r}>" if self._is_open() else "<Cell: closed>"

    @property
    def value(self) -> T:
        """The value: read it, or assign a new one.

        Raises:
            CellClosedError: the block has ended.
        """
        self._check()
        return self._line.value

    @value.setter
    def value(self, new: T) -> None:
        self._check()
        self._line.value = new

    def _is_open(self) -> bool:
        return self._line.holder is self._turn

    def _check(self) -> None:
        if not self._is_open():
            raise CellClosedError
