"""What a queue says of itself, and a producer's share in it."""

from __future__ import annotations

__all__ = ("Producer", "QueueStatistics")

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, final


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """A snapshot of a queue."""

    size: int
    """Items in it."""
    maxsize: int
    """The most that put() leaves in it; 0: any number."""
    put: int
    """Items that were ever put."""
    got: int
    """Items that were ever taken out."""
    dropped: int
    """Items that shutdown(immediate=True) dropped."""
    unfinished: int
    """Items that join() waits for: put, and not task_done() yet."""
    waiting_to_put: int
    """Tasks that wait for room."""
    waiting_to_get: int
    """Tasks that wait for an item."""
    producers: int
    """producer() blocks that are open."""
    closed: bool
    """Whether nothing can be put any more."""


@final
class Producer:
    """A producer's share in a queue, made by :meth:`Queue.producer`: ``with`` ends it, once."""

    __slots__ = ("_leave",)

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave()
