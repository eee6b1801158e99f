"""The figures of a pool."""

from __future__ import annotations

__all__ = ("Counters", "PoolStatistics")

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A snapshot of a pool."""

    workers: int
    """Processes that the pool keeps."""
    ready: int
    """Of them, those that have started and run their initializer."""
    busy: int
    """Of them, those that have work."""
    waiting: int
    """Calls of ``run()`` that no worker has been given yet."""
    maps: int
    """Maps under way."""
    pids: tuple[int, ...]
    """The process ids of the current workers."""
    done: int
    """Items and calls that were worked on to the end, including those that failed."""
    chunks: int
    """Messages in which they were sent."""
    handed_back: int
    """Items that came back from a worker before it began them, because their chunk took long."""
    seconds: float
    """Time that the workers have worked, in total."""
    started: int
    """Processes started in total: the first ones, and those that replaced others."""
    died: int
    """Processes that ended without being told to."""
    killed: int
    """Processes that the pool killed, for a timeout or a cancellation."""


@dataclass(slots=True)
class Counters:
    """The figures that are counted as things happen."""

    done: int = 0
    chunks: int = 0
    handed_back: int = 0
    seconds: float = 0.0
    started: int = 0
    died: int = 0
    killed: int = 0
