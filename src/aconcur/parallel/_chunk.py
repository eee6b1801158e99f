"""What maps and calls hand to those who run them, and what those may ask of each other.

Law: a chunk is with one worker at a time. What its worker has not begun can be cut off and given to
another; then it is a chunk of its own.
"""

from __future__ import annotations

__all__ = ("Chunk", "Crew", "Death", "Owner", "new_number")

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Protocol, final

from aconcur._worker.failures import Packed

# Of chunks and of their owners.
_NUMBERS: Final = count(1)


def new_number() -> int:
    """Return a number by which messages name a chunk, a map or a call."""
    return next(_NUMBERS)


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker ended."""

    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    """It was killed because an item took too long."""


@final
class Chunk:
    """Items that are sent together.

    Args:
        owner: whose they are.
        start: the first one's place in the input.
        items: at least one, when it is sent.
        exact: who dies over it must be blamed with certainty.
        deaths: of workers that had it and were not seen to begin with it.
    """

    __slots__ = ("deaths", "exact", "items", "number", "owner", "start")

    def __init__(
        self, owner: Owner, start: int, items: list[Any], exact: bool, deaths: int = 0
    ) -> None:
        self.number: int = new_number()
        self.owner: Owner = owner
        self.start: int = start
        self.items: list[Any] = items
        self.exact: bool = exact
        self.deaths: int = deaths

    def __repr__(self) -> str:
        return f"<Chunk {self.number}: items {self.start} to {self.start + len(self.items)}>"

    def part(self, first: int, end: int, *, exact: bool = False) -> Chunk:
        """Return some of its items as a chunk of their own."""
        items = self.items[first:end]
        return Chunk(self.owner, self.start + first, items, self.exact or exact, self.deaths)


class Owner(Protocol):
    """Whose a chunk is: a map, or a call. It takes each chunk back once, in one of four ways."""

    number: int
    open: bool

    @property
    def timeout(self) -> float | None:
        """Seconds that an item may take."""

    @property
    def is_quick(self) -> bool:
        """Whether a chunk of it is short enough for another to wait behind it."""

    def finish(
        self,
        chunk: Chunk,
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
        seconds: float,
        size: int,
    ) -> int:
        """Take the results of the chunk's first items; return how many were handed back.

        Args:
            chunk: what was sent.
            results: of its items, from the first on; None for those that failed.
            errors: of those, by their place.
            seconds: that it took.
            size: the bytes of the answer.
        """

    def unreadable(self, chunk: Chunk, error: Exception) -> None:
        """Take back a chunk that cannot be sent or read, or whose results cannot be read."""

    def put_back(self, chunk: Chunk) -> None:
        """Do a chunk again that has not been worked on."""

    def take_back(self, chunk: Chunk, at: int) -> int:
        """Cut off the items from one on, which nobody will begin; return how many they are.

        The rest of the chunk, though it be empty, is taken back as any.
        """

    def crashed(self, chunk: Chunk, first: int, end: int, death: Death) -> None:
        """Take back a chunk whose worker ended at the items from ``first`` to ``end``."""

    def fail(self, error: Exception) -> None:
        """End with an error that is no item's."""


class Crew(Protocol):
    """Those who run the chunks of maps."""

    @property
    def size(self) -> int:
        """How many chunks run at once."""

    def pump(self) -> None:
        """Start what there is room for."""

    def dismiss(self, job: Any) -> None:  # noqa: ANN401 - a Job, which knows this file
        """Stop what runs of a map that nobody wants any more."""

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task of the crew's own; callable wherever its loop runs."""

    async def settled(self) -> None:
        """Wait for the end of such tasks, unless they belong to a block."""
