"""A real cluster and its client, in a program: distributed leaves threads and files behind.

``python -m tests.support.cluster_client FOLDER`` runs a scheduler and two workers, and prints as
JSON what came of each scenario.
"""

from __future__ import annotations

import json
import math
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import anyio

from aconcur import parallel
from aconcur.cli import main as command
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


async def bereaved(executor: Cluster, kill: Callable[[], None]) -> dict[str, Any]:
    """Map, and kill a worker in the middle."""
    found = []
    async for one in parallel.map(slow, range(300), executor=executor):
        found.append(one)
        if len(found) == 60:
            kill()
    while executor.workers > 1:
        await anyio.sleep(0.01)
    return {"all": found == list(range(300)), "workers": executor.workers}


async def scenarios(address: str, kill: Callable[[], None] | None) -> dict[str, Any]:
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
        if kill is not None:
            said["bereaved"] = await bereaved(executor, kill)
    try:
        await parallel.map(abs, [1], executor=executor).collect()
    except ExecutorBroken as error:
        said["afterwards"] = str(error)
    return said


@contextmanager
def started_worker(address: str, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    options = ("--no-nanny", "--no-dashboard", "--nthreads", "1", "--local-directory", folder)
    with subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def said_by(program: Callable[[], object]) -> str:
    """Return what a program prints to stdout in this process."""
    with redirect_stdout(StringIO()) as output:
        try:
            program()
        except SystemExit as end:
            print(f"exit {end.code}")
    return output.getvalue()


def example(address: str) -> None:
    sys.argv[1:] = [address, "3000"]
    runpy.run_path("examples/cluster.py", run_name="__main__")


def main() -> None:
    from distributed import LocalCluster

    folder = sys.argv[1]
    pairs = Path(folder, "pairs.csv")
    pairs.write_text("12,18\n7,x\n6,4\n")
    with ExitStack() as stack:
        here = {
            "n_workers": 0,
            "protocol": "tcp://",
            "host": "127.0.0.1",
            "dashboard_address": None,
        }
        local: Any = stack.enter_context(LocalCluster(**here))  # type: ignore[no-untyped-call]
        address = local.scheduler_address
        first, _ = [stack.enter_context(started_worker(address, folder)) for _ in range(2)]
        local.wait_for_workers(2)
        gcd = ["gcd", "--executor", address.replace("tcp", "dask"), str(pairs)]
        said = {
            "trio": anyio.run(scenarios, address, None, backend="trio"),
            "example": said_by(lambda: example(address)),
            "gcd": said_by(lambda: command(gcd)),
            "asyncio": anyio.run(scenarios, address, first.kill),
        }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
