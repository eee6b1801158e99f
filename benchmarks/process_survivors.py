"""Count what runs and cancels leave behind: ``python -m benchmarks.process_survivors``.

Pipes of every kind, most with grandchildren, some of which ignore SIGTERM, run to their end, or are
cancelled at random instants: by a scope, by two, natively, natively again and again, and by their
own ``timeout``. Then everything that still lives and carries this run's mark in its environment is
a survivor. The goal is 0 survivors, 0 zombies, +0 descriptors.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeAlias
from uuid import uuid4

import anyio
import anyio.lowlevel

from aconcur.process import PIPE, Command, CommandTimeout, Runnable, run_many

Job: TypeAlias = Callable[[Runnable, float | None], Awaitable[object]]

MARK: Final = "ACONCUR_SURVIVORS"
GRACE: Final = 0.05
# Seconds: from before the first process starts to when all of a pipe work.
INSTANTS: Final = 0.03
AT_ONCE: Final = 8
BIG: Final = bytes(300_000)
LASTS: Final = "cat; sleep 60"
# Each leaves a grandchild that waits and one that ignores SIGTERM.
LEAVES: Final = """
sleep 60 >/dev/null 2>&1 &
(trap "" TERM; while :; do sleep 60; done) >/dev/null 2>&1 &
cat
"""
STUBBORN: Final = f'trap "" TERM; {LEAVES} while :; do sleep 60; done'


@dataclass(frozen=True, slots=True)
class Tally:
    """The number of runs and cancels, and of the things they left behind."""

    runs: int
    cancels: int
    survivors: int
    zombies: int
    descriptors: int
    """How many more are open than before."""
    slowest: float
    """Seconds from the latest of all cancellations to the end of what it cancelled."""

    @property
    def clean(self) -> bool:
        """Whether nothing is left."""
        return not (self.survivors or self.zombies or self.descriptors)

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.cancels} cancels: {self.survivors} survivors, "
            f"{self.zombies} zombies, {self.descriptors:+d} descriptors; the slowest cancellation "
            f"took {self.slowest:.3f} s with a grace of {GRACE:g} s"
        )


async def small(pipe: Runnable, seconds: float | None) -> object:
    return await pipe.run(input=b"x", timeout=seconds, grace=GRACE)


async def big(pipe: Runnable, seconds: float | None) -> object:
    return await pipe.run(input=BIG, output=len, timeout=seconds, grace=GRACE)


async def poured(pipe: Runnable, seconds: float | None) -> object:
    async def some() -> AsyncIterator[bytes]:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            yield BIG

    return await pipe.run(input=some(), output=len, timeout=seconds, grace=GRACE)


async def talked_with(pipe: Runnable, seconds: float | None) -> object:
    with anyio.move_on_after(seconds):
        async with pipe.open(input=PIPE, grace=GRACE) as running:
            await running.write(b"a\nb\n")
            running.close_input()
            return [line async for line in running.lines()]
    return None


async def left_early(pipe: Runnable, seconds: float | None) -> object:
    with anyio.move_on_after(seconds):
        async with (Command("yes") | pipe).open(grace=GRACE) as running:
            async for batch in running.line_batches():
                return batch
    return None


async def many(pipe: Runnable, seconds: float | None) -> object:
    jobs: list[tuple[Runnable, bytes]] = [(pipe, b"x")] * 3
    async with run_many(jobs, limit=3, timeout=seconds, grace=GRACE) as outcomes:
        return [outcome.index async for outcome in outcomes]


async def on_a_terminal(pipe: Runnable, seconds: float | None) -> object:
    with anyio.move_on_after(seconds):
        async with pipe.commands[-1].open(pty=True, grace=GRACE) as running:
            await running.write(b"x\n")
            running.close_input()
            return [line async for line in running.lines()]
    return None


JOBS: Final[tuple[Job, ...]] = (
    small,
    big,
    poured,
    talked_with,
    left_early,
    many,
    on_a_terminal,
)


async def by_a_scope(work: Awaitable[object], wait: float, _: random.Random) -> None:
    with anyio.move_on_after(wait):
        await work


async def by_two_scopes(work: Awaitable[object], wait: float, lot: random.Random) -> None:
    with anyio.move_on_after(wait + lot.uniform(0, GRACE)), anyio.move_on_after(wait):
        await work


async def natively(work: Awaitable[object], wait: float, _: random.Random) -> None:
    await _natively(work, wait, [])


async def natively_again(work: Awaitable[object], wait: float, lot: random.Random) -> None:
    await _natively(work, wait, [lot.uniform(0, GRACE) for _ in range(4)])


async def _natively(work: Awaitable[object], wait: float, again: list[float]) -> None:
    task = asyncio.ensure_future(work)
    for pause in (wait, *again):
        await asyncio.wait([task], timeout=pause)
        task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def survey(runs: int, cancels: int, seed: int) -> Tally:
    """Run, cancel, and count."""
    # The first run opens descriptors that the loop keeps: they are not leaks.
    await Command("true").run()
    lot = random.Random(seed)
    mark = f"{os.getpid()}-{uuid4().hex}"
    took: list[float] = []
    ways: list[Any] = [by_a_scope, by_two_scopes, None]
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        ways += [natively, natively_again]

    def pipe(last: str) -> Runnable:
        marked = {MARK: mark}
        first = lot.choice(["exec cat", LEAVES])
        return Command("sh", "-c", first, env=marked) | Command("sh", "-c", last, env=marked)

    async def run() -> None:
        await lot.choice(JOBS)(pipe(lot.choice(["exec cat", LEAVES])), None)

    async def cancel() -> None:
        job, way, wait = lot.choice(JOBS), lot.choice(ways), lot.uniform(0, INSTANTS)
        lasting = pipe(lot.choice([LASTS, STUBBORN]))
        began = perf_counter()
        if way is None:
            with suppress(CommandTimeout):
                await job(lasting, wait)
        else:
            await way(job(lasting, None), wait, lot)
        took.append(perf_counter() - began - wait)

    before = _descriptors()
    order = [run] * runs + [cancel] * cancels
    lot.shuffle(order)

    async def work() -> None:
        while order:
            await order.pop()()

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(work)
    # A process that was killed takes a moment to go.
    with anyio.move_on_after(2):
        while marked(mark):
            await anyio.sleep(0.01)
    left = marked(mark)
    return Tally(runs, cancels, left, _zombies(), _descriptors() - before, max(took, default=0))


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def marked(mark: str) -> int:
    """Count the processes that carry a mark. A dead one has no environment."""
    wanted = f"{MARK}={mark}".encode()
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found += wanted in (folder / "environ").read_bytes().split(b"\0")
    return found


def _zombies() -> int:
    """Count our children that have ended and are not reaped."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            found += state == "Z" and int(parent) == os.getpid()
    return found


def main() -> None:
    """Survey on each back-end; exit with 1 if anything was left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--cancels", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument(
        "--backend", choices=("asyncio", "uvloop", "trio"), action="append", help="all by default"
    )
    chosen = parser.parse_args()
    print(f"--seed {chosen.seed}")
    clean = True
    for backend in chosen.backend or ("asyncio", "uvloop", "trio"):
        options: dict[str, Any] = {"backend": "trio" if backend == "trio" else "asyncio"}
        if backend == "uvloop":
            options["backend_options"] = {"use_uvloop": True}
        tally = anyio.run(survey, chosen.runs, chosen.cancels, chosen.seed, **options)
        print(f"{backend}: {tally}", flush=True)
        clean = clean and tally.clean
    sys.exit(not clean)


if __name__ == "__main__":
    main()
