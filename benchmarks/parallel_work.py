"""What the rivals of benchmarks.parallel are given to call. Imports little: workers read it."""

from __future__ import annotations

__all__ = (
    "BOOK",
    "MIB",
    "SENT",
    "as_coroutine",
    "book_gcd",
    "first",
    "gcd_in",
    "in_turn",
    "kept_array",
    "kept_bytes",
    "large_bytes",
    "pairs",
    "spin",
)

import math
import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

MIB: Final = 1 << 20
SENT: Final = 12
"""Large items of a round."""
BOOK: Final = [(1_963_309 + n, 2_265_973 + n) for n in range(24)]


def pairs(count: int) -> list[tuple[int, int]]:
    """Return so many pairs, each its own: pickle sends one that comes again as a reference."""
    return [(n * 7919 % 1_000_003, n % 9973 + 1) for n in range(count)]


def gcd_in(pair: tuple[int, int]) -> int:
    """Take about 60 ns."""
    return math.gcd(*pair)


def book_gcd(pair: tuple[int, int]) -> int:
    """Do as the book: try every number."""
    low = min(pair)
    return next(i for i in range(low, 0, -1) if pair[0] % i == 0 and pair[1] % i == 0)


def spin(seconds: float) -> None:
    """Compute for so long."""
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


@lru_cache
def kept_bytes(_: int) -> bytes:
    """Return 8 MiB, made once."""
    return bytes(8 * MIB)


@lru_cache
def kept_array(_: int) -> Any:
    """Return 8 MiB of numpy's floats, made once."""
    import numpy

    return numpy.ones(MIB)


def large_bytes() -> Sequence[Any]:
    """Return SENT × 8 MiB, each its own, as those of :func:`pairs`."""
    return [os.urandom(8 * MIB) for _ in range(SENT)]


def first(array: Any) -> float:
    """Read one number."""
    return float(array[0])


def in_turn(chunk: tuple[Callable[[Any], Any], Sequence[Any]]) -> list[Any]:
    """Call a function for all items: for peers whose user must cut by hand."""
    function, items = chunk
    return [function(item) for item in items]


async def as_coroutine(call: tuple[Callable[[Any], Any], Any]) -> Any:
    """Call a function: for peers that take coroutine functions alone."""
    return call[0](call[1])
