"""Count what outlives a program that is killed: ``python -m benchmarks.process_kills``.

A program runs pipes of commands of every kind, most with grandchildren that ignore SIGTERM. It is
killed at a random instant: by SIGTERM, SIGHUP or SIGKILL, by SIGKILL from a thread of its own while
that allocates memory (as an OOM kill does), or by abort(3). What carries the program's mark in its
environment 1 s later is a survivor. The goal is 0.
"""

from __future__ import annotations

__all__ = ("KINDS", "LOOPS", "main", "survivors_of")

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from threading import Thread
from typing import Any, Final
from uuid import uuid4

import anyio

from aconcur.process import Command, Runnable
from benchmarks.process_survivors import BIG, JOBS, LASTS, LEAVES, MARK, STUBBORN, marked

LOOPS: Final = ("asyncio", "uvloop", "trio", "threads")
KINDS: Final = ("SIGTERM", "SIGHUP", "SIGKILL", "oom", "abort")
# Seconds after which a process that still lives is a survivor.
BOUND: Final = 1.0
# Seconds from the first start to the latest kill.
INSTANTS: Final = 0.2
AT_ONCE: Final = 4


async def work(mark: str, seed: int) -> None:
    """Run pipes of commands, some of which end, until the program is killed."""
    lot = random.Random(seed)
    marked = {MARK: mark}

    def pipe() -> Runnable:
        first = lot.choice(["exec cat", LEAVES])
        last = lot.choice(["exec cat", LEAVES, LASTS, STUBBORN])
        return Command("sh", "-c", first, env=marked) | Command("sh", "-c", last, env=marked)

    async def run_on() -> None:
        while True:
            await lot.choice(JOBS)(pipe(), lot.choice([0.05, None]))

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(run_on)
        await Command("true").run()
        print("runs", flush=True)


def run_program(loop: str, kind: str, mark: str, seed: int) -> None:
    """Be the program that is killed."""
    if kind in {"oom", "abort"}:
        wait = random.Random(seed).uniform(0, INSTANTS)
        Thread(target=_end_by_itself, args=(kind, wait), daemon=True).start()
    if loop == "threads":
        for number in range(2):
            Thread(target=anyio.run, args=(work, mark, seed + number)).start()
        return
    options: dict[str, Any] = {"backend": "trio" if loop == "trio" else "asyncio"}
    if loop == "uvloop":
        options["backend_options"] = {"use_uvloop": True}
    anyio.run(work, mark, seed, **options)


def _end_by_itself(kind: str, wait: float) -> None:
    time.sleep(0.3 + wait)
    if kind == "abort":
        os.abort()
    held = [bytes(BIG) for _ in range(100)]
    os.kill(os.getpid(), signal.SIGKILL)
    del held


def survivors_of(loop: str, kind: str, seed: int) -> int:
    """Start a program, kill it, and return how many of its processes live a second later."""
    mark = uuid4().hex
    program = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.process_kills", "--be", loop, kind, mark, str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with program:
        assert program.stdout is not None
        program.stdout.readline()
        if kind.startswith("SIG"):
            time.sleep(random.Random(seed).uniform(0, INSTANTS))
            program.send_signal(signal.Signals[kind])
        program.wait()
        return _left_after(BOUND, lambda: marked(mark))


def _left_after(bound: float, count: Callable[[], int]) -> int:
    end = time.monotonic() + bound
    while (left := count()) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def main() -> None:
    """Kill programs of each kind; exit with 1 if anything was left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="of each kind on each loop")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--loop", choices=LOOPS, action="append", help="all by default")
    parser.add_argument("--be", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.be:
        loop, kind, mark, seed = chosen.be
        run_program(loop, kind, mark, int(seed))
        return
    print(f"--seed {chosen.seed}")
    total = 0
    for loop in chosen.loop or LOOPS:
        for kind in KINDS:
            seeds = range(chosen.seed, chosen.seed + chosen.kills)
            left = [survivors_of(loop, kind, seed) for seed in seeds]
            print(f"{loop}, {kind}: {len(left)} kills, {sum(left)} survivors", flush=True)
            total += sum(left)
    sys.exit(bool(total))


if __name__ == "__main__":
    main()
