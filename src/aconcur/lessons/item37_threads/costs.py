"""What a thread costs: its start, its memory, its manners.

Figures of memory are the kernel's own (/proc/self), not
estimates. Resident is memory in use; reserved is address
space, which takes no memory until it is touched.
"""

from __future__ import annotations

__all__ = ("lateness", "units")

import asyncio
import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
)
from math import nan
from multiprocessing import Pipe, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread
from types import coroutine
from typing import TypeAlias

from aconcur.lessons.item37_threads.child import child
from aconcur.lessons.item37_threads.work import factorize

Row: TypeAlias = dict[str, float]
Block: TypeAlias = AbstractContextManager[None]

# Memory grows by pages of 4 KiB: only many units together
# show what a light one takes.
LIGHT = 10

# mallopt(3)
M_ARENA_MAX = -8

# The loop's naps, in seconds.
NAP = 0.001

# About 1 ms of Python code.
BUSY = 10_000


def units(
    size: int,
    seed: int,  # noqa: ARG001 - nothing here is random
) -> dict[str, Row]:
    """Start idle units; return what one of each costs.

    Light ones are started ten times as many. All stay alive
    to the end: no row reuses the memory of an earlier one.

    Returns:
        A row a kind. Memory is nan where /proc is missing.
    """
    many = size * LIGHT
    use_one_arena()
    with ExitStack() as alive:
        return {
            "generator": _cost(alive, generators, many),
            "coroutine": _cost(alive, coroutines, many),
            "asyncio task": _cost(alive, tasks, many),
            "thread": _cost(alive, threads, size),
        }


def _cost(
    alive: ExitStack,
    start: Callable[[int], Block],
    count: int,
) -> Row:
    gc.collect()
    resident, reserved = memory()
    began = time.perf_counter()
    alive.enter_context(start(count))
    took = time.perf_counter() - began
    more_resident, more_reserved = memory()
    return {
        "start µs": took / count * 1e6,
        "resident KiB": (more_resident - resident) / count,
        "reserved KiB": (more_reserved - reserved) / count,
    }


def use_one_arena() -> None:
    """Let all threads share the main arena of malloc.

    glibc reserves 64 MiB of address space for each of up to
    eight arenas a core. That is not the thread's own cost,
    and a thread's share of it depends on how many there
    are.
    """
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def memory() -> tuple[float, float]:
    """Return (resident, reserved) KiB of this process."""
    # VmRSS in status lags behind; the rollup counts pages.
    try:
        return (
            _kib("/proc/self/smaps_rollup", "Rss:"),
            _kib("/proc/self/status", "VmSize:"),
        )
    except OSError:
        return nan, nan


def _kib(file: str, field: str) -> float:
    for line in Path(file).read_text().splitlines():
        if line.startswith(field):
            return float(line.split()[1])
    return nan


@contextmanager
def generators(count: int) -> Iterator[None]:
    """Hold generators, each stopped at its first yield."""

    def idle() -> Generator[None, None, None]:
        yield

    held = [idle() for _ in range(count)]
    for one in held:
        next(one)
    yield


@contextmanager
def coroutines(count: int) -> Iterator[None]:
    """Hold coroutines, each stopped at its first await."""

    @coroutine
    def pause() -> Generator[None, None, None]:
        yield

    async def idle() -> None:
        await pause()

    held = [idle() for _ in range(count)]
    for one in held:
        one.send(None)
    yield
    for one in held:
        one.close()


@contextmanager
def tasks(count: int) -> Iterator[None]:
    """Hold asyncio tasks, each waiting for a future."""

    async def idle() -> None:
        await asyncio.get_running_loop().create_future()

    async def start() -> list[asyncio.Task[None]]:
        held = [
            asyncio.create_task(idle())
            for _ in range(count)
        ]
        await asyncio.sleep(0)
        return held

    # The loop holds its tasks by weak references only.
    with asyncio.Runner() as runner:
        held = runner.run(start())
        yield
        del held


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Hold threads, each waiting for one event.

    Raises:
        RuntimeError: the system gives no more threads.
    """
    end = Event()
    held: list[Thread] = []
    try:
        for _ in range(count):
            thread = Thread(target=end.wait)
            thread.start()
            held.append(thread)
        yield
    finally:
        end.set()
        for thread in held:
            thread.join()


def lateness(
    size: int,
    seed: int,  # noqa: ARG001 - nothing here is random
) -> dict[str, Row]:
    """Nap for 1 ms, again and again; return how late it is.

    Args:
        size: how long to nap under each load, in ms.
        seed: not used.

    Returns:
        A row a load.
    """
    loads: dict[str, Block] = {
        "nothing else": nullcontext(),
        "one busy thread": busy_threads(1),
        "four busy threads": busy_threads(4),
        "two busy processes": busy_processes(2),
    }
    return {
        name: _late(size, load)
        for name, load in loads.items()
    }


def _late(size: int, load: Block) -> Row:
    with load:
        late = asyncio.run(naps(size / 1000))
    # Too few naps for a 99th percentile to mean anything.
    return {
        "median ms": statistics.median(late),
        "worst ms": max(late),
    }


async def naps(seconds: float) -> list[float]:
    """Nap until the time is over, two times at least.

    Returns:
        By how many ms each nap was too long.
    """
    late: list[float] = []
    end = time.perf_counter() + seconds
    while len(late) < 2 or time.perf_counter() < end:
        began = time.perf_counter()
        await asyncio.sleep(NAP)
        slept = time.perf_counter() - began
        late.append((slept - NAP) * 1000)
    return late


@contextmanager
def busy_threads(count: int) -> Iterator[None]:
    """Compute on threads of our own during the block."""
    end = Event()

    def compute() -> None:
        while not end.is_set():
            factorize(BUSY)

    with ExitStack() as joined:
        for _ in range(count):
            thread = Thread(target=compute)
            thread.start()
            joined.callback(thread.join)
        joined.callback(end.set)
        yield


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Compute in child processes during the block."""
    with ExitStack() as held:
        begun = []
        for _ in range(count):
            here, there = Pipe(duplex=False)
            begun.append(held.enter_context(here))
            held.enter_context(there)
            held.enter_context(child(_compute, there))
        for here in begun:
            here.recv()
        yield


def _compute(begun: Connection[None, None]) -> None:
    begun.send(None)
    parent = parent_process()
    while parent and parent.is_alive():
        factorize(BUSY)
