"""Greatest common divisors on `aconcur.parallel`.

What `rebuilt.py` does by hand is asked for here: a pool
whose calls can be stopped, a window, a worker's successor.
On asyncio and trio alike.
"""

from __future__ import annotations

__all__ = (
    "as_completed",
    "collected",
    "in_order",
    "main",
    "mapped",
    "survive",
    "within",
)

import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
)
from concurrent.futures import Executor
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TypeVar

import anyio

from aconcur import parallel
from aconcur.lessons.alone import alone
from aconcur.lessons.item41_futures.pool import WORKERS
from aconcur.lessons.item41_futures.work import (
    DEADLY,
    LONG,
    Pair,
    Pairs,
    fragile,
    gcd,
    make_pairs,
)
from aconcur.parallel import (
    COLLECT,
    TaskTimeout,
    WorkerDied,
    open_pool,
)

T = TypeVar("T")
R = TypeVar("R")


async def in_order(
    pairs: Pairs,
) -> list[int]:
    """Compute in worker processes.

    **Cancelled**: nothing is left running.
    """
    async with open_pool(WORKERS) as pool:
        return await pool.map(gcd, pairs).collect()


async def mapped(
    pairs: Pairs,
    pool: Executor,
) -> list[int]:
    """Compute in an executor that is there.

    **Cancelled**: calls that run go on in the executor;
    their answers are lost.
    """
    answers = parallel.map(gcd, pairs, executor=pool)
    return await answers.collect()


def numbered(
    fn: Callable[[T], R], job: tuple[int, T]
) -> tuple[int, R]:
    """Call; return the item's number with the answer."""
    number, item = job
    return number, fn(item)


async def as_completed(
    pool: Executor,
    fn: Callable[[T], R],
    items: Iterable[T],
) -> AsyncGenerator[tuple[int, R], None]:
    """Yield (number, answer), soonest first.

    **Cancelled**, or closed: calls that run go on in the
    pool; their answers are lost.
    """
    async for answer in parallel.map(
        partial(numbered, fn),
        enumerate(items),
        executor=pool,
        ordered=False,
        chunk=1,
    ):
        yield answer


async def collected(
    pairs: Pairs, pool: Executor
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

    The time runs from when the call begins.

    **Cancelled**: the worker is dead.

    Raises:
        TaskTimeout: it took longer; the worker is dead.
    """
    async with open_pool(1) as pool:
        return await pool.run(fn, item, timeout=seconds)


async def survive(
    fn: Callable[[T], R], items: Iterable[T]
) -> tuple[dict[int, R], dict[int, T]]:
    """Return answers and deadly items, by their numbers.

    A worker that dies costs its item and is replaced.

    **Cancelled**: nothing is left running.

    Raises:
        Exception: what a call raised.
    """
    async with open_pool(WORKERS) as pool:
        answers = pool.map(
            partial(numbered, fn),
            enumerate(items),
            on_error=COLLECT,
        )
        found = dict(await answers.collect())
    for failure in answers.failures:
        if not isinstance(failure.error, WorkerDied):
            raise failure.error
    deadly = (failure.item for failure in answers.failures)
    return found, dict(deadly)


async def tick(late: list[float]) -> None:
    """Note how late the loop wakes a task, in seconds."""
    while True:
        due = time.perf_counter() + 0.01
        await anyio.sleep(0.01)
        late.append(time.perf_counter() - due)


@asynccontextmanager
async def timed(what: str) -> AsyncIterator[None]:
    """Print the time, and what the loop did meanwhile."""
    late: list[float] = []
    start = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick, late)
        yield
        tasks.cancel_scope.cancel()
    took = time.perf_counter() - start
    print(
        f"{what:12} {took:6.2f} s, the loop at most"
        f" {max(late, default=0):.3f} s late",
        flush=True,
    )


async def show_timeout(seconds: float) -> None:
    """Print what becomes of a call that takes too long."""
    try:
        await within(seconds, gcd, LONG)
    except TaskTimeout as error:
        print(f"timeout      {error}", flush=True)


async def show_death(pairs: list[Pair]) -> None:
    """Print what a dead worker costs."""
    items = [*pairs, DEADLY, *pairs]
    answers, deadly = await survive(fragile, items)
    print(
        f"dead worker  {len(answers)} of {len(items)}"
        f" answers, deadly: {list(deadly.values())}",
        flush=True,
    )


async def main(size: int) -> None:
    """Show a map, a timeout and a dead worker."""
    print(
        f"gcd of {size} pairs by brute force,"
        f" {WORKERS} workers",
        flush=True,
    )
    pairs = make_pairs(size, seed=41)
    async with timed("in order"):
        await in_order(pairs)
    await show_timeout(0.2)
    await show_death(pairs[:4])


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=60, unit="pairs"
    ) as size:
        anyio.run(main, size)
