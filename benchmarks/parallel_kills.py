"""Kill workers at random while three maps run, and account for every item.

``python -m benchmarks.parallel_kills --seconds 60``: every way of starting, in turn, on asyncio and
trio. Exits with 1 when an item is lost, doubled or out of order, a map hangs, or a process is left.
"""

from __future__ import annotations

__all__ = ("Account", "main", "rounds_of_kills")

import argparse
import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Final

import anyio

from aconcur.parallel import COLLECT, Pool, StartMethod, WorkerDied, open_pool
from aconcur.testing import Snapshot

METHODS: Final[tuple[StartMethod, ...]] = ("exec", "forkserver", "fork", "spawn")
# Seconds after which a round counts as hung. A round of three maps takes a few.
_HUNG: Final = 60
# In a round. Without a limit a slow machine would kill workers as fast as they start.
_KILLS: Final = 40


@dataclass
class Account:
    """The counts of a run. All but the first four must stay 0."""

    rounds: int = 0
    items: int = 0
    kills: int = 0
    blamed: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    wrong: int = 0
    hangs: int = 0
    left: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong."""
        return not any(getattr(self, field.name) for field in fields(self)[4:])


def tiny(number: int) -> int:
    """Return it."""
    return number


def short(number: int) -> int:
    """Return it after half a millisecond."""
    time.sleep(0.0005)
    return number


def large(number: int) -> tuple[int, bytes]:
    """Return it with 300 kB."""
    return number, bytes(300_000)


async def rounds_of_kills(
    start: StartMethod, seconds: float, account: Account, *, kills: int = _KILLS
) -> None:
    """Run rounds of three maps at once while a task kills workers, so many a round at most."""
    before = Snapshot.take()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            with anyio.fail_after(_HUNG):
                async with open_pool(2, start=start) as pool:
                    await _round(pool, account, kills)
        except TimeoutError:
            account.hangs += 1
        account.rounds += 1
    left = Snapshot.take().since(before).children
    account.left += sum("resource_tracker" not in _command(pid) for pid in left)


async def _round(pool: Pool, account: Account, kills: int) -> None:
    async with anyio.create_task_group() as killers:
        killers.start_soon(_kill_at_random, pool, account, kills)
        async with anyio.create_task_group() as maps:
            maps.start_soon(_map, pool, "tiny", 20_000, account)
            maps.start_soon(_map, pool, "short", 600, account)
            maps.start_soon(_map, pool, "large", 60, account)
        killers.cancel_scope.cancel()


async def _kill_at_random(pool: Pool, account: Account, kills: int) -> None:
    for _ in range(kills):
        await anyio.sleep(random.uniform(0.005, 0.1))
        # Killing faster than processes start would end all work and prove nothing.
        while not pool.statistics().ready:
            await anyio.sleep(0.005)
        if pids := pool.statistics().pids:
            with suppress(ProcessLookupError):
                os.kill(random.choice(pids), signal.SIGKILL)
                account.kills += 1


async def _map(pool: Pool, kind: str, count: int, account: Account) -> None:
    ordered = kind != "short"
    numbers: list[int] = []
    if kind == "large":
        results = pool.map(large, range(count), on_error=COLLECT)
        async for number, _ in results:
            numbers.append(number)
    else:
        function = tiny if kind == "tiny" else short
        plain = pool.map(function, range(count), on_error=COLLECT, ordered=ordered)
        async for number in plain:
            numbers.append(number)  # noqa: PERF401 - as a consumer does
    failures = plain.failures if kind != "large" else results.failures
    failed = [failure.index for failure in failures]
    account.items += count
    account.blamed += len(failed)
    account.wrong += sum(not isinstance(failure.error, WorkerDied) for failure in failures)
    account.lost += count - len({*numbers, *failed})
    account.doubled += len(numbers) + len(failed) - len({*numbers, *failed})
    account.reordered += ordered and numbers != sorted(numbers)


def _command(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/cmdline") as file:  # noqa: PTH123
        return file.read()
    return ""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    random.seed(given.seed)
    clean = True
    backends: tuple[tuple[str, dict[str, bool]], ...] = (
        ("asyncio", {}),
        ("asyncio", {"use_uvloop": True}),
        ("trio", {}),
    )
    share = given.seconds / len(METHODS) / len(backends)
    for start in METHODS:
        for backend, options in backends:
            account = Account()
            anyio.run(
                rounds_of_kills, start, share, account, backend=backend, backend_options=options
            )
            name = "uvloop" if options else backend
            print(f"{start:10} {name:8} {account}", flush=True)
            clean = clean and account.clean
    sys.exit(not clean)


if __name__ == "__main__":
    main()
