"""Item 41 under faults: calls in worker processes."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

import asyncio
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from unittest.mock import patch

from aconcur.lessons.item41_futures import (
    rebuilt,
    toolkit,
)
from aconcur.lessons.item41_futures.work import (
    LONG,
    Pair,
    gcd,
)
from aconcur.lessons.under_fault import (
    Arriving,
    Make,
    Scenario,
    Scenarios,
    arrivals,
    cancelled_twice,
    during,
    in_time,
    kill_a_worker,
    main,
)

BOTH = arrivals(2)  # both workers compute
HALF = (10**7, 10**7 - 1)
FIRST = (10**9, 10**9 - 2)
STUCK: list[Pair] = [FIRST, *[LONG] * 3]
FAILING: list[Pair] = [HALF, (0, 1), LONG, LONG]
arriving_gcd = Arriving(gcd)


def notes(pairs: list[Pair]) -> None:
    """Map in processes, as in the notes."""
    pool = ProcessPoolExecutor(max_workers=2)
    list(pool.map(arriving_gcd, pairs))


async def literal(pairs: list[Pair]) -> None:
    """Await the same pool by gather."""
    pool = ProcessPoolExecutor(max_workers=2)
    loop = asyncio.get_running_loop()
    await asyncio.gather(
        *(
            loop.run_in_executor(pool, arriving_gcd, pair)
            for pair in pairs
        )
    )


async def tasks(pairs: list[Pair]) -> None:
    """Compute in the pool that can be killed."""
    with patch.object(rebuilt, "gcd", arriving_gcd):
        await rebuilt.in_order(pairs)


async def pool_map(pairs: list[Pair]) -> None:
    """Compute in the toolkit's pool."""
    with patch.object(toolkit, "gcd", arriving_gcd):
        await toolkit.in_order(pairs)


def once(
    call: Make,
) -> dict[str, Scenario]:
    """Return what a fault does to every version."""
    return {
        "as in the notes": call(notes),
        "gather": call(literal),
        "asyncio": call(tasks),
        "aconcur": call(pool_map),
    }


def awaited(
    call: Make,
) -> dict[str, Scenario]:
    """Return the same for the versions that await."""
    versions = once(call)
    del versions["as in the notes"]
    return versions


SCENARIOS: Scenarios = {
    "Ctrl-C": once(lambda w: during(BOTH, w, STUCK)),
    "one failure": once(lambda w: during(BOTH, w, FAILING)),
    "a timeout": awaited(lambda w: in_time(BOTH, w, STUCK)),
    "cancelled twice": awaited(
        lambda w: cancelled_twice(BOTH, w, STUCK)
    ),
    "kill -9 of a worker": once(
        # Ordered answers: a later pair's failure would wait
        # for the first.
        lambda w: during(
            BOTH,
            w,
            STUCK,
            call=partial(kill_a_worker, FIRST),
        )
    ),
    "kill -9 of the program": once(
        lambda w: during(BOTH, w, STUCK)
    ),
}


if __name__ == "__main__":
    main("aconcur.lessons.item41_futures.faults", SCENARIOS)
