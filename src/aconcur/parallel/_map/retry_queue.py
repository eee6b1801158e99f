"""Items that must be done again, in the order of the input."""

from __future__ import annotations

__all__ = ("RetryQueue",)

from bisect import insort
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, final

from aconcur.parallel._map.chunk import Chunk

_START: Final = attrgetter("start")


@final
@dataclass(slots=True)
class RetryQueue:
    """Chunks that came back from workers, or parts of them. None of them is empty."""

    items: int = 0
    """The number of items in all chunks."""
    _chunks: list[Chunk] = field(default_factory=list)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """All chunks."""
        return tuple(self._chunks)

    def add(self, chunk: Chunk, first: int, end: int, *, exact: bool = False) -> None:
        """Add the chunk's items from ``first`` to ``end``.

        With ``exact`` the worker reports before each of them, so that a death is blamed on one.
        """
        if first < end:
            self._insert(chunk.part(first, end, exact=exact))

    def add_one(self, chunk: Chunk, at: int) -> None:
        """Add one item alone, without the chunk's record of deaths."""
        self._insert(Chunk(chunk.owner, chunk.start + at, [chunk.items[at]], exact=True))

    def add_one_by_one(self, chunk: Chunk) -> None:
        """Add each item of a chunk alone."""
        for at in range(len(chunk.items)):
            self.add_one(chunk, at)

    def next(self, most: int) -> Chunk:
        """Remove and return the first chunk, or the first ``most`` items of it."""
        chunk = self._chunks.pop(0)
        self.items -= len(chunk.items)
        if len(chunk.items) <= most:
            return chunk
        self.add(chunk, most, len(chunk.items))
        return chunk.part(0, most)

    def clear(self) -> None:
        """Remove all."""
        self._chunks.clear()
        self.items = 0

    def _insert(self, chunk: Chunk) -> None:
        self.items += len(chunk.items)
        insort(self._chunks, chunk, key=_START)
