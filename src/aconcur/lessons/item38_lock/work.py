"""The samples that are counted.

Rule: nothing here depends on threads or tasks.
"""

from __future__ import annotations

__all__ = (
    "WORKERS",
    "Reading",
    "at_least_one",
    "line",
    "many_updates_each",
    "many_workers",
    "one_update_each",
    "updates_alone",
)

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

WORKERS = 5


class Reading(int):
    """A sample that calls ``pause`` as it is added.

    `count += reading` reads the count, calls `__radd__` and
    writes the count. So `pause` runs in the middle, and
    `increment` needs no change for it.
    """

    pause: Callable[[], object]

    def __new__(
        cls, value: int, pause: Callable[[], object]
    ) -> Self:
        """Make a sample of ``value``."""
        reading = super().__new__(cls, value)
        reading.pause = pause
        return reading

    # Python asks the right operand first where its class is
    # derived from the left one's: int's own + has no say.
    def __radd__(self, count: int) -> int:
        self.pause()
        return count + int(self)


def at_least_one(workers: int) -> int:
    """Return the number of workers, if it is one.

    Raises:
        ValueError: there are fewer.
    """
    if workers < 1:
        raise ValueError(
            f"workers must be at least 1, not {workers}"
        )
    return workers


def line(what: str, count: int, expected: int) -> str:
    """Return a line that says how many were lost."""
    lost = expected - count
    said = f"{lost} lost" if lost else "none lost"
    return f"  {what:<24}{count:>9}   {said}"


@contextmanager
def one_update_each(
    size: int, seed: int
) -> Iterator[tuple[int]]:
    """Yield the arguments for ``size`` workers."""
    del seed  # nothing here is random
    yield (size,)


@contextmanager
def many_updates_each(
    size: int, seed: int
) -> Iterator[tuple[int, int]]:
    """Yield the arguments for ``size`` updates each."""
    del seed
    yield WORKERS, size


@contextmanager
def many_workers(
    size: int, seed: int
) -> Iterator[tuple[int, int]]:
    """Yield the arguments for ``size`` workers."""
    del seed
    yield size, 50


@contextmanager
def updates_alone(
    size: int, seed: int
) -> Iterator[tuple[int]]:
    """Yield the arguments for ``size`` updates by one."""
    del seed
    yield (size,)
