"""Tables of benchmarks.parallel of the event loop: a call, a start, lateness, memory."""

from __future__ import annotations

__all__ = ("ON_THE_LOOP",)

import math
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import parallel_work as work
from benchmarks.parallel_peers import CALLERS, MAPPERS, OPTIONS, WORKERS, loop_of, open_own
from benchmarks.parallel_table import Goal, Prepared, Table
from benchmarks.parallel_work import MIB
from benchmarks.rival_process import Rival

# -------------------------------------------------------------------- one call

_CALLS: Final = 300
# Those that take milliseconds a call make fewer.
_SLOW: Final = {"aiomultiprocess", "dask", "joblib", "loky", "mpire", "pebble"}


@contextmanager
def _calls(name: str, times: int) -> Iterator[Callable[[], float]]:
    with CALLERS[name]() as call:

        def run() -> float:
            began = time.perf_counter()
            call(times, math.gcd, (12, 18))
            return (time.perf_counter() - began) / times * 1e6

        yield run


def _one_call() -> Table:
    return Table(
        "one call after the other",
        "µs a call",
        {name: partial(_calls, name, 20 if name in _SLOW else _CALLS) for name in CALLERS},
        (
            Goal("at least 1.5 × anyio.to_process", "anyio.to_process", 1.5),
            Goal("the same on trio", "anyio.to_process, trio", 1.5, own="aconcur, run(), trio"),
            Goal("at least 3 × ProcessPoolExecutor", "ProcessPoolExecutor", 3),
        ),
    )


# ---------------------------------------------------------------------- ticker


async def _late(working: Callable[[], Any]) -> float:
    """Return how late a ticker of 1 ms is at its 99th percentile, in ms, while work goes on."""
    import anyio

    late: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + 0.001
            await anyio.sleep(0.001)
            late.append(time.perf_counter() - due)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await working()
        tasks.cancel_scope.cancel()
    late.sort()
    return late[int(len(late) * 0.99)] * 1000


@contextmanager
def _ticked(
    loop: str, function: Callable[[Any], Any], items: Prepared, times: int
) -> Iterator[Callable[[], float]]:
    with open_own(loop) as (portal, pool):
        given = list(items()) * times

        async def working() -> None:
            async for _ in pool.map(function, given):
                pass

        yield lambda: float(portal.call(_late, working))


@contextmanager
def _ticked_beside(name: str, chunk: int) -> Iterator[Callable[[], float]]:
    """Let a peer that blocks map in a thread of the loop."""
    import anyio.to_thread

    with MAPPERS[name]() as mapped:
        given = _tiny_300k()
        mapped(work.gcd_in, given[:10000], chunk)

        async def working() -> None:
            await anyio.to_thread.run_sync(mapped, work.gcd_in, given, chunk)

        with loop_of("asyncio") as portal:
            yield lambda: float(portal.call(_late, working))


@contextmanager
def _idle(loop: str) -> Iterator[Callable[[], float]]:
    import anyio

    with loop_of(loop) as portal:
        yield lambda: float(portal.call(_late, partial(anyio.sleep, 0.5)))


_tiny_300k: Final = partial(work.pairs, 300_000)


def _ticker() -> Table:
    def ours(loop: str) -> dict[str, Rival]:
        return {
            f"aconcur, 300 000 × math.gcd, {loop}": partial(
                _ticked, loop, work.gcd_in, _tiny_300k, 1
            ),
            f"aconcur, 180 × 8 MiB, {loop}": partial(_ticked, loop, len, work.large_bytes, 15),
        }

    peers = {"multiprocessing.Pool.imap": 1024, "ProcessPoolExecutor.map": 4096, "loky": 4096}
    return Table(
        "how late a 1 ms ticker is at its 99th percentile",
        "ms",
        {
            "idle, asyncio": partial(_idle, "asyncio"),
            "idle, trio": partial(_idle, "trio"),
            **ours("asyncio"),
            **ours("uvloop"),
            **ours("trio"),
            **{
                f"{name}/{chunk}, in a thread": partial(_ticked_beside, name, chunk)
                for name, chunk in peers.items()
            },
        },
        tuple(
            Goal(
                f"at most {most} ms later than idle",
                most=most,
                less="idle, trio" if loop == "trio" else "idle, asyncio",
                own=f"aconcur, {what}, {loop}",
            )
            for loop in ("asyncio", "uvloop", "trio")
            for what, most in (("300 000 × math.gcd", 2.5), ("180 × 8 MiB", 0.3))
        ),
    )


# ------------------------------------------------------------------ cold start


@contextmanager
def _cold_own(start: str) -> Iterator[Callable[[], float]]:
    import anyio

    from aconcur.parallel import open_pool

    async def once() -> float:
        began = time.perf_counter()
        async with open_pool(WORKERS, start=start) as pool:  # type: ignore[arg-type]
            await pool.run(math.gcd, 12, 18)
            return (time.perf_counter() - began) * 1000

    yield lambda: anyio.run(once)


@contextmanager
def _cold_mp(method: str) -> Iterator[Callable[[], float]]:
    import multiprocessing

    def once() -> float:
        began = time.perf_counter()
        with multiprocessing.get_context(method).Pool(WORKERS) as pool:
            pool.apply(math.gcd, (12, 18))
            return (time.perf_counter() - began) * 1000

    yield once


@contextmanager
def _cold_executor(kind: str) -> Iterator[Callable[[], float]]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    def once() -> float:
        began = time.perf_counter()
        if kind == "loky":
            import loky

            executor: Any = loky.ProcessPoolExecutor(WORKERS)
        else:
            executor = ProcessPoolExecutor(WORKERS, multiprocessing.get_context(kind))
        with executor:
            executor.submit(math.gcd, 12, 18).result()
            return (time.perf_counter() - began) * 1000

    yield once


@contextmanager
def _cold_awaited(module: str) -> Iterator[Callable[[], float]]:
    from importlib import import_module

    import anyio

    run: Any = import_module(module)

    async def once() -> float:
        began = time.perf_counter()
        if module == "trio_parallel":
            async with run.open_worker_context() as context:
                await context.run_sync(math.gcd, 12, 18)
                return (time.perf_counter() - began) * 1000
        await run.run_sync(math.gcd, 12, 18)
        return (time.perf_counter() - began) * 1000

    backend = "trio" if module == "trio_parallel" else "asyncio"
    yield lambda: anyio.run(once, backend=backend)


def _cold() -> Table:
    return Table(
        f"cold start: from nothing to the first result of {WORKERS} workers",
        "ms",
        {
            "aconcur, exec": partial(_cold_own, "exec"),
            "aconcur, forkserver": partial(_cold_own, "forkserver"),
            "aconcur, spawn": partial(_cold_own, "spawn"),
            "aconcur, fork": partial(_cold_own, "fork"),
            "anyio.to_process": partial(_cold_awaited, "anyio.to_process"),
            "trio-parallel": partial(_cold_awaited, "trio_parallel"),
            "multiprocessing.Pool, spawn": partial(_cold_mp, "spawn"),
            "multiprocessing.Pool, fork": partial(_cold_mp, "fork"),
            "ProcessPoolExecutor, spawn": partial(_cold_executor, "spawn"),
            "loky": partial(_cold_executor, "loky"),
        },
        (Goal("at most 100 ms", most=100),),
    )


# ---------------------------------------------------------------------- memory

_BUFFER: Final = 4
_LARGE: Final = 8 * MIB


@contextmanager
def _memory(loop: str) -> Iterator[Callable[[], float]]:
    # In the main thread, as a program's loop: through a portal 8 MiB more were seen at the peak.
    import anyio

    from aconcur.parallel import open_pool

    backend, options = OPTIONS[loop]
    before = 0

    def source() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * _LARGE

    async def consume() -> None:
        nonlocal before
        async with open_pool(WORKERS) as pool:
            await pool.map(len, [b"x"] * 100).collect()
            # Once, before all: what a round leaves to the allocator is not to be taken off.
            before = before or _resident()
            _forget_peak()
            async for _ in pool.map(len, source(), buffer=_BUFFER):
                await anyio.sleep(0.01)

    def run() -> float:
        anyio.run(consume, backend=backend, backend_options=options)
        status = Path("/proc/self/status").read_text()
        (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return (int(peak) * 1024 - before) / MIB

    yield run


def _forget_peak() -> None:
    # proc(5): 5 resets it.
    Path("/proc/self/clear_refs").write_text("5")


def _resident() -> int:
    return resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[1])


def _peak() -> Table:
    held = _BUFFER * _LARGE / MIB
    return Table(
        f"memory at the peak, 100 × 8 MiB, slow consumer, buffer={_BUFFER} ({held:.0f} MiB)",
        "MiB",
        {f"aconcur, {loop}": partial(_memory, loop) for loop in ("asyncio", "uvloop", "trio")},
        (Goal("at most the buffer + 10 %", most=held * 1.1),),
    )


ON_THE_LOOP: Final[dict[str, Table]] = {
    "one call": _one_call(),
    "ticker": _ticker(),
    "cold": _cold(),
    "memory": _peak(),
}
