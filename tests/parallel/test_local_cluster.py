"""A cluster on this machine, and one without workers, in a program of its own.

A program of each loop: most seconds here are imports of distributed in processes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from aconcur.parallel import cluster
from tests.support.programs import run_program

pytestmark = pytest.mark.timeout(300)

PROGRAM = """
import enum, gc, logging, sys, time
from dataclasses import dataclass
from functools import partial
import anyio
from aconcur import parallel
from aconcur.parallel import cluster

class Colour(enum.Enum):
    RED = 1

@dataclass
class Square:
    side: int

def area(shape):
    return shape.side ** 2 if isinstance(shape, Square) else "a stranger"

def is_red(colour):
    return colour is Colour.RED

class Model:
    pass

def wait_with(model, seconds):
    time.sleep(seconds)
    return isinstance(model.get(), Model)

def models(_):
    gc.collect()
    return sum(type(one).__name__ == "Model" for one in gc.get_objects())

async def main():
    async with cluster(workers=1) as executor:
        over = lambda fn, item: parallel.map(fn, [item], executor=executor).collect()
        squares = await over(Square, 3)
        print(executor.workers, await over(area, Square(3)), await over(is_red, Colour.RED),
              squares, type(squares[0]) is Square)
        model = await executor.share(Model())
        calls = [executor.submit(wait_with, model, 0.3), executor.submit(wait_with, model, 0)]
        mapped = parallel.map(partial(wait_with, model), [0], executor=executor)
        print(await mapped.collect())
        del model, mapped
        gc.collect()
        print([await anyio.to_thread.run_sync(call.result) for call in calls])
        # Not by maps: a worker keeps the functions of the last ones.
        left = lambda: executor.submit(models, 0).result()
        with anyio.fail_after(20):
            while await anyio.to_thread.run_sync(left):
                await anyio.sleep(0.05)
        print("freed")

async def without_workers():
    from distributed import Scheduler
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        async with cluster(scheduler.address) as executor:
            print(executor.workers)

if __name__ == "__main__":
    anyio.run(main, backend="trio")
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stdout)
    anyio.run(without_workers)
"""


def test_a_local_cluster_shares_main_and_one_without_workers_says_so(tmp_path: Path) -> None:
    done = run_program(tmp_path, PROGRAM)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("distributed")]
    assert lines[0] == "1 [9] [True] [Square(side=3)] True", done.stderr
    assert lines.pop(1) == "[True]"
    assert lines.pop(1) == "[True, True]"
    assert lines.pop(1) == "freed"
    assert lines[1].startswith("aconcur.parallel: the scheduler at tcp://127.0.0.1:")
    assert lines[1].endswith(
        "start one with 'dask worker " + lines[1].split("at ")[1].split()[0] + "'"
    )
    assert lines[2:] == ["0"]


@pytest.mark.parametrize("stdin", [True, False], ids=["piped in", "without a guard"])
def test_a_program_that_workers_cannot_run_is_told_so_at_once(tmp_path: Path, stdin: bool) -> None:
    text = (
        "import anyio\nfrom aconcur.parallel import cluster\nasync def main():\n"
        "    async with cluster(workers=1): pass\nprint('run')\nanyio.run(main)\n"
    )
    done = run_program(tmp_path, text, stdin=stdin)
    assert (done.returncode, done.stdout) == (1, "run\n")
    assert done.stderr.splitlines()[-1].startswith("aconcur.parallel._errors.WorkerStartError: ")
    assert "cluster() without an address cannot work" in done.stderr


async def test_a_number_of_workers_is_for_a_local_cluster_only() -> None:
    with pytest.raises(TypeError, match=r"workers=2 is for a local cluster: tcp://127\.0\.0\.1:1"):
        async with cluster("tcp://127.0.0.1:1", workers=2):
            pass


CHANGING = """
import os, signal, sys, time
from dataclasses import dataclass
from functools import partial
import anyio
from aconcur import parallel
from aconcur.parallel import cluster

@dataclass
class Model:
    weight: int

def score(model, number):
    known = model.get()
    return isinstance(known, Model) and known.weight * number, id(known), os.getpid()

def slow(number):
    time.sleep(0.01)
    return number, os.getpid()

async def main():
    from distributed import LocalCluster
    start = partial(
        LocalCluster, n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    )
    local = await anyio.to_thread.run_sync(start)
    try:
        async with cluster(local.scheduler_address) as executor:
            model = await executor.share(Model(7))
            over = partial(parallel.map, partial(score, model), executor=executor, chunk=1)
            found = await over(range(5)).collect()
            print([result for result, _, _ in found], len({place for _, place, _ in found}))
            numbers, workers = [], []
            async for number, worker in parallel.map(slow, until_two(workers), executor=executor):
                numbers.append(number)
                if worker not in workers:
                    workers.append(worker)
                    if len(workers) == 1:
                        await anyio.to_thread.run_sync(local.scale, 2)
                    elif len(workers) == 2:
                        os.kill(workers[0], signal.SIGKILL)
            print(numbers == list(range(len(numbers))), len(workers) > 1)
            found = await over(range(40)).collect()
            print([result for result, _, _ in found] == [7 * n for n in range(40)])
    finally:
        await anyio.to_thread.run_sync(local.close)

def until_two(workers):
    began, number, after = time.monotonic(), 0, 0
    while after < 60 and time.monotonic() - began < 60:
        yield number
        number += 1
        after += len(workers) > 1

if __name__ == "__main__":
    anyio.run(main)
"""


def test_workers_that_come_and_go_lose_no_item_and_have_the_shared_values(tmp_path: Path) -> None:
    done = run_program(tmp_path, CHANGING)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("distributed")]
    assert lines == ["[0, 7, 14, 21, 28] 1", "True True", "True"], done.stderr
