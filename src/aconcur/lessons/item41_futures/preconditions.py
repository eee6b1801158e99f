"""The two preconditions of item 41, broken on purpose."""

from __future__ import annotations

__all__ = ("measured", "much_data", "shared_state")

import time
from concurrent.futures import (
    Executor,
    ThreadPoolExecutor,
    wait,
)

from aconcur.lessons.item41_futures.pool import (
    WORKERS,
    ProcessPool,
)

SEEN: list[int] = []
MIB = bytes(2**20)


def remember(number: int) -> int:
    """Add a number to a list of this process."""
    SEEN.append(number)
    return number


def echo(data: bytes) -> bytes:
    """Return the data: no work at all."""
    return data


def shared_state(pool: Executor, calls: int) -> int:
    """Return how many of the calls the program sees."""
    SEEN.clear()
    list(pool.map(remember, range(calls)))
    return len(SEEN)


def much_data(pool: Executor, calls: int) -> float:
    """Return the ms of a call with 1 MiB in and out."""
    began = time.perf_counter()
    list(pool.map(echo, [MIB] * calls))
    return (time.perf_counter() - began) / calls * 1000


def measured(
    size: int,
    seed: int,  # noqa: ARG001 - nothing here is random
) -> dict[str, dict[str, float]]:
    """Break both, in threads and in processes."""
    with (
        ThreadPoolExecutor(WORKERS) as threads,
        ProcessPool() as processes,
    ):
        wait(processes.starting)
        pools = {
            "in threads": threads,
            "in processes": processes,
        }
        return {
            "updates of a shared list that arrive": {
                name: shared_state(pool, size)
                for name, pool in pools.items()
            },
            "ms of a call with 1 MiB in and out": {
                name: much_data(pool, size)
                for name, pool in pools.items()
            },
        }
