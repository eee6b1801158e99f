"""``parallel.map`` untuned over an executor, beside that executor's own ``map`` tuned by hand.

``python -m benchmarks.parallel_executor [CASE …] [--backend …] [--rounds N]``

The chunk size of the peer is the best of several, tried on the same input before the rounds begin.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from typing import Any, TypeAlias

import anyio

from aconcur import parallel
from benchmarks.side_by_side import Rival, compare

Items: TypeAlias = Sequence[Any]
SIZES = (1, 4, 16, 64, 256, 1024, 4096, 16384)


def gcd(pair: tuple[int, int]) -> int:
    return math.gcd(*pair)


def brute_gcd(pair: tuple[int, int]) -> int:
    low = min(pair)
    return next(i for i in range(low, 0, -1) if pair[0] % i == 0 and pair[1] % i == 0)


def spin(seconds: float) -> float:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return seconds


def sized(data: bytes) -> int:
    return len(data)


@lru_cache
def tiny(count: int) -> Items:
    return [(6 * n, 4 * n) for n in range(1, count + 1)]


@lru_cache
def book(count: int) -> Items:
    return [(200_000 + 7 * n, 400_000 + 11 * n) for n in range(count)]


@lru_cache
def cliff(count: int) -> Items:
    return [20e-6] * (count * 100) + [30e-3] * count


@lru_cache
def heavy(count: int) -> Items:
    # Each its own: pickle sends one object that stands in a chunk twice only once.
    return [bytes([n % 256]) * (8 << 20) for n in range(count)]


# The function, its input, and the size of that in a round.
CASES: dict[str, tuple[Callable[[Any], Any], Callable[[int], Items], int]] = {
    "tiny": (gcd, tiny, 200_000),
    "book": (brute_gcd, book, 60),
    "cliff": (spin, cliff, 40),
    "heavy": (sized, heavy, 24),
}


def best_size(executor: Executor, fn: Callable[[Any], Any], items: Items) -> int:
    """Return the chunk size with which the executor's own map is quickest."""
    took: dict[int, float] = {}
    for size in SIZES:
        if size > 1 and size * 2 > len(items):
            break
        part = items[: 64 * size] if size < 64 else items
        began = time.perf_counter()
        list(executor.map(fn, part, chunksize=size))
        took[size] = (time.perf_counter() - began) / len(part) * len(items)
    # Short runs are noisy: the best three are run again, on all of it.
    again: dict[int, float] = {}
    for size in sorted(took, key=took.__getitem__)[:3]:
        began = time.perf_counter()
        list(executor.map(fn, items, chunksize=size))
        again[size] = time.perf_counter() - began
    return min(again, key=again.__getitem__)


async def collected(executor: Executor, fn: Callable[[Any], Any], items: Items) -> None:
    found = await parallel.map(fn, items, executor=executor).collect()
    assert len(found) == len(items)


async def iterated(executor: Executor, fn: Callable[[Any], Any], items: Items) -> None:
    count = 0
    async for _ in parallel.map(fn, items, executor=executor):
        count += 1
    assert count == len(items)


def rivals(
    executor: Executor, fn: Callable[[Any], Any], make: Callable[[int], Items], backend: str
) -> dict[str, Rival]:
    """Return the ways to map over an executor; the first is tuned."""

    def tuned(count: int) -> None:
        items = make(count)
        assert len(list(executor.map(fn, items, chunksize=size))) == len(items)

    def of(entry: Callable[..., Any]) -> Rival:
        options = {"use_uvloop": True} if backend == "uvloop" else {}
        loop = "trio" if backend == "trio" else "asyncio"
        return lambda count: anyio.run(
            entry, executor, fn, make(count), backend=loop, backend_options=options
        )

    size = best_size(executor, fn, make(CASES_SIZE[make]))
    name = f"{type(executor).__name__}, chunksize={size}"
    return {name: tuned, "aconcur, collect": of(collected), "aconcur, async for": of(iterated)}


CASES_SIZE = {make: count for _, make, count in CASES.values()}


def executors(context: str) -> dict[str, Callable[[], Executor]]:
    """Return the executors that are installed."""
    found: dict[str, Callable[[], Executor]] = {
        "processes": partial(ProcessPoolExecutor, 2, get_context(context)),
        "threads": partial(ThreadPoolExecutor, 2),
    }
    try:
        import loky
    except ImportError:
        return found
    return found | {"loky": partial(loky.ProcessPoolExecutor, 2)}


def main() -> None:
    """Measure, and print a table a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--backend", choices=("asyncio", "uvloop", "trio"), default="asyncio")
    parser.add_argument("--executor", default="processes", help="processes, threads or loky")
    parser.add_argument("--context", default="forkserver", help="how processes start")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    for case in chosen.cases or CASES:
        fn, make, count = CASES[case]
        with executors(chosen.context)[chosen.executor]() as executor:
            list(executor.map(fn, make(2)))
            compare(
                f"{case} on {chosen.backend}",
                rivals(executor, fn, make, chosen.backend),
                times=count,
                rounds=chosen.rounds,
            )


if __name__ == "__main__":
    main()
