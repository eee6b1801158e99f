"""Calls on threads: many at once where the calls wait.

A blocking system call gives the GIL up, so threads wait
side by side. Python code keeps the GIL, so threads that
compute take turns and win nothing.
"""

from __future__ import annotations

__all__ = ("Call", "serial", "threads")

from contextlib import ExitStack
from functools import partial
from threading import Thread
from typing import Generic, TypeVar

from aconcur.lessons.alone import alone
from aconcur.lessons.item37_threads.work import (
    Job,
    Jobs,
    numbers,
    slow_systemcall,
    timed,
)

T = TypeVar("T")


def serial(jobs: Jobs[T]) -> list[T]:
    """Run one job after another.

    Raises:
        Exception: a job's own; no later job runs.
    """
    return [job() for job in jobs]


class Call(Thread, Generic[T]):
    """One job on a thread of its own."""

    def __init__(self, job: Job[T]) -> None:
        super().__init__()
        self.job = job
        self.error: BaseException | None = None

    def run(self) -> None:
        """Keep the answer or the error."""
        try:
            self.answer = self.job()
        # Whatever it is, result() raises it in the caller.
        except BaseException as e:  # noqa: ASYNC103, BLE001
            self.error = e

    def result(self) -> T:
        """Return the answer or raise."""
        if self.error:
            raise self.error
        return self.answer


def threads(jobs: Jobs[T]) -> list[T]:
    """Run every job on its own thread.

    All threads have ended when this
    returns or raises, Ctrl-C included:
    a blocking call cannot be stopped.

    Raises:
        Exception: that of the first job
            in order that failed.
    """
    calls = list(map(Call, jobs))
    with ExitStack() as joined:
        for call in calls:
            call.start()
            joined.callback(call.join)
    return [c.result() for c in calls]


def main(size: int) -> None:
    """Time waiting calls, then counting ones."""
    print(f"{size} calls of select, 0.1 s each")
    waits = [partial(slow_systemcall, 0.1)] * size
    with timed("serial", "one waits after another"):
        serial(waits)
    with timed("threads", "all wait at the same time"):
        threads(waits)
    with numbers(12, seed=37) as (sums,):
        print(f"{len(sums)} numbers to factorize")
        with timed("serial", "one core"):
            serial(sums)
        with timed("threads", "one core still: the GIL"):
            threads(sums)


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=20, unit="calls of select"
    ) as size:
        main(size)
