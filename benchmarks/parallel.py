"""The pool beside its peers: ``python -m benchmarks.parallel [CASE …] [--rounds N]``.

Every figure is a cost: the median, and the quartiles, of rounds in which all rivals run in turn;
beside it the ratios, round by round, to the first line. A ratio above 1 is dearer than aconcur.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_process

from aconcur.lessons.item41_futures.work import gcd
from aconcur.parallel import open_pool
from benchmarks.parallel_peers import WORKERS, OwnLoop, gcd_in, open_peer
from benchmarks.side_by_side import compare_costs

MIB: Final = 1 << 20
PAIRS: Final = [(random.Random(n).randrange(10**6), n + 1) for n in range(2000)] * 100
BOOK: Final = [(1_963_309 + n, 2_265_973 + n) for n in range(24)]


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _share(work: Callable[[], object], of: float) -> float:
    return _timed(work) / of


def tiny(rounds: int) -> None:
    """200 000 × math.gcd; peers with the chunk that suits them best."""
    chunks = {
        "aconcur, collect()": 0,
        "aconcur, async for": 0,
        "multiprocessing.Pool.map": 0,
        "multiprocessing.Pool.imap": 1024,
        "ProcessPoolExecutor.map": 4096,
        "loky": 4096,
        "joblib": 0,
        "mpire": 4096,
        "pebble": 4096,
        "dask": 16384,
    }
    with ExitStack() as stack:
        cases: dict[str, Callable[[], float]] = {}
        for name, chunk in chunks.items():
            if (mapped := open_peer(name, stack)) is not None:
                work = partial(mapped, gcd_in, PAIRS, chunk)
                cases[name] = partial(_share, work, len(PAIRS) / 1e6)
        few = PAIRS[:2000]
        for name in ("ProcessPoolExecutor.map", "aiomultiprocess"):
            if (mapped := open_peer(name, stack)) is not None:
                work = partial(mapped, gcd_in, few, 1)
                cases[f"{name}, its default"] = partial(_share, work, len(few) / 1e6)
        compare_costs("200 000 × math.gcd", cases, unit="µs an item", rounds=rounds)


def _sizes_of(kind: str) -> tuple[Any, Callable[[Any], Any], Any, Callable[[Any], Any]]:
    """Return an item to send with its function, and what makes one there."""
    if kind == "bytes":
        return os.urandom(8 * MIB), len, 0, _kept_bytes
    import numpy

    return numpy.ones(MIB), _first, 0, _kept_array


_KEPT: dict[str, Any] = {}


def _kept_bytes(_: int) -> bytes:
    if "bytes" not in _KEPT:
        _KEPT["bytes"] = bytes(8 * MIB)
    kept: bytes = _KEPT["bytes"]
    return kept


def _kept_array(_: int) -> Any:
    import numpy

    if "array" not in _KEPT:
        _KEPT["array"] = numpy.ones(MIB)
    return _KEPT["array"]


def _first(array: Any) -> float:
    return float(array[0])


def payloads(rounds: int) -> None:
    """8 MiB of bytes, and of numpy's floats, in and out; one item a message."""
    names = (
        "aconcur, async for",
        "ProcessPoolExecutor.map",
        "multiprocessing.Pool.imap",
        "loky",
        "joblib",
        "mpire",
        "pebble",
    )
    count = 12
    for kind in ("bytes", "numpy"):
        item, read, number, make = _sizes_of(kind)
        for way, function, items in (
            ("in", read, [item] * count),
            ("out", make, [number] * count),
        ):
            with ExitStack() as stack:
                cases: dict[str, Callable[[], float]] = {}
                for name in names:
                    if (mapped := open_peer(name, stack)) is not None:
                        mapped(function, items[:4], 1)
                        work = partial(mapped, function, items, 1)
                        cases[name] = partial(_share, work, count / 1000)
                compare_costs(f"8 MiB {kind} {way}", cases, unit="ms an item", rounds=rounds)


def one_call(rounds: int) -> None:
    """One call after the other, awaited."""
    times = 300

    async def ours(pool: Any) -> None:
        for _ in range(times):
            await pool.run(math.gcd, 12, 18)

    async def theirs() -> None:
        for _ in range(times):
            await anyio.to_process.run_sync(math.gcd, 12, 18)

    async def executors(executor: ProcessPoolExecutor | None) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(times):
            await loop.run_in_executor(executor, math.gcd, 12, 18)

    with OwnLoop() as loop, ProcessPoolExecutor(WORKERS) as executor:
        works: dict[str, Callable[[], object]] = {
            "aconcur, run()": lambda: loop.run(ours(loop.pool)),
            "anyio.to_process": lambda: loop.run(theirs()),
            "ProcessPoolExecutor": lambda: loop.run(executors(executor)),
            "a thread, for comparison": lambda: loop.run(executors(None)),
        }
        for work in works.values():
            work()
        cases = {name: partial(_share, work, times / 1e6) for name, work in works.items()}
        compare_costs("one call", cases, unit="µs", rounds=rounds)


async def _late(work: Callable[[], Any]) -> float:
    """Return how late a ticker of 1 ms is at its 99th percentile, in ms, while work goes on."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - due)

    task = asyncio.create_task(tick())
    await work()
    task.cancel()
    late.sort()
    return late[int(len(late) * 0.99)] * 1000


def ticker(rounds: int) -> None:
    """How late the loop's 1 ms ticker is while 300 000 tiny items, or payloads, are mapped."""
    data = bytes(8 * MIB)
    with (
        OwnLoop() as loop,
        ProcessPoolExecutor(WORKERS) as executor,
        multiprocessing.Pool(WORKERS) as pool,
    ):

        async def ours() -> None:
            async for _ in loop.pool.map(gcd_in, PAIRS[:150_000] * 2):
                pass

        async def large() -> None:
            async for _ in loop.pool.map(len, [data] * 150):
                pass

        def in_thread(work: Callable[[], object]) -> Callable[[], Any]:
            return lambda: asyncio.to_thread(work)

        works: dict[str, Callable[[], Any]] = {
            "idle": lambda: asyncio.sleep(0.3),
            "aconcur, 300 000 × math.gcd": ours,
            "aconcur, 150 × 8 MiB": large,
            "multiprocessing.Pool.imap/1024, in a thread": in_thread(
                lambda: list(pool.imap(gcd_in, PAIRS[:150_000] * 2, chunksize=1024))
            ),
            "ProcessPoolExecutor.map/4096, in a thread": in_thread(
                lambda: list(executor.map(gcd_in, PAIRS[:150_000] * 2, chunksize=4096))
            ),
        }
        cases = {name: partial(_ticked, loop, work) for name, work in works.items()}
        compare_costs("a 1 ms ticker's lateness, p99", cases, unit="ms", rounds=rounds)


def _ticked(loop: OwnLoop, work: Callable[[], Any]) -> float:
    lateness: float = loop.run(_late(work))
    return lateness


def spin(seconds: float) -> None:
    """Compute for so long."""
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


def uneven(rounds: int) -> None:
    """Work of uneven length: time over the ideal of two workers; peers with their best chunk."""
    draw = random.Random(41)
    cliff = [20e-6] * 6000 + [0.03] * 60
    tail = [min(draw.paretovariate(1.2) * 50e-6, 0.2) for _ in range(8000)]
    for title, items in (("cliff", cliff), ("heavy tail", tail)):
        ideal = sum(items) / WORKERS
        with ExitStack() as stack:
            cases: dict[str, Callable[[], float]] = {}
            for name, chunk in (
                ("aconcur, collect()", 0),
                ("ProcessPoolExecutor.map", 16),
                ("multiprocessing.Pool.imap", 16),
                ("joblib", 0),
                ("multiprocessing.Pool.map", 0),
            ):
                if (mapped := open_peer(name, stack)) is not None:
                    work = partial(mapped, spin, items, chunk)
                    cases[name] = partial(_share, work, ideal)
            compare_costs(f"uneven: {title}", cases, unit="× the ideal", rounds=rounds)


def _book(pair: tuple[int, int]) -> int:
    return gcd(pair)


def book(rounds: int) -> None:
    """The book's gcd on two workers, against one process."""
    with ExitStack() as stack:
        cases: dict[str, Callable[[], float]] = {}
        for name in ("aconcur, collect()", "ProcessPoolExecutor.map"):
            if (mapped := open_peer(name, stack)) is not None:
                cases[name] = partial(_timed, partial(mapped, _book, BOOK, 1))
        cases["in this process"] = lambda: _timed(lambda: list(map(_book, BOOK)))
        compare_costs("the book's gcd", cases, unit="s", rounds=rounds)


def cold(rounds: int) -> None:
    """From nothing to the first result."""

    async def ours(start: Any) -> None:
        async with open_pool(WORKERS, start=start) as pool:
            await pool.run(math.gcd, 12, 18)
            ends.append(time.perf_counter())

    def pools(method: str) -> None:
        with multiprocessing.get_context(method).Pool(WORKERS) as pool:
            pool.apply(math.gcd, (12, 18))
            ends.append(time.perf_counter())

    async def theirs() -> None:
        await anyio.to_process.run_sync(math.gcd, 12, 18)
        ends.append(time.perf_counter())

    def joblibs() -> None:
        with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as executor:
            executor.submit(math.gcd, 12, 18).result()
            ends.append(time.perf_counter())

    ends: list[float] = []
    works: dict[str, Callable[[], object]] = {
        "aconcur, exec": lambda: asyncio.run(ours("exec")),
        "aconcur, forkserver": lambda: asyncio.run(ours("forkserver")),
        "aconcur, fork": lambda: asyncio.run(ours("fork")),
        "multiprocessing.Pool, spawn": lambda: pools("spawn"),
        "multiprocessing.Pool, fork": lambda: pools("fork"),
        "ProcessPoolExecutor, spawn": joblibs,
        "anyio.to_process": lambda: asyncio.run(theirs()),
    }

    def first(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return (ends.pop() - began) * 1000

    cases = {name: partial(first, work) for name, work in works.items()}
    compare_costs("cold start", cases, unit="ms", rounds=rounds)


def memory(_: int) -> None:
    """Peak memory of 100 × 8 MiB sent to a consumer that is slow, beyond the buffer's."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.parallel", "--peak"],
        check=True,
        text=True,
        capture_output=True,
    )
    print(f"\nmemory: {done.stdout.strip()}")


async def _peak() -> None:
    buffer, size = 4, 8 * MIB

    def source() -> Iterator[bytes]:
        for _ in range(100):
            yield os.urandom(size)

    async with open_pool(WORKERS) as pool:
        await pool.map(len, [b"0"] * 100).collect()
        before = _resident()
        async for _ in pool.map(len, source(), buffer=buffer):
            await anyio.sleep(0.01)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    beyond = (peak - before) / MIB
    held = buffer * size / MIB
    print(f"{beyond:.1f} MiB at the peak, of which the buffer of {buffer} items is {held:.0f}")


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


CASES: Final = {
    case.__name__: case for case in (tiny, payloads, one_call, ticker, uneven, book, cold, memory)
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.peak:
        asyncio.run(_peak())
        return
    # Peers fork by default, which may hang in a process that runs the others' threads.
    multiprocessing.set_start_method("forkserver")
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, {WORKERS} workers")
    for name in chosen.cases or CASES:
        CASES[name](chosen.rounds)


if __name__ == "__main__":
    main()
