"""Item 77 under faults: lookups that take long, or fail."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import anyio

from aconcur.lessons.item77_mixed import (
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
    begin,
    cancelled_twice,
    during,
    in_time,
    main,
)

ALL = arrivals(4)  # all lookups wait
SOON = 0.4
LONG = 2.0
WORDS = ["a", "b", "c", "d"]
BAD = ["a", "bad", "c", "d"]


def lookup(word: str) -> int:
    """Block for long, or fail soon."""
    arrive()
    time.sleep(SOON if word == "bad" else LONG)
    if word == "bad":
        begin()
        raise ConnectionError
    return 0


async def lookup_async(word: str) -> int:
    """Wait for long, or fail soon."""
    arrive()
    await anyio.sleep(SOON if word == "bad" else LONG)
    if word == "bad":
        begin()
        raise ConnectionError
    return 0


@contextmanager
def slow() -> Iterator[None]:
    """Let every lookup take long."""
    with (
        patch.object(original, "lookup", lookup),
        patch.object(rebuilt, "lookup", lookup),
        patch.object(rebuilt, "lookup_async", lookup_async),
        patch.object(toolkit, "lookup", lookup),
        patch.object(toolkit, "lookup_async", lookup_async),
    ):
        yield


def plain(version: Any) -> Any:  # noqa: ANN401
    """Return a version with slow lookups."""

    def run(inputs: list[str]) -> None:
        with slow():
            version(inputs)

    return run


def awaiting(version: Any) -> Any:  # noqa: ANN401
    """Return an async version with slow lookups."""

    async def run(inputs: list[str]) -> None:
        with slow():
            await version(inputs)

    return run


def awaited(call: Make) -> dict[str, Scenario]:
    """Return what a fault does to those that await."""
    return {
        "from above": call(awaiting(rebuilt.from_above)),
        "asyncio": call(awaiting(rebuilt.run)),
        "aconcur": call(awaiting(toolkit.run)),
    }


def once(call: Make) -> dict[str, Scenario]:
    """Return what a fault does to every version."""
    return {
        "threads": call(plain(original.run)),
        "from below": call(plain(rebuilt.from_below)),
        **awaited(call),
    }


SCENARIOS: Scenarios = {
    "Ctrl-C": once(lambda w: during(ALL, w, WORDS)),
    "one failure": once(lambda w: partial(w, BAD)),
    "a timeout": awaited(lambda w: in_time(ALL, w, WORDS)),
    "cancelled twice": awaited(
        lambda w: cancelled_twice(ALL, w, WORDS)
    ),
    "kill -9 of the program": once(
        lambda w: during(ALL, w, WORDS)
    ),
}


if __name__ == "__main__":
    main("aconcur.lessons.item77_mixed.faults", SCENARIOS)
