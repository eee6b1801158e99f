"""Item 40 under faults: in the middle of generations."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import ModuleType
from typing import Any
from unittest.mock import patch

from aconcur.lessons.item40_coroutines import (
    original,
    rebuilt,
    rebuilt_asend,
    toolkit,
    work,
)
from aconcur.lessons.under_fault import (
    Make,
    Scenario,
    Scenarios,
    begin,
    busy,
    cancelled_twice,
    during,
    in_time,
    main,
)

SOME = busy(0.2)  # some generations have passed
ROWS = work.Grid.random(32, 32, Random(40)).to_rows()
LONG = 10**7  # generations: more than ever pass

NAMES: dict[str, Any] = {
    "generators": original,
    "async generators": rebuilt_asend,
    "await": rebuilt,
}


@contextmanager
def broken_rule(module: ModuleType) -> Iterator[None]:
    """Let a cell raise while the block lasts."""

    def broken(*_: object) -> str:
        begin()
        raise ConnectionError

    with patch.object(module, "game_logic", broken):
        yield


def failing(name: str) -> Scenario:
    """Return what runs a version whose cell raises."""
    module = NAMES[name]
    if name == "generators":

        def called() -> None:
            with broken_rule(module):
                original.run(ROWS, LONG)

        return called

    async def awaited() -> None:
        with broken_rule(module):
            await module.run(ROWS, LONG)

    return awaited


def once(
    call: Make,
) -> dict[str, Scenario]:
    """Return what a fault does to every version."""
    return {
        **{
            name: call(module.run)
            for name, module in NAMES.items()
        },
        "aconcur": call(toolkit.run),
    }


def awaited(
    call: Make,
) -> dict[str, Scenario]:
    """Return the same for the versions that await."""
    versions = once(call)
    del versions["generators"]
    return versions


SCENARIOS: Scenarios = {
    "Ctrl-C": once(lambda w: during(SOME, w, ROWS, LONG)),
    "one failure": {name: failing(name) for name in NAMES},
    "a timeout": awaited(
        lambda w: in_time(SOME, w, ROWS, LONG)
    ),
    "cancelled twice": awaited(
        lambda w: cancelled_twice(SOME, w, ROWS, LONG)
    ),
    "kill -9 of the program": once(
        lambda w: during(SOME, w, ROWS, LONG)
    ),
}


if __name__ == "__main__":
    main(
        "aconcur.lessons.item40_coroutines.faults",
        SCENARIOS,
    )
