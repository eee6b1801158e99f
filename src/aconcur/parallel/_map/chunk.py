"""Chunks of items, and the two sides that pass them to each other: an owner and a runner."""

from __future__ import annotations

__all__ = ("Chunk", "Death", "Owner", "Runner", "new_number")

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final, Protocol, final

from aconcur._pool_worker.failures import Packed

new_number: Final = partial(next, count(1))
"""Return a number by which messages refer to a chunk, a map or a call."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker ended."""

    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    """The pool killed it, because an item exceeded its timeout."""


@final
@dataclass(slots=True, eq=False, repr=False)
class Chunk:
    """Items that are sent together. One worker at a time has it.

    The items that its worker has not begun can be taken back; they become a chunk of their own.
    """

    owner: Owner
    """The map or call that the items belong to."""
    start: int
    """The position of the first item in the input."""
    items: list[Any]
    """At least one when it is sent."""
    exact: bool
    """The worker must report before each item, so that its death is blamed on one."""
    deaths: int = 0
    """How many workers that had it died before they were seen to begin it."""
    bytes: int = 0
    """Of its items' message, once that was encoded."""
    number: int = field(default_factory=new_number)

    def __repr__(self) -> str:
        return f"<Chunk {self.number}: items {self.start} to {self.start + len(self.items)}>"

    def part(self, first: int, end: int, *, exact: bool = False) -> Chunk:
        """Return some of its items as a new chunk."""
        items = self.items[first:end]
        return Chunk(self.owner, self.start + first, items, self.exact or exact, self.deaths)


class Owner(Protocol):
    """A map or a call. It gets each of its chunks back once, by one of the first four methods."""

    number: int
    function: Callable[..., Any]
    open: bool

    @property
    def timeout(self) -> float | None:
        """Seconds that an item may take."""

    @property
    def grace(self) -> float:
        """Seconds that a task gets to clean up before its worker is killed."""

    @property
    def is_quick(self) -> bool:
        """Whether its chunks are short enough for another to wait behind them."""

    def finish(
        self,
        chunk: Chunk,
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
        seconds: float,
        size: int,
    ) -> int:
        """Accept the results of the chunk's first items; the others were handed back.

        Args:
            chunk: the chunk.
            results: of its items, from the first on, with None for those that failed.
            errors: of the failed items, by position in the chunk.
            seconds: the time that the work took.
            size: the bytes of the answer.

        Returns:
            How many items were handed back.
        """

    def unreadable(self, chunk: Chunk, error: Exception) -> None:
        """Accept that the chunk or its results could not be pickled or unpickled."""

    def put_back(self, chunk: Chunk) -> None:
        """Accept that no worker has begun the chunk; do it again."""

    def crashed(self, chunk: Chunk, first: int, end: int, death: Death) -> None:
        """Accept that the chunk's worker ended during the items from ``first`` to ``end``."""

    def expired(self, chunk: Chunk, at: int) -> Exception:
        """Return the error for an item that exceeded its timeout."""

    def take_back(self, chunk: Chunk, at: int) -> int:
        """Remove the items from position ``at`` on, which its worker will not begin.

        The chunk itself, even if it is empty now, comes back later like any other.

        Returns:
            How many items were removed.
        """

    def fail(self, error: Exception) -> None:
        """End with an error that belongs to no item."""


class Runner(Protocol):
    """Runs the chunks of maps: the scheduler of a pool, or the runner of an executor."""

    @property
    def size(self) -> int:
        """How many chunks run at once."""

    def pump(self) -> None:
        """Start as many chunks as there is room for."""

    def dismiss(self, job: Any) -> None:  # noqa: ANN401 - a Job, whose module imports this one
        """Stop the chunks of a map whose results are no longer wanted."""

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task in the background, at least to its first await. Callable in callbacks too."""
