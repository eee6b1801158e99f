"""Item 38 under faults: while others wait for the lock."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from aconcur.lessons.under_fault import (
    Make,
    Scenario,
    Scenarios,
    arrivals,
    arrive,
    begin,
    cancelled_twice,
    during,
    in_time,
    main,
)
from aconcur.lock import Guarded

ALL = arrivals(3)  # one holds the lock, two wait

# How long the holder stays inside, and whether it raises.
Holding = tuple[float, bool]
SHORT: Holding = (2.0, False)
STUCK: Holding = (30.0, False)
FAILING: Holding = (0.3, True)


def threads(holding: Holding) -> None:
    """Hold a threading.Lock; let two others wait for it."""
    seconds, fails = holding
    lock = threading.Lock()

    def hold() -> None:
        with lock:
            arrive()
            threading.Event().wait(seconds)
            if fails:
                raise ConnectionError

    def wait() -> None:
        arrive()
        with lock:
            pass

    with ThreadPoolExecutor(3) as pool:
        calls = [
            pool.submit(call) for call in (hold, wait, wait)
        ]
        for call in reversed(calls):
            call.result()


def threads_timeout() -> None:
    """Give acquire() a timeout."""
    lock = threading.Lock()
    lock.acquire()
    begin()
    if not lock.acquire(timeout=0.1):
        raise TimeoutError


async def tasks(holding: Holding) -> None:
    """Hold an asyncio.Lock; let two others wait for it."""
    await contend(asyncio.Lock(), holding)


async def guarded(holding: Holding) -> None:
    """Hold a Guarded value; let two others wait for it."""
    await contend(Guarded(0), holding)


async def contend(
    lock: asyncio.Lock | Guarded[int], holding: Holding
) -> None:
    """Let one task hold it and two wait."""
    seconds, fails = holding

    async def hold() -> None:
        async with lock:
            arrive()
            await asyncio.sleep(seconds)
            if fails:
                raise ConnectionError

    async def wait() -> None:
        arrive()
        async with lock:
            pass

    async with asyncio.TaskGroup() as group:
        for one in (hold(), wait(), wait()):
            group.create_task(one)


def once(
    call: Make,
) -> dict[str, Scenario]:
    """Return what a fault does to every version."""
    return {
        "threads": call(threads),
        "asyncio": call(tasks),
        "aconcur": call(guarded),
    }


SCENARIOS: Scenarios = {
    "Ctrl-C": once(lambda w: during(ALL, w, SHORT)),
    "one failure": once(lambda w: during(ALL, w, FAILING)),
    "a timeout": {
        "threads": threads_timeout,
        "asyncio": in_time(ALL, tasks, SHORT),
        "aconcur": in_time(ALL, guarded, SHORT),
    },
    "cancelled twice": {
        "asyncio": cancelled_twice(ALL, tasks, SHORT),
        "aconcur": cancelled_twice(ALL, guarded, SHORT),
    },
    "a stuck call": {
        "threads": during(ALL, threads, STUCK),
        "asyncio": in_time(ALL, tasks, STUCK),
        "aconcur": in_time(ALL, guarded, STUCK),
    },
    "kill -9 of the program": once(
        lambda w: during(ALL, w, SHORT)
    ),
}


if __name__ == "__main__":
    main("aconcur.lessons.item38_lock.faults", SCENARIOS)
