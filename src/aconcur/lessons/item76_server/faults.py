"""Item 76 under faults: clients wait for a slow answer."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

import asyncio
import time
from typing import Any
from unittest.mock import patch

from aconcur.lessons.item76_server import (
    original,
    rebuilt,
    toolkit,
)
from aconcur.lessons.under_fault import (
    Make,
    Scenario,
    Scenarios,
    arrivals,
    arrive,
    cancelled_twice,
    during,
    in_time,
    main,
)

ALL = arrivals(3)  # all clients wait
SLOW = 2.0
INPUTS = [["1 2", "wait", "3"]] * 3


def slow(line: str) -> str:
    """Answer late."""
    if "wait" in line:
        arrive()
        time.sleep(SLOW)
    return line.strip()


def threads(inputs: Any) -> None:  # noqa: ANN401
    """Run the threads."""
    with patch.object(original, "answer", slow):
        original.run(inputs)


async def stuck_client(version: Any) -> None:  # noqa: ANN401
    """Serve three clients that never ask."""

    async def idle(*_: object) -> list[str]:
        arrive()
        await asyncio.sleep(30)
        return []

    with patch.object(version, "ask", idle):
        await version.run(INPUTS)


async def tasks() -> None:
    """Run the tasks."""
    await stuck_client(rebuilt)


async def stages() -> None:
    """Run the stage."""
    await stuck_client(toolkit)


def awaited(call: Make) -> dict[str, Scenario]:
    """Return what a fault does to those that await."""
    return {"asyncio": call(tasks), "aconcur": call(stages)}


SCENARIOS: Scenarios = {
    "Ctrl-C": {
        "threads": during(ALL, threads, INPUTS),
        **awaited(lambda w: during(ALL, w)),
    },
    "a timeout": awaited(lambda w: in_time(ALL, w)),
    "cancelled twice": awaited(
        lambda w: cancelled_twice(ALL, w)
    ),
    "kill -9 of the program": {
        "threads": during(ALL, threads, INPUTS),
        **awaited(lambda w: during(ALL, w)),
    },
}


if __name__ == "__main__":
    main("aconcur.lessons.item76_server.faults", SCENARIOS)
