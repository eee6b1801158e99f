"""Wake-ups that nobody hears, or that the wrong one hears."""

from __future__ import annotations

__all__ = ("BUGS",)

from collections import deque

import anyio
from anyio.lowlevel import checkpoint

from tests.support.bugs.kind import Bug


async def missed_wake_up(*, fixed: bool) -> None:
    """The flag is looked at outside the lock: it is set before the wait begins."""
    changed, ready = anyio.Condition(), list[str]()

    async def consumer() -> None:
        if fixed:
            async with changed:
                while not ready:
                    await changed.wait()
        elif not ready:
            async with changed:
                await changed.wait()

    async def producer() -> None:
        await checkpoint()
        async with changed:
            ready.append("it")
            changed.notify_all()

    async with anyio.create_task_group() as group:
        group.start_soon(consumer)
        group.start_soon(producer)


async def lost_wake_up(*, fixed: bool) -> None:
    """``notify`` where producers and consumers wait on one condition: it wakes one of its kind."""
    changed, slot = anyio.Condition(), list[int]()

    async def put(item: int) -> None:
        async with changed:
            while slot:
                await changed.wait()
            slot.append(item)
            changed.notify(2 if fixed else 1)

    async def get() -> None:
        async with changed:
            while not slot:
                await changed.wait()
            slot.pop()
            changed.notify(2 if fixed else 1)

    async with anyio.create_task_group() as group:
        group.start_soon(put, 1)
        group.start_soon(get)
        group.start_soon(put, 2)
        group.start_soon(get)


async def stolen_wake_up(*, fixed: bool) -> None:
    """``if`` instead of ``while``: another takes the item before the woken one has the lock."""
    changed, items = anyio.Condition(), deque[int]()
    got: list[int] = []

    async def consumer() -> None:
        async with changed:
            if fixed:
                while not items:
                    await changed.wait()
            elif not items:
                await changed.wait()
            got.append(items.popleft())

    async def producer(item: int) -> None:
        async with changed:
            items.append(item)
            changed.notify()

    async with anyio.create_task_group() as group:
        group.start_soon(consumer)
        group.start_soon(consumer)
        group.start_soon(producer, 0)
        group.start_soon(producer, 1)
    assert sorted(got) == [0, 1], f"got {got}"


async def event_reset(*, fixed: bool) -> None:
    """A signal between the wake-up and the new event is lost."""
    signals, seen, event = 0, 0, anyio.Event()

    async def waiter() -> None:
        nonlocal signals, seen, event
        while seen < 2:
            await event.wait()
            if fixed:
                event = anyio.Event()
            taken, signals = signals, 0
            seen += taken
            await checkpoint()  # handle them
            if not fixed:
                event = anyio.Event()

    async def signal() -> None:
        nonlocal signals
        signals += 1
        event.set()

    async with anyio.create_task_group() as group:
        group.start_soon(waiter)
        group.start_soon(signal)
        group.start_soon(signal)


async def one_sentinel_many_workers(*, fixed: bool) -> None:
    """Two workers read from a queue that was closed once."""
    changed, items, end = anyio.Condition(), deque[int](), -1

    async def put(item: int) -> None:
        async with changed:
            items.append(item)
            changed.notify()

    async def get() -> int:
        async with changed:
            while not items:
                await changed.wait()
            return items.popleft()

    async def worker() -> None:
        while await get() != end:
            await checkpoint()
        if fixed:
            await put(end)  # for the next one

    async with anyio.create_task_group() as group:
        group.start_soon(worker)
        group.start_soon(worker)
        await put(1)
        await put(end)


BUGS: tuple[Bug, ...] = (
    missed_wake_up,
    lost_wake_up,
    stolen_wake_up,
    event_reset,
    one_sentinel_many_workers,
)
