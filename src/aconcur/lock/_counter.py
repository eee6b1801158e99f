"""The example that every book on locks begins with."""

from __future__ import annotations

__all__ = ("Counter",)

from typing import final

from aconcur.lock._guarded import Guarded


@final
class Counter(Guarded[int]):
    """A tally that tasks share and that loses nothing.

    It is a :class:`Guarded` number: ``async with`` and :meth:`update` work on it as well, for
    updates that await in their middle.

    Args:
        count: where to start.
    """

    __slots__ = ()

    def __init__(self, count: int = 0) -> None:
        super().__init__(count)

    def __repr__(self) -> str:
        return super().__repr__().replace(" int:", f" {self.count}:", 1)

    @property
    def count(self) -> int:
        """The tally. Reading takes no turn: no update is ever half stored."""
        return self._line.value

    async def increment(self, offset: int = 1) -> int:
        """Add ``offset``; return the new tally.

        **Cancelled** while it waits: nothing was added.

        **Cost**: about 3.5 µs when nobody waits (``python -m benchmarks.lock``).

        Raises:
            AlreadyHeldError: this task holds the counter.
            OtherLoopError: the counter is held on another event loop.
        """
        return await self.update(lambda count: count + offset)
