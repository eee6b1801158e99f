"""What a call in another process costs, step by step.

Law: every figure is measured here, the parts apart from the
whole; what the parts do not explain is shown as the rest.
"""

from __future__ import annotations

__all__ = ("echo", "once", "pays", "steps")

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from functools import partial
from math import nan
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from statistics import median
from timeit import timeit

from aconcur.lessons.ctrl_c import ctrl_c_held
from aconcur.lessons.item41_futures import (
    original,
    rebuilt,
    work,
)
from aconcur.lessons.item41_futures.pool import (
    WORKERS,
    Crew,
    ProcessPool,
)
from aconcur.lessons.item41_futures.work import Pair, gcd
from aconcur.parallel import Pool, open_pool

CHUNKS = 2 * WORKERS
LENGTHS = (
    ("10 µs", 10),
    ("100 µs", 100),
    ("1 ms", 1_000),
    ("5 ms", 5_000),
    ("15 ms", 15_000),
)
MIB = bytes(2**20)
TINY = bytes(8)

# Run in a worker. It may know the module already, as part
# of the program that it has to import when it starts.
IMPORT = f"import {work.__name__}"
FORGET = """
import sys
for name in [*sys.modules]:
    if name.startswith("aconcur"):
        del sys.modules[name]
"""

# What the executor really pickles: a number that finds the
# future again, and the call or its result.
pickled = ForkingPickler.dumps
unpickled = ForkingPickler.loads


def echo(data: bytes) -> bytes:
    """Return the data: no work at all."""
    return data


def micros(call: Callable[[], object], times: int) -> float:
    """Return the median µs of a call, after a first one."""
    call()
    return 1e6 * median(
        timeit(call, number=1) for _ in range(times)
    )


def echo_messages(
    inbox: Connection, outbox: Connection
) -> None:
    """Send back what comes, until the other side closes."""
    with suppress(EOFError):
        while True:
            outbox.send_bytes(inbox.recv_bytes())


@contextmanager
def echo_process() -> Iterator[Callable[[bytes], bytes]]:
    """Give a function that sends bytes there and back."""
    crew = Crew()
    inbox, there = crew.Pipe(duplex=False)
    back, outbox = crew.Pipe(duplex=False)
    process = crew.Process(
        target=echo_messages, args=(inbox, outbox)
    )
    with ctrl_c_held():
        process.start()
    inbox.close()
    outbox.close()

    def round_trip(message: bytes) -> bytes:
        there.send_bytes(message)
        return back.recv_bytes()

    try:
        yield round_trip
    finally:
        there.close()
        process.join()
        process.close()
        back.close()


def parts(
    data: bytes,
    round_trip: Callable[[bytes], bytes],
    times: int,
) -> dict[str, float]:
    """Measure alone what can be measured alone, in µs."""
    question = bytes(pickled((0, echo, (data,), {})))
    answer = bytes(pickled((0, echo(data))))
    return {
        "2 pickle the call": micros(
            lambda: pickled((0, echo, (data,), {})), times
        ),
        "3, 8 send it there and back": micros(
            partial(round_trip, answer), times
        ),
        "4 unpickle it": micros(
            partial(unpickled, question), times
        ),
        "6 run": micros(partial(echo, data), times),
        "7 pickle the result": micros(
            lambda: pickled((0, data)), times
        ),
        "9 unpickle it": micros(
            partial(unpickled, answer), times
        ),
    }


def imported(pool: ProcessPool) -> float:
    """Measure how long a worker takes to import."""
    job = pool.submit(timeit, IMPORT, FORGET, number=1)
    return 1e6 * job.result()


def whole(
    data: bytes, pool: ProcessPool, times: int
) -> float:
    """Measure a call as its caller sees it, in µs."""
    return micros(
        lambda: pool.submit(echo, data).result(), times
    )


async def awaited(
    data: bytes, pool: ProcessPool, times: int
) -> float:
    """Measure an awaited call, in µs."""
    run = asyncio.get_running_loop().run_in_executor
    took: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        await run(pool, echo, data)
        took.append(time.perf_counter() - start)
    return 1e6 * median(took)


async def awaited_of_aconcur(
    times: dict[bytes, int],
) -> list[float]:
    """Measure such calls of aconcur's own pool, in µs."""
    medians: list[float] = []
    async with open_pool(WORKERS) as pool:
        for data, count in times.items():
            took: list[float] = []
            for _ in range(count + 1):
                start = time.perf_counter()
                await pool.run(echo, data)
                took.append(time.perf_counter() - start)
            medians.append(1e6 * median(took[1:]))
    return medians


def steps(
    size: int, seed: int
) -> dict[str, dict[str, float]]:
    """Measure the steps of a call that goes one at a time.

    "µs a call" is with 8 bytes in and out, "µs a MiB" what
    another MiB in and another MiB out add to it. Steps 3
    and 8 are one round trip: no clock times half of it.
    Steps 1 and 10 are the rest: three threads hand over to
    each other. Step 5 happens once a worker, not in a call.
    The last line is aconcur's pool: a socket a worker, and
    no thread in between.
    """
    del seed
    times = {TINY: size, MIB: max(3, size // 20)}
    own = asyncio.run(awaited_of_aconcur(times))
    columns: list[dict[str, float]] = []
    with (
        echo_process() as round_trip,
        ProcessPool() as pool,
    ):
        wait(pool.starting)
        for data, count in times.items():
            column = parts(data, round_trip, count)
            sum_of_parts = sum(column.values())
            call = whole(data, pool, count)
            column["1, 10 hand over (rest)"] = (
                call - sum_of_parts
            )
            column["5 import, once a worker"] = (
                imported(pool) if data is TINY else nan
            )
            column["whole call"] = call
            column["whole call, awaited"] = asyncio.run(
                awaited(data, pool, count)
            )
            column["the same, aconcur's pool"] = own.pop(0)
            columns.append(column)
    tiny, big = columns
    return {
        row: {
            "µs a call": tiny[row],
            "µs a MiB": big[row] - tiny[row],
        }
        for row in tiny
    }


def once(
    size: int, seed: int
) -> dict[str, dict[str, float]]:
    """Measure what a pool costs once, in ms."""
    del seed
    rows: dict[str, list[float]] = {}

    def note(row: str, start: float) -> None:
        took = time.perf_counter() - start
        rows.setdefault(row, []).append(1e3 * took)

    for _ in range(size):
        start = time.perf_counter()
        with ProcessPool() as pool:
            note("start the workers", start)
            wait(pool.starting)
            note("until they are ready", start)
            job = pool.submit(
                timeit, IMPORT, FORGET, number=1
            )
            rows.setdefault(
                "5 import the job's module", []
            ).append(1e3 * job.result())
            start = time.perf_counter()
        note("end the workers", start)
        with ProcessPool() as pool:
            wait(pool.starting)
            start = time.perf_counter()
            pool.kill()
            note("kill the workers", start)
    return {
        row: {"ms": median(took)}
        for row, took in rows.items()
    }


def pairs_of(micros_each: int, count: int) -> list[Pair]:
    """Return pairs that take `gcd` about so long each."""
    steps_tried = 20_000
    took = micros(
        partial(gcd, (steps_tried + 1, steps_tried)), 5
    )
    low = max(1, int(micros_each / took * steps_tried))
    # Neighbours have no common divisor but 1: `low` steps.
    return [(low + 1, low)] * count


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    return timeit(call, number=1)


def pays(
    size: int, seed: int
) -> dict[str, dict[str, float]]:
    """Measure from which length on a call pays.

    Every row has `size` ms of work. The figures are serial
    time divided by parallel time, in a pool that is ready.

    Raises:
        ValueError: `size` is not a multiple of 60, so that
            the rows could not have equal work.
    """
    del seed
    inputs = {
        name: inputs_of(each, size)
        for name, each in LENGTHS
    }
    rows: dict[str, dict[str, float]] = {}
    with ProcessPool() as pool:
        wait(pool.starting)
        list(pool.map(gcd, [(1, 1)] * 8))
        for name, pairs in inputs.items():
            base = seconds(partial(original.serial, pairs))
            rows[name] = {
                column: base / seconds(way)
                for column, way in ways(pairs, pool)
            }
    own = asyncio.run(of_aconcur(inputs))
    for name, speed in own.items():
        rows[name]["aconcur"] = speed
    return rows


def inputs_of(each: int, size: int) -> list[Pair]:
    """Return calls of `each` µs, `size` ms in all.

    Raises:
        ValueError: they would not make whole chunks.
    """
    count, rest = divmod(1000 * size, each)
    if rest or count % CHUNKS:
        raise ValueError(
            f"{size} ms of calls of {each} µs make no"
            f" {CHUNKS} equal chunks: use a multiple of 60"
        )
    return pairs_of(each, count)


def ways(
    pairs: list[Pair], pool: ProcessPool
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the columns of `pays` that have an executor."""
    chunk = len(pairs) // CHUNKS
    yield (
        "one by one",
        lambda: list(pool.map(gcd, pairs)),
    )
    yield (
        "in 4 chunks",
        lambda: list(pool.map(gcd, pairs, chunksize=chunk)),
    )
    yield (
        "awaited",
        lambda: asyncio.run(rebuilt.mapped(pairs, pool)),
    )


async def of_aconcur(
    inputs: dict[str, list[Pair]],
) -> dict[str, float]:
    """Measure the same in aconcur's pool."""
    speeds: dict[str, float] = {}
    async with open_pool(WORKERS) as pool:
        await ready(pool)
        for name, pairs in inputs.items():
            base = seconds(partial(original.serial, pairs))
            start = time.perf_counter()
            await pool.map(gcd, pairs).collect()
            took = time.perf_counter() - start
            speeds[name] = base / took
    return speeds


async def ready(pool: Pool) -> None:
    """Wait until each worker has worked."""
    while pool.statistics().ready < WORKERS:
        await pool.run(int)
    await pool.map(gcd, [(1, 1)] * 8).collect()
