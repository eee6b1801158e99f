"""Guarded values against plain locks: ``python -m benchmarks.lock``.

Locks guard a number beside them; a guarded value is its own. Either way the number grows by one.
"""

from __future__ import annotations

__all__ = ("main",)

import argparse
import asyncio
import platform
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import trio

from aconcur.lock import Counter, Guarded, ThreadGuarded
from benchmarks.side_by_side import Rival, compare

TASKS = 10
THREADS = 4

AsyncLock: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]
ThreadLock: TypeAlias = Callable[[], AbstractContextManager[Any]]
Work: TypeAlias = Callable[[int], Awaitable[object]]

PEERS: dict[str, Callable[[], Any]] = (
    {"aiologic.Lock": import_module("aiologic").Lock} if find_spec("aiologic") else {}
)


def on(backend: str, work: Work) -> Rival:
    """Return what runs the work on a loop of its own."""
    return lambda times: anyio.run(work, times, backend=backend)


# --- a free lock ---


def entered(make: AsyncLock) -> Work:
    """Enter and leave, the lock free."""

    async def work(times: int) -> None:
        lock, count = make(), 0
        for _ in range(times):
            async with lock:
                count += 1

    return work


def written(make: Callable[[int], Guarded[int] | ThreadGuarded[int]]) -> Work:
    """Enter, write the cell and leave, the lock free."""

    async def work(times: int) -> None:
        guarded = make(0)
        for _ in range(times):
            async with guarded as cell:
                cell.value += 1

    return work


def updated(make: Callable[[int], Guarded[int] | ThreadGuarded[int]]) -> Work:
    """Update by a plain function, the lock free."""

    async def work(times: int) -> None:
        guarded = make(0)
        for _ in range(times):
            await guarded.update(add_one)

    return work


async def incremented(times: int) -> None:
    """Increment a Counter, the lock free."""
    counter = Counter()
    for _ in range(times):
        await counter.increment()


def add_one(number: int) -> int:
    """Return the next number."""
    return number + 1


def free(backend: str, plain: Callable[[], Any]) -> dict[str, Rival]:
    """Return the rivals on one backend; its own lock is the first."""
    works: dict[str, Work] = {
        f"{backend}.Lock": entered(plain),
        "anyio.Lock": entered(anyio.Lock),
        "anyio.Lock, fast_acquire": entered(lambda: anyio.Lock(fast_acquire=True)),
        "Guarded, async with": written(Guarded),
        "Guarded.update": updated(Guarded),
        "Counter.increment": incremented,
        "ThreadGuarded, async with": written(ThreadGuarded),
        "ThreadGuarded.update": updated(ThreadGuarded),
        **{name: entered(make) for name, make in PEERS.items()},
    }
    return {name: on(backend, work) for name, work in works.items()}


# --- a line of tasks ---


def queued(make: AsyncLock) -> Work:
    """Let ten tasks take turns; each awaits while it holds."""

    async def work(times: int) -> None:
        lock = make()

        async def task() -> None:
            for _ in range(times // TASKS):
                async with lock:
                    await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for _ in range(TASKS):
                group.start_soon(task)

    return work


def line(backend: str, plain: Callable[[], Any]) -> dict[str, Rival]:
    """Return the rivals on one backend when every turn is waited for."""
    makes: dict[str, AsyncLock] = {
        f"{backend}.Lock": plain,
        "anyio.Lock": anyio.Lock,
        "Guarded": lambda: Guarded(0),
        "ThreadGuarded": lambda: ThreadGuarded(0),
        **PEERS,
    }
    return {name: on(backend, queued(make)) for name, make in makes.items()}


# --- threads ---


def held(make: ThreadLock) -> Rival:
    """Enter and leave in one thread, the lock free."""

    def work(times: int) -> None:
        lock, count = make(), 0
        for _ in range(times):
            with lock:
                count += 1

    return work


def updated_sync(times: int) -> None:
    """Update in one thread, the lock free."""
    guarded = ThreadGuarded(0)
    for _ in range(times):
        guarded.update_sync(add_one)


def fought_over(make: ThreadLock) -> Rival:
    """Let four threads enter and leave at once."""

    def work(times: int) -> None:
        lock = make()
        run = held(lambda: lock)
        threads = [threading.Thread(target=run, args=(times // THREADS,)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return work


def thread_and_task(make: Callable[[], Any]) -> Rival:
    """Let one thread and one asyncio task take turns at one lock."""

    async def both(times: int) -> None:
        lock = make()

        async def task() -> None:
            for _ in range(times // 2):
                async with lock:
                    pass
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(task())
            await asyncio.to_thread(held(lambda: lock), times // 2)

    return lambda times: asyncio.run(both(times))


# --- all ---


def main() -> None:
    """Measure; print one table a situation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lock", description=__doc__)
    parser.add_argument("--times", type=int, default=5000, help="entries a round (5000)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds (9)")
    options = parser.parse_args()
    said = {"times": options.times, "rounds": options.rounds}
    print(f"CPython {platform.python_version()}; peers: {', '.join(PEERS) or 'none installed'}")
    compare("asyncio, always free", free("asyncio", asyncio.Lock), **said)
    compare("trio, always free", free("trio", trio.Lock), **said)
    compare(f"asyncio, {TASKS} tasks in line", line("asyncio", asyncio.Lock), **said)
    compare(f"trio, {TASKS} tasks in line", line("trio", trio.Lock), **said)
    shared = {"ThreadGuarded": lambda: ThreadGuarded(0), **PEERS}
    plain = {"threading.Lock": threading.Lock} | shared
    alone: dict[str, Rival] = {name: held(make) for name, make in plain.items()}
    compare("a thread, always free", alone | {"update_sync": updated_sync}, **said)
    fight = {name: fought_over(make) for name, make in plain.items()}
    compare(f"{THREADS} threads at once", fight, **said)
    mixed = {name: thread_and_task(make) for name, make in shared.items()}
    compare("a thread and a task at once", mixed, **said)


if __name__ == "__main__":
    main()
