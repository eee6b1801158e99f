"""Greatest common divisors in worker processes, awaited.

Laws: the loop neither computes nor waits for a worker; only
a pool's window of calls is under way, however many pairs
there are; leaving early, for whatever reason, kills the
workers.
"""

from __future__ import annotations

__all__ = (
    "as_completed",
    "collected",
    "in_order",
    "main",
    "mapped",
    "open_pool",
    "survive",
    "within",
)

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
)
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import (
    aclosing,
    asynccontextmanager,
    suppress,
)
from itertools import chain, islice
from multiprocessing import active_children
from typing import TypeVar

from aconcur.lessons.alone import alone
from aconcur.lessons.item41_futures.pool import (
    WORKERS,
    ProcessPool,
)
from aconcur.lessons.item41_futures.work import (
    DEADLY,
    LONG,
    Pair,
    Pairs,
    fragile,
    gcd,
    make_pairs,
)

T = TypeVar("T")
R = TypeVar("R")


@asynccontextmanager
async def open_pool(
    workers: int = WORKERS,
) -> AsyncIterator[ProcessPool]:
    """Hold a pool whose workers are ready.

    **Cancelled**, or left by an error: the workers are dead
    when the block has ended, whatever they ran. That stops
    the loop for about 2 ms, and so do about 5 ms of start.
    """
    pool = ProcessPool(workers)
    try:
        starting = map(asyncio.wrap_future, pool.starting)
        await asyncio.gather(*starting)
        yield pool
        await asyncio.to_thread(pool.shutdown)
    except BaseException:
        # To cancel a running call's future is no more than
        # to look away: the worker computes on.
        pool.kill()
        raise


async def lane(
    pool: Executor,
    jobs: Iterator[tuple[int, Pair]],
    answers: dict[int, int],
) -> None:
    """Carry pairs to the pool in turn."""
    loop = asyncio.get_running_loop()
    run = loop.run_in_executor
    for number, pair in jobs:
        call = run(pool, gcd, pair)
        answers[number] = await call


async def mapped(
    pairs: Pairs,
    pool: ProcessPool,
) -> list[int]:
    """Compute in a pool that is there.

    **Cancelled**: calls that run go on in
    the pool; their answers are lost.

    Raises:
        ExceptionGroup: of the errors of calls.
    """
    answers: dict[int, int] = {}
    jobs = enumerate(pairs)
    async with asyncio.TaskGroup() as lanes:
        for _ in range(pool.window):
            job = lane(pool, jobs, answers)
            lanes.create_task(job)
    numbers = range(len(answers))
    return [answers[n] for n in numbers]


async def in_order(
    pairs: Pairs,
) -> list[int]:
    """Compute in worker processes.

    **Cancelled**: nothing is left running.

    Raises:
        ExceptionGroup: of the errors of calls.
    """
    async with open_pool() as pool:
        return await mapped(pairs, pool)


async def as_completed(
    pool: ProcessPool,
    fn: Callable[[T], R],
    items: Iterable[T],
) -> AsyncGenerator[tuple[int, R], None]:
    """Yield (number, answer), soonest first.

    **Cancelled**, or closed: calls that run go on in the
    pool; their answers are lost.
    """
    run = asyncio.get_running_loop().run_in_executor
    jobs = enumerate(items)
    calls: dict[asyncio.Future[R], int] = {}
    try:
        while True:
            room = pool.window - len(calls)
            for number, item in islice(jobs, room):
                calls[run(pool, fn, item)] = number
            if not calls:
                return
            done, _ = await asyncio.wait(
                calls,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for call in done:
                yield calls.pop(call), call.result()
    finally:
        # Also those that have failed, or asyncio logs it.
        for call in calls:
            call.cancel()


async def collected(
    pairs: Pairs, pool: ProcessPool
) -> list[int]:
    """Collect the answers as they come, then in order.

    **Cancelled**: calls that run go on in the pool; their
    answers are lost.
    """
    soonest = as_completed(pool, gcd, pairs)
    async with aclosing(soonest):
        answers = {n: answer async for n, answer in soonest}
    return [answers[n] for n in range(len(answers))]


async def within(
    seconds: float, fn: Callable[[T], R], item: T
) -> R:
    """Return `fn(item)` from a worker of its own.

    The time runs from when the worker is ready.

    **Cancelled**: the worker is dead.

    Raises:
        TimeoutError: it took longer; the worker is dead.
    """
    run = asyncio.get_running_loop().run_in_executor
    async with (
        open_pool(1) as pool,
        asyncio.timeout(seconds),
    ):
        return await run(pool, fn, item)


async def brave_lane(
    pool: Executor,
    fn: Callable[[T], R],
    jobs: Iterator[tuple[int, T]],
    answers: dict[int, R],
    flying: dict[int, T],
) -> None:
    """Carry items to the pool until all is done or it dies.

    Items in flight then stay in `flying`.
    """
    run = asyncio.get_running_loop().run_in_executor
    with suppress(BrokenProcessPool):
        for number, item in jobs:
            flying[number] = item
            answers[number] = await run(pool, fn, item)
            del flying[number]


async def fly(
    fn: Callable[[T], R],
    jobs: Iterator[tuple[int, T]],
    answers: dict[int, R],
    workers: int,
) -> dict[int, T]:
    """Use one pool as long as it lives; return what fell.

    **Cancelled**: nothing is left running.
    """
    flying: dict[int, T] = {}
    async with (
        open_pool(workers) as pool,
        asyncio.TaskGroup() as lanes,
    ):
        for _ in range(pool.window):
            lanes.create_task(
                brave_lane(pool, fn, jobs, answers, flying)
            )
    return flying


async def survive(
    fn: Callable[[T], R], items: Iterable[T]
) -> tuple[dict[int, R], dict[int, T]]:
    """Return answers and deadly items, by their numbers.

    A worker that dies takes the pool along: every call in
    flight fails, and the cause is unknown. So
    each of these runs again, alone in a pool of its own,
    and is deadly if that one dies too. Mind that innocent
    items may so run twice.

    **Cancelled**: nothing is left running.

    Raises:
        ExceptionGroup: of the errors of the calls.
    """
    jobs = enumerate(items)
    answers: dict[int, R] = {}
    deadly: dict[int, T] = {}
    # A pool of no more workers than there are jobs. Each of
    # its lanes takes one at once, so `first` never outlives
    # the pool.
    while first := list(islice(jobs, WORKERS)):
        left = chain(first, jobs)
        suspects = await fly(fn, left, answers, len(first))
        for one in sorted(suspects.items()):
            job = iter([one])
            deadly |= await fly(fn, job, answers, 1)
    return answers, deadly


async def tick(late: list[float]) -> None:
    """Note how late the loop wakes a task, in seconds."""
    while True:
        due = time.perf_counter() + 0.01
        await asyncio.sleep(0.01)
        late.append(time.perf_counter() - due)


async def show_in_order(pairs: Pairs) -> None:
    """Print the time, and what the loop did meanwhile."""
    late: list[float] = []
    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        ticks = tasks.create_task(tick(late))
        await in_order(pairs)
        ticks.cancel()
    took = time.perf_counter() - start
    print(f"in order      {took:6.2f} s", flush=True)
    print(
        f"meanwhile     the loop woke {len(late)} times,"
        f" at most {max(late, default=0):.3f} s late",
        flush=True,
    )


async def show_as_completed(pairs: Pairs) -> None:
    """Print the time, and the order of the answers."""
    came: list[int] = []
    start = time.perf_counter()
    async with (
        open_pool() as pool,
        aclosing(as_completed(pool, gcd, pairs)) as soonest,
    ):
        async for number, _ in soonest:
            came.append(number)
    took = time.perf_counter() - start
    first = " ".join(map(str, came[:10]))
    print(
        f"as completed  {took:6.2f} s, numbers {first} …",
        flush=True,
    )


async def show_timeout(seconds: float) -> None:
    """Print what a timeout leaves of a running call."""
    try:
        await within(seconds, gcd, LONG)
    except TimeoutError:
        left = len(active_children())
        print(
            f"timeout       {LONG} given up after"
            f" {seconds} s, {left} workers left",
            flush=True,
        )


async def show_death(pairs: list[Pair]) -> None:
    """Print what a dead worker costs."""
    items = [*pairs, DEADLY, *pairs]
    answers, deadly = await survive(fragile, items)
    print(
        f"dead worker   {len(answers)} of {len(items)}"
        f" answers, deadly: {list(deadly.values())}",
        flush=True,
    )


async def main(size: int) -> None:
    """Show the orders, a timeout and a dead worker."""
    print(
        f"gcd of {size} pairs by brute force,"
        f" {WORKERS} workers",
        flush=True,
    )
    pairs = make_pairs(size, seed=41)
    await show_in_order(pairs)
    await show_as_completed(pairs)
    await show_timeout(0.2)
    await show_death(pairs[:4])


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=60, unit="pairs"
    ) as size:
        asyncio.run(main(size))
