"""Locks taken in the wrong order, at the wrong time or by too many."""

from __future__ import annotations

__all__ = ("BUGS",)

from collections.abc import Awaitable, Callable

import anyio
from anyio.lowlevel import checkpoint

from tests.support.bugs.kind import Bug


async def abba(*, fixed: bool) -> None:
    """Two tasks take two locks in opposite orders."""
    first, second = anyio.Lock(), anyio.Lock()

    async def forth() -> None:
        async with first, second:
            pass

    async def back() -> None:
        async with first if fixed else second, second if fixed else first:
            pass

    async with anyio.create_task_group() as group:
        group.start_soon(forth)
        group.start_soon(back)


async def philosophers(*, fixed: bool) -> None:
    """Each holds the left fork and waits for the right one."""
    forks = [anyio.Lock() for _ in range(3)]

    async def dine(seat: int) -> None:
        left, right = seat, (seat + 1) % len(forks)
        if fixed:
            left, right = sorted((left, right))
        async with forks[left], forks[right]:
            await checkpoint()

    async with anyio.create_task_group() as group:
        for seat in range(len(forks)):
            group.start_soon(dine, seat)


async def reader_beside_writer(*, fixed: bool) -> None:
    """The second reader trusts that the first has locked the writers out; it still waits."""
    writing, counting = anyio.Semaphore(1), anyio.Lock()
    readers = 0
    page = ["old", "old"]

    async def enter() -> None:
        nonlocal readers
        readers += 1
        if readers == 1:
            await writing.acquire()

    async def leave() -> None:
        nonlocal readers
        readers -= 1
        if readers == 0:
            writing.release()

    async def read() -> None:
        if fixed:
            async with counting:
                await enter()
        else:
            await enter()
        assert page[0] == page[1], f"half of the page is new: {page}"
        if fixed:
            async with counting:
                await leave()
        else:
            await leave()

    async def write() -> None:
        async with writing:
            page[0] = "new"
            await checkpoint()
            page[1] = "new"

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        group.start_soon(read)
        group.start_soon(read)


async def over_released_semaphore(*, fixed: bool) -> None:
    """Who gave up waiting releases what it never had."""
    door, inside = anyio.Semaphore(1), 0

    async def visit() -> None:
        nonlocal inside
        inside += 1
        try:
            assert inside == 1, f"{inside} are inside"
            await anyio.sleep(2)
        finally:
            inside -= 1

    async def impatient() -> None:
        with anyio.move_on_after(1):
            if fixed:
                async with door:
                    await visit()
                return
            try:
                await door.acquire()
                await visit()
            finally:
                door.release()

    async def patient() -> None:
        async with door:
            await visit()

    async with anyio.create_task_group() as group:
        group.start_soon(patient)
        group.start_soon(impatient)
        group.start_soon(patient)


async def callback_under_lock(*, fixed: bool) -> None:
    """A callback asks for the lock that its caller holds."""
    changing = anyio.Semaphore(1)
    callbacks: list[Callable[[], Awaitable[None]]] = []

    async def unsubscribe() -> None:
        async with changing:
            callbacks.clear()

    async def subscribe() -> None:
        async with changing:
            callbacks.append(unsubscribe)

    async def publish() -> None:
        async with changing:
            told = list(callbacks)
            if not fixed:
                for callback in told:
                    await callback()
        if fixed:
            for callback in told:
                await callback()

    async with anyio.create_task_group() as group:
        group.start_soon(publish)
        group.start_soon(subscribe)


async def re_entered_flush(*, fixed: bool) -> None:
    """A second flush begins while the first one still writes the same lines."""
    lines: list[str] = []
    written: list[str] = []

    async def flush() -> None:
        nonlocal lines
        todo = lines
        if fixed:
            lines = []
        for line in todo:
            await checkpoint()
            written.append(line)
        if not fixed:
            lines = []

    async def log(line: str) -> None:
        lines.append(line)
        await flush()

    async with anyio.create_task_group() as group:
        group.start_soon(log, "first")
        group.start_soon(log, "second")
    assert sorted(written) == ["first", "second"], f"written: {written}"


async def lock_held_over_join(*, fixed: bool) -> None:
    """A task holds the lock while it waits for one that may need it."""
    lock, cache = anyio.Lock(), {"warm": False}

    async def refresh() -> None:
        if not cache["warm"]:
            async with lock:
                cache["warm"] = True

    async def warm() -> None:
        await checkpoint()
        cache["warm"] = True

    async def report() -> None:
        if fixed:
            await refresh()
            return
        async with lock, anyio.create_task_group() as children:  # noqa: ASYNC112 - the bug
            children.start_soon(refresh)

    async with anyio.create_task_group() as group:
        group.start_soon(warm)
        group.start_soon(report)


BUGS: tuple[Bug, ...] = (
    abba,
    philosophers,
    reader_beside_writer,
    over_released_semaphore,
    callback_under_lock,
    re_entered_flush,
    lock_held_over_join,
)
