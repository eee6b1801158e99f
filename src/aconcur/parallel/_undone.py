"""What is to be done again, the first places of the input first."""

from __future__ import annotations

__all__ = ("Undone",)

from bisect import insort
from operator import attrgetter
from typing import Final, final

from aconcur.parallel._chunk import Chunk

_START: Final = attrgetter("start")


@final
class Undone:
    """Chunks that came back. Each is a new one, and never empty."""

    __slots__ = ("_chunks", "items")

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self.items: int = 0
        """How many items they have."""

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """All of them."""
        return tuple(self._chunks)

    def add(self, chunk: Chunk, first: int, end: int, *, exact: bool = False) -> None:
        """Do these items of a chunk again; ``exact``: so that who dies over them is known."""
        if first < end:
            self._insert(chunk.part(first, end, exact=exact))

    def apart(self, chunk: Chunk, at: int) -> None:
        """Do one item again, alone, as if nothing had happened to it."""
        self._insert(Chunk(chunk.owner, chunk.start + at, [chunk.items[at]], exact=True))

    def all_apart(self, chunk: Chunk) -> None:
        """Do each item of a chunk again, alone."""
        for at in range(len(chunk.items)):
            self.apart(chunk, at)

    def next(self, most: int) -> Chunk:
        """Return the first chunk, or as many of its first items."""
        chunk = self._chunks.pop(0)
        self.items -= len(chunk.items)
        if len(chunk.items) <= most:
            return chunk
        self.add(chunk, most, len(chunk.items))
        return chunk.part(0, most)

    def clear(self) -> None:
        """Forget them all."""
        self._chunks.clear()
        self.items = 0

    def _insert(self, chunk: Chunk) -> None:
        self.items += len(chunk.items)
        insort(self._chunks, chunk, key=_START)
