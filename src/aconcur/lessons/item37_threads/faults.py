"""Item 37 under faults: calls that block, or compute."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

import os
import time
from functools import partial

from aconcur.lessons.item37_threads import (
    original,
    rebuilt,
    toolkit,
)
from aconcur.lessons.item37_threads.work import (
    slow_systemcall,
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

ALL = arrivals(3)
# A pool has a worker for each core.
SPAWNED = arrivals(min(2, os.cpu_count() or 1))


def fail(seconds: float) -> int:
    """Wait, then raise."""
    slow_systemcall(seconds)
    raise ConnectionError


LONG = [Arriving(partial(slow_systemcall, 2.0))] * 3
FAILING = [
    Arriving(partial(fail, 0.3)),
    *LONG[1:],
]
STUCK = [Arriving(partial(slow_systemcall, 30.0))] * 3
ASLEEP = [Arriving(partial(time.sleep, 30.0))] * 2


def once(
    call: Make,
) -> dict[str, Scenario]:
    """Return what a fault does to every version."""
    return {
        "threads": call(original.threads),
        "to_thread": call(rebuilt.to_thread),
        "own pool": call(rebuilt.threads),
        "anyio": call(toolkit.threads),
    }


def awaited(
    call: Make,
) -> dict[str, Scenario]:
    """Return the same without the version on threads."""
    versions = once(call)
    del versions["threads"]
    return versions


SCENARIOS: Scenarios = {
    "Ctrl-C": once(lambda w: during(ALL, w, LONG)),
    "one failure": once(lambda w: during(ALL, w, FAILING)),
    "a timeout": awaited(lambda w: in_time(ALL, w, LONG)),
    "cancelled twice": awaited(
        lambda w: cancelled_twice(ALL, w, LONG)
    ),
    "a stuck call": awaited(
        lambda w: in_time(ALL, w, STUCK)
    ),
    "kill -9 of a worker": {
        "own pool": during(
            SPAWNED,
            rebuilt.processes,
            ASLEEP,
            call=kill_a_worker,
        ),
        "anyio": during(
            SPAWNED,
            toolkit.kept_processes,
            ASLEEP,
            call=kill_a_worker,
        ),
    },
    "kill -9 of the program": once(
        lambda w: during(ALL, w, LONG)
    ),
}


if __name__ == "__main__":
    main("aconcur.lessons.item37_threads.faults", SCENARIOS)
