"""A client of a real cluster, in a process of its own: distributed leaves threads and files behind.

``python -m tests.support.cluster_client ADDRESS PID`` prints, as JSON, what came of each scenario;
PID is the worker that it kills.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from typing import Any

import anyio

from aconcur import parallel
from aconcur.parallel import COLLECT, Cluster, ExecutorBroken, cluster
from aconcur.pipeline import Pipeline, stage

OFFSET = 1000


def shifted(number: int) -> int:
    """Look for a global of __main__, which no worker has run."""
    return number + OFFSET


def slow(number: int) -> int:
    time.sleep(0.005)
    return number


def fails_at_seven(number: int) -> int:
    if number == 7:
        raise LookupError("seven")
    return number


async def mapped(executor: Cluster) -> bool:
    pairs = [(6 * n, 4 * n) for n in range(1, 3000)]
    found = [one async for one in parallel.map(gcd, pairs, executor=executor)]
    return found == [math.gcd(*pair) for pair in pairs]


def gcd(pair: tuple[int, int]) -> int:
    return math.gcd(*pair)


async def of_main(executor: Cluster) -> list[int]:
    return await parallel.map(shifted, range(3), executor=executor).collect()


async def failing(executor: Cluster) -> list[Any]:
    results = parallel.map(fails_at_seven, range(20), executor=executor, on_error=COLLECT)
    await results.collect()
    return [[one.index, type(one.error).__name__, one.attempts] for one in results.failures]


async def in_a_pipeline(executor: Cluster) -> list[int]:
    first: Pipeline[int, int] = stage(abs, via=executor, workers=4)
    stages = first.map(lambda number: number + 1)
    return await stages.collect(range(-3, 0))


async def left(executor: Cluster) -> int:
    async for one in parallel.map(slow, range(10**9), executor=executor):
        if one == 20:
            return one
    return -1


async def bereaved(executor: Cluster, pid: int) -> dict[str, Any]:
    """Map, and kill a worker in the middle."""
    found = []
    async for one in parallel.map(slow, range(300), executor=executor):
        found.append(one)
        if len(found) == 60:
            os.kill(pid, signal.SIGKILL)
    while executor.workers > 1:
        await anyio.sleep(0.01)
    return {"all": found == list(range(300)), "workers": executor.workers}


async def scenarios(address: str, pid: int | None) -> dict[str, Any]:
    async with cluster(address) as executor:
        said: dict[str, Any] = {
            "repr": repr(executor),
            "workers": executor.workers,
            "mapped": await mapped(executor),
            "of_main": await of_main(executor),
            "failing": await failing(executor),
            "pipeline": await in_a_pipeline(executor),
            "left": await left(executor),
        }
        if pid is not None:
            said["bereaved"] = await bereaved(executor, pid)
    try:
        await parallel.map(abs, [1], executor=executor).collect()
    except ExecutorBroken as error:
        said["afterwards"] = str(error)
    return said


def main() -> None:
    address, pid = sys.argv[1], int(sys.argv[2])
    on_trio = anyio.run(scenarios, address, None, backend="trio")
    print(json.dumps({"trio": on_trio, "asyncio": anyio.run(scenarios, address, pid)}))


if __name__ == "__main__":
    main()
