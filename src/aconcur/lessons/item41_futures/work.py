"""The job: the greatest common divisor, by brute force.

Law: `gcd` knows neither who calls it nor where it runs.
"""

from __future__ import annotations

__all__ = (
    "DEADLY",
    "LONG",
    "Pair",
    "Pairs",
    "equal_pairs",
    "fragile",
    "gcd",
    "make_pairs",
    "random_pairs",
    "random_pairs_and_pool",
)

import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from random import Random
from typing import Final, TypeAlias

from aconcur.lessons.item41_futures.pool import (
    WORKERS,
    ProcessPool,
)

Pair: TypeAlias = tuple[int, int]
Pairs: TypeAlias = Iterable[Pair]

LONG: Final[Pair] = (10**9, 10**9 - 1)
"""A pair that keeps `gcd` busy for more than a minute."""

DEADLY: Final[Pair] = (13, 13)
"""The pair that `fragile` does not survive."""


def gcd(pair: Pair) -> int:
    """Return the greatest number that divides both.

    About 0.05 µs for every number from the smaller of the
    two down to the answer.

    Raises:
        ValueError: one of the two is not positive.
    """
    a, b = pair
    low = min(a, b)
    for i in range(low, 0, -1):
        if a % i == 0 and b % i == 0:
            return i
    # 1 divides all numbers: only an empty range ends here.
    raise ValueError(
        f"gcd of {pair}: {low} is not positive"
    )


def fragile(pair: Pair) -> int:
    """Do as `gcd`, but let `DEADLY` kill the process.

    A crash in a C extension and the kernel's out-of-memory
    killer look just so from outside.
    """
    if pair == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return gcd(pair)


def make_pairs(size: int, seed: int) -> list[Pair]:
    """Return `size` pairs, each some 10 ms of work."""
    random = Random(seed)
    return [
        (
            random.randint(100_000, 300_000),
            random.randint(300_000, 600_000),
        )
        for _ in range(size)
    ]


@contextmanager
def random_pairs(
    size: int, seed: int
) -> Iterator[tuple[list[Pair]]]:
    """Give the pairs alone: the pool is the entry's."""
    yield (make_pairs(size, seed),)


@contextmanager
def equal_pairs(
    size: int, seed: int
) -> Iterator[tuple[list[Pair]]]:
    """Give 16 pairs; `gcd` tries `size` numbers."""
    del seed  # neighbours have no common divisor but 1
    yield ([(size + 1, size)] * 16,)


@contextmanager
def random_pairs_and_pool(
    size: int, seed: int
) -> Iterator[tuple[list[Pair], ProcessPool]]:
    """Give the pairs and a pool whose workers wait."""
    with ProcessPool() as pool:
        wait(pool.starting)
        list(pool.map(gcd, make_pairs(2 * WORKERS, seed)))
        yield make_pairs(size, seed), pool
