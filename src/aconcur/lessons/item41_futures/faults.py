"""Item 41 under faults: calls in worker processes."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

import asyncio
from concurrent.futures import (
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)

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
    Make,
    Scenario,
    Scenarios,
    cancelled_twice,
    during,
    in_time,
    kill_a_child,
    main,
)

AFTER = 2.0  # seconds: the workers compute by then
HALF = (10**7, 10**7 - 1)
STUCK: list[Pair] = [LONG] * 4
FAILING: list[Pair] = [HALF, (0, 1), LONG, LONG]


def notes(pairs: list[Pair]) -> None:
    """Map in processes, as in the notes."""
    pool = ProcessPoolExecutor(max_workers=2)
    list(pool.map(gcd, pairs))


def notes_threads(pairs: list[Pair]) -> None:
    """Map in threads, as in the notes."""
    pool = ThreadPoolExecutor(max_workers=2)
    list(pool.map(gcd, pairs))


async def literal(pairs: list[Pair]) -> None:
    """Await the same pool by gather."""
    pool = ProcessPoolExecutor(max_workers=2)
    loop = asyncio.get_running_loop()
    await asyncio.gather(
        *(
            loop.run_in_executor(pool, gcd, pair)
            for pair in pairs
        )
    )


def once(
    call: Make,
) -> dict[str, Scenario]:
    """Return what a fault does to every version."""
    return {
        "as in the notes": call(notes),
        "gather": call(literal),
        "asyncio": call(rebuilt.in_order),
        "aconcur": call(toolkit.in_order),
    }


def awaited(
    call: Make,
) -> dict[str, Scenario]:
    """Return the same for the versions that await."""
    versions = once(call)
    del versions["as in the notes"]
    return versions


SCENARIOS: Scenarios = {
    "Ctrl-C": once(lambda w: during(AFTER, w, STUCK)),
    "one failure": once(lambda w: during(0, w, FAILING)),
    "a timeout": awaited(
        lambda w: in_time(AFTER, w, STUCK)
    ),
    "cancelled twice": awaited(
        lambda w: cancelled_twice(AFTER, w, STUCK)
    ),
    "kill -9 of a worker": once(
        lambda w: during(AFTER, w, STUCK, call=kill_a_child)
    ),
    "kill -9 of the program": once(
        lambda w: during(AFTER, w, STUCK)
    ),
}


if __name__ == "__main__":
    main("aconcur.lessons.item41_futures.faults", SCENARIOS)
