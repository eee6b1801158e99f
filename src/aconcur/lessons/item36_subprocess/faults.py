"""Item 36 under faults: what each version leaves."""

from __future__ import annotations

__all__ = ("SCENARIOS",)

import asyncio
import subprocess
from collections.abc import Sequence
from functools import partial

from aconcur.lessons.item36_subprocess import (
    original,
    rebuilt,
    toolkit,
)
from aconcur.lessons.under_fault import (
    Make,
    Scenario,
    Scenarios,
    begin,
    cancelled_twice,
    children,
    during,
    in_time,
    kill_a_child,
    main,
)
from aconcur.process import Command

ALL = children(3, "sleep")
TWO = children(2, "sleep")  # the third will fail
ONE = children(1, "sleep")

# The input says what the child does.
SH = (
    "sh",
    "-c",
    """read what
    [ "$what" = fail ] && sleep 2 && exit 1
    [ "$what" = deaf ] && trap "" TERM
    exec sleep 30""",
)
STUCK = [b"stay\n"] * 3
FAILING = [b"fail\n", b"stay\n", b"stay\n"]
DEAF = [b"deaf\n"]


# ---------------------------------------- as in the notes


def notes(inputs: Sequence[bytes]) -> None:
    """Start all with Popen, then wait for each in turn."""
    procs = []
    for data in inputs:
        proc = subprocess.Popen(
            SH,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert proc.stdin is not None
        proc.stdin.write(data)
        proc.stdin.flush()
        procs.append(proc)
    for proc in procs:
        proc.communicate()


def notes_timeout(inputs: Sequence[bytes]) -> None:
    """Give communicate() a timeout."""
    proc = subprocess.Popen(SH, stdin=subprocess.PIPE)
    begin()
    proc.communicate(inputs[0], timeout=0.3)


# ----------------------------------------------- threads


def one(start: original.Start, data: bytes) -> bytes:
    """Run a child on one input."""
    with start(
        SH,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        out, _ = child.communicate(data)
        original.finish(SH, child)
    return out


def threads(inputs: Sequence[bytes]) -> None:
    """Run a thread a child."""
    original.at_once(one, inputs, 3)


def threads_timeout(inputs: Sequence[bytes]) -> None:
    """Wait for a child with a timeout."""
    begin()
    argv = ("sh", "-c", "trap '' TERM; exec sleep 30")
    del inputs
    if original.finish_within(argv, 0.3) is None:
        raise TimeoutError


# ----------------------------------------------- asyncio


async def one_task(data: bytes) -> bytes:
    """Run a child on one input."""
    async with rebuilt.start(
        SH,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        await rebuilt.feed(child, data)
        out = await rebuilt.read(child)
        await rebuilt.finish(SH, child)
    return out


async def tasks(inputs: Sequence[bytes]) -> None:
    """Run a task a child."""
    await rebuilt.at_once(one_task, inputs, 3)


# ----------------------------------------------- aconcur


async def commands(inputs: Sequence[bytes]) -> None:
    """Run the command on all inputs."""
    await toolkit.at_once(Command(*SH), inputs, 3)


# ------------------------------------------------- table


def once(
    call: Make,
) -> dict[str, Scenario]:
    """Return what a fault does to every version."""
    versions = {
        "as in the notes": notes,
        "threads": threads,
        "asyncio": tasks,
        "aconcur": commands,
    }
    return {
        version: call(work)
        for version, work in versions.items()
    }


SCENARIOS: Scenarios = {
    "Ctrl-C": once(lambda w: during(ALL, w, STUCK)),
    "one failure": once(lambda w: during(TWO, w, FAILING)),
    "a timeout": {
        "as in the notes": lambda: notes_timeout(STUCK),
        "threads": lambda: threads_timeout(STUCK),
        "asyncio": in_time(ALL, tasks, STUCK),
        "aconcur": in_time(ALL, commands, STUCK),
    },
    "cancelled twice": {
        "asyncio": cancelled_twice(ALL, tasks, STUCK),
        "aconcur": cancelled_twice(ALL, commands, STUCK),
    },
    "a stuck call": {
        "as in the notes": lambda: notes_timeout(DEAF),
        "threads": lambda: threads_timeout(DEAF),
        "asyncio": in_time(ONE, tasks, DEAF),
        "aconcur": in_time(ONE, commands, DEAF),
    },
    "kill -9 of a worker": once(
        lambda w: during(
            ALL,
            w,
            STUCK,
            call=partial(kill_a_child, "sleep"),
        )
    ),
    "kill -9 of the program": once(
        lambda w: during(ALL, w, STUCK)
    ),
}


def one_command() -> None:
    """Run a command: this starts aconcur's guardian."""
    asyncio.run(Command("true").run())


if __name__ == "__main__":
    main(
        "aconcur.lessons.item36_subprocess.faults",
        SCENARIOS,
        {"aconcur": one_command},
    )
