"""Item 78 under faults: many users log in."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

from aconcur.lessons.item78_responsive import (
    original,
    rebuilt,
    toolkit,
)
from aconcur.lessons.under_fault import (
    Make,
    Scenario,
    Scenarios,
    busy,
    cancelled_twice,
    during,
    in_time,
    main,
)

SOME = busy(0.1)  # some users are in
USERS = [f"{number}" for number in range(400)]


def once(call: Make) -> dict[str, Scenario]:
    """Return what a fault does to every version."""
    return {
        "blocking call": call(original.run),
        "to_thread": call(rebuilt.run),
        "aconcur": call(toolkit.run),
    }


SCENARIOS: Scenarios = {
    "Ctrl-C": once(lambda w: during(SOME, w, USERS)),
    "a timeout": once(lambda w: in_time(SOME, w, USERS)),
    "cancelled twice": once(
        lambda w: cancelled_twice(SOME, w, USERS)
    ),
    "kill -9 of the program": once(
        lambda w: during(SOME, w, USERS)
    ),
}


if __name__ == "__main__":
    main(
        "aconcur.lessons.item78_responsive.faults",
        SCENARIOS,
    )
