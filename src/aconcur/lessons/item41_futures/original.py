"""Greatest common divisors: one by one, threads, processes.

Law: the caller stands still until the last answer is there.
"""

from __future__ import annotations

__all__ = (
    "as_completed",
    "collected",
    "in_c",
    "main",
    "mapped",
    "processes",
    "serial",
    "threads",
)

import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from aconcur.lessons.alone import alone
from aconcur.lessons.item41_futures.pool import (
    WORKERS,
    ProcessPool,
    ThreadPool,
)
from aconcur.lessons.item41_futures.work import (
    Pairs,
    gcd,
    make_pairs,
)

E = TypeVar("E", bound=Executor)
T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def ending(pool: E) -> Iterator[E]:
    """Hold a pool; at the end drop the calls that wait.

    Calls that run are waited for: no future can stop them.
    """
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def serial(pairs: Pairs) -> list[int]:
    """Compute one after the other."""
    return [gcd(pair) for pair in pairs]


def in_c(pairs: Pairs) -> list[int]:
    """Compute in C: `math.gcd`, one after the other."""
    return [math.gcd(*pair) for pair in pairs]


def threads(pairs: Pairs) -> list[int]:
    """Compute in threads, which take turns in one GIL."""
    with ending(ThreadPool(WORKERS)) as pool:
        return list(pool.map(gcd, pairs))


def processes(pairs: Pairs) -> list[int]:
    """Compute in worker processes."""
    with ending(ProcessPool()) as pool:
        return list(pool.map(gcd, pairs))


def mapped(pairs: Pairs, pool: Executor) -> list[int]:
    """Compute in a pool that is there already."""
    return list(pool.map(gcd, pairs))


def as_completed(
    pool: Executor,
    fn: Callable[[T], R],
    items: Iterable[T],
) -> Iterator[tuple[int, R]]:
    """Yield (number, answer), soonest first."""
    calls = {
        pool.submit(fn, item): number
        for number, item in enumerate(items)
    }
    for call in futures.as_completed(calls):
        yield calls[call], call.result()


def collected(pairs: Pairs, pool: Executor) -> list[int]:
    """Collect the answers as they come, then in order."""
    answers = dict(as_completed(pool, gcd, pairs))
    return [answers[n] for n in range(len(answers))]


def main(size: int) -> None:
    """Show what threads and processes are good for."""
    pairs = make_pairs(size, seed=41)
    print(
        f"gcd of {size} pairs by brute force,"
        f" {WORKERS} workers",
        flush=True,
    )
    base = 0.0
    for way in (serial, threads, processes):
        start = time.perf_counter()
        way(pairs)
        took = time.perf_counter() - start
        base = base or took
        print(
            f"{way.__name__:10} {took:6.2f} s"
            f" {base / took:6.2f} ×",
            flush=True,
        )


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=60, unit="pairs"
    ) as size:
        main(size)
