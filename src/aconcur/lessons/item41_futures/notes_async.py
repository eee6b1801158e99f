"""The same on asyncio, line by line."""

import asyncio
from concurrent.futures import ProcessPoolExecutor

from aconcur.lessons.item41_futures.notes_original import (
    gcd,
)


async def in_threads(numbers):
    results = await asyncio.gather(
        *(asyncio.to_thread(gcd, pair)
          for pair in numbers))
    return results


async def in_processes(numbers):
    pool = ProcessPoolExecutor(
        max_workers=2)
    loop = asyncio.get_running_loop()
    results = await asyncio.gather(
        *(loop.run_in_executor(
            pool, gcd, pair)
          for pair in numbers))
    return results
