"""Queue beside asyncio.Queue and others: ``python -m benchmarks.queue`` from the project's root."""

from __future__ import annotations

import argparse
import asyncio
import queue as threads_queue
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio

from aconcur.pipeline import Queue, QueueClosed, ThreadEnd
from benchmarks.side_by_side import compare_costs

Put = Callable[[Any], Awaitable[object]]
Get = Callable[[], Awaitable[Any]]


async def stream(put: Put, get: Get, size: int, tasks: int) -> float:
    """Return ns for a put and a get: so many producers, and as many consumers."""

    async def produce() -> None:
        for item in range(size // tasks):
            await put(item)

    async def consume() -> None:
        for _ in range(size // tasks):
            await get()

    start = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(produce)
            group.start_soon(consume)
    return (time.perf_counter() - start) / size * 1e9


async def of_asyncio(maxsize: int, size: int, tasks: int) -> float:
    queue = asyncio.Queue[int](maxsize)
    return await stream(queue.put, queue.get, size, tasks)


async def of_ours(maxsize: int, size: int, tasks: int) -> float:
    queue = Queue[int](maxsize)
    return await stream(queue.put, queue.get, size, tasks)


async def of_trio(maxsize: int, size: int, tasks: int) -> float:
    import trio

    send, receive = trio.open_memory_channel[int](maxsize)
    return await stream(send.send, receive.receive, size, tasks)


async def of_anyio(maxsize: int, size: int, tasks: int) -> float:
    send, receive = anyio.create_memory_object_stream[int](maxsize)
    with send, receive:
        return await stream(send.send, receive.receive, size, tasks)


async def many(maxsize: int, size: int) -> float:
    queue = Queue[int](maxsize)

    async def produce() -> None:
        with queue.producer():
            await queue.put_many(range(size))

    start = time.perf_counter()
    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        try:
            while True:
                await queue.get_many()
        except QueueClosed:
            pass
    return (time.perf_counter() - start) / size * 1e9


async def from_a_thread(maxsize: int, size: int) -> float:
    queue = Queue[int](maxsize)

    def feed(end: ThreadEnd[int]) -> None:
        for item in range(size):
            end.put(item)

    start = time.perf_counter()
    with queue.from_thread() as end:
        thread = threading.Thread(target=feed, args=(end,))
        thread.start()
        for _ in range(size):
            await queue.get()
        thread.join()
    return (time.perf_counter() - start) / size * 1e9


async def to_a_thread(maxsize: int, size: int) -> float:
    queue = Queue[int](maxsize)
    start = time.perf_counter()
    with queue.from_thread() as end:
        thread = threading.Thread(target=lambda: [None for _ in end])
        thread.start()
        await queue.put_many(range(size))
        queue.close()
        while thread.is_alive():
            await anyio.sleep(0.0005)
        thread.join()
    return (time.perf_counter() - start) / size * 1e9


async def one_call_each(maxsize: int, size: int) -> float:
    """What one writes without a bridge: a call of the loop for each item."""
    queue = asyncio.Queue[int](maxsize)
    loop = asyncio.get_running_loop()

    def feed() -> None:
        for item in range(size):
            asyncio.run_coroutine_threadsafe(queue.put(item), loop).result()

    start = time.perf_counter()
    thread = threading.Thread(target=feed)
    thread.start()
    for _ in range(size):
        await queue.get()
    while thread.is_alive():
        await anyio.sleep(0.0005)
    thread.join()
    return (time.perf_counter() - start) / size * 1e9


def between_threads(maxsize: int, size: int) -> float:
    queue = threads_queue.Queue[int](maxsize)

    def feed() -> None:
        for item in range(size):
            queue.put(item)

    start = time.perf_counter()
    thread = threading.Thread(target=feed)
    thread.start()
    for _ in range(size):
        queue.get()
    thread.join()
    return (time.perf_counter() - start) / size * 1e9


def main() -> None:
    """Print three tables: 1 to 1, 8 to 8, and across threads."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=50_000)
    options = parser.parse_args()
    size, few, rounds = options.size, options.size // 10, options.rounds

    def on(backend: str, case: Callable[..., Awaitable[float]], *args: int) -> Callable[[], float]:
        return partial(anyio.run, case, *args, backend=backend)

    for tasks, maxsize in ((1, 1024), (8, 64)):
        cases = {
            "asyncio.Queue": on("asyncio", of_asyncio, maxsize, size, tasks),
            "Queue, put and get": on("asyncio", of_ours, maxsize, size, tasks),
            "Queue, put and get, trio": on("trio", of_ours, maxsize, size, tasks),
            "trio memory channel": on("trio", of_trio, maxsize, few, tasks),
            "anyio memory stream": on("asyncio", of_anyio, maxsize, few, tasks),
        }
        if tasks == 1:
            cases |= {
                "Queue, put_many and get_many": on("asyncio", many, maxsize, size),
                "Queue, put_many and get_many, trio": on("trio", many, maxsize, size),
            }
        title = f"{tasks} to {tasks}, maxsize {maxsize}"
        compare_costs(title, cases, unit="ns an item", rounds=rounds)
    compare_costs(
        "across threads, maxsize 1024",
        {
            "queue.Queue, thread to thread": partial(between_threads, 1024, few),
            "Queue.from_thread, thread to task": on("asyncio", from_a_thread, 1024, few),
            "Queue.from_thread, task to thread": on("asyncio", to_a_thread, 1024, few),
            "run_coroutine_threadsafe, to a task": on("asyncio", one_call_each, 1024, few // 10),
        },
        unit="ns an item",
        rounds=rounds,
    )


if __name__ == "__main__":
    main()
