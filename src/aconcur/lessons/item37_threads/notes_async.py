"""The same on asyncio, line by line."""

import asyncio
from concurrent.futures import ProcessPoolExecutor

from aconcur.lessons.item37_threads.work import (
    factorize,
    slow_systemcall,
)


async def overlap(calls, numbers):
    tasks = []
    for _ in range(calls):
        task = asyncio.create_task(
            asyncio.to_thread(
                slow_systemcall, 0.1))
        tasks.append(task)
    found = []
    for number in numbers:
        await asyncio.sleep(0)
        found.append(factorize(number))
    for task in tasks:
        await task
    return found


async def compute_in_workers(numbers):
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor() as pool:
        calls = []
        for number in numbers:
            call = loop.run_in_executor(
                pool, factorize, number)
            calls.append(call)
        for call in calls:
            await call
