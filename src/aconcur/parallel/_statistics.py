"""What a pool has done, in figures."""

from __future__ import annotations

__all__ = ("PoolStatistics", "Tally")

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
    """The process ids of the workers that live now."""
    done: int
    """Items and calls that were worked on to the end, failed ones included."""
    chunks: int
    """Messages in which they were sent."""
    handed_back: int
    """Items that came back from a worker unbegun, as their chunk took too long."""
    seconds: float
    """That the workers have worked, in all."""
    started: int
    """Processes started in all: the first ones, and those that replace others."""
    died: int
    """Processes that ended without being told to."""
    killed: int
    """Processes that the pool killed, for a timeout or a cancellation."""


@dataclass(slots=True)
class Tally:
    """What is counted as it happens."""

    done: int = 0
    chunks: int = 0
    handed_back: int = 0
    seconds: float = 0.0
    started: int = 0
    died: int = 0
    killed: int = 0
