"""From one machine to a cluster: the same map, another executor.

``python examples/cluster.py`` computes here; ``python examples/cluster.py tcp://10.0.0.7:8786`` on
the workers of a scheduler of Dask's (``dask scheduler``, and ``dask worker ADDRESS`` on each
machine; ``pip install 'aconcur[dask]'`` everywhere).
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import asynccontextmanager

import anyio

from aconcur import parallel


def steps_to_one(number: int) -> int:
    """Count the steps of Collatz's rule: halve what is even, else triple it and add one."""
    steps = 0
    while number > 1:
        number = 3 * number + 1 if number % 2 else number // 2
        steps += 1
    return steps


@asynccontextmanager
async def workers(address: str | None) -> AsyncGenerator[Executor, None]:
    """Yield the executor: the one line that differs."""
    if address is None:
        with ProcessPoolExecutor() as here:
            yield here
    else:
        async with parallel.cluster(address) as far:
            yield far


async def main(address: str | None, below: int) -> None:
    """Find the number below ``below`` that takes the most steps."""
    began = time.perf_counter()
    best = (0, 0)
    async with workers(address) as executor:
        numbers = range(1, below)
        found = parallel.map(steps_to_one, numbers, executor=executor)
        number = 0
        async for steps in found:
            number += 1
            best = max(best, (steps, number))
    took = time.perf_counter() - began
    print(f"{best[1]} takes {best[0]} steps; {took:.2f} s", file=sys.stderr)
    print(*best)


if __name__ == "__main__":
    where, limit, *_ = [*sys.argv[1:], "", ""]
    anyio.run(main, where or None, int(limit or 100_000))
